"""Answers that say nothing of the object asked for: about s3d's own signature, or from somebody who is no S3."""

from __future__ import annotations

import json
import urllib.request
from email.utils import formatdate

import pytest

from servers.daemon import S3dDaemon
from servers.raw import Disconnected, RawConnection
from servers.scripted import Exchange, Gone, ScriptedRemote, answer_of

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
PAGE = b"<html><body>Please sign in</body></html>"


def document(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()


@pytest.mark.parametrize("status", [b"404 Not Found", b"302 Found"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_page_that_is_no_s3_is_unavailable(
    status: bytes, method: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    page = answer_of(PAGE, status, b"Content-Type: text/html")
    if method == b"HEAD":
        page = page.removesuffix(PAGE)
    scripted.answer = lambda exchange: exchange.send(page)
    client.send(GET.replace(b"GET", method))
    assert client.read_response(method.decode()).status == 503


@pytest.mark.parametrize("body", [document("NoSuchKey"), b""])
def test_a_404_of_an_s3_is_a_404(body: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    extra = b"X: y" if body else b"x-amz-request-id: 1"
    scripted.answer = lambda exchange: exchange.send(answer_of(body, b"404 Not Found", extra))
    client.send(GET)
    answer = client.read_response()
    assert (answer.status, answer.body) == (404, body)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken"])
def test_rejected_credentials_are_ours_to_report(
    code: str, client: RawConnection, daemon: S3dDaemon, scripted: ScriptedRemote
) -> None:
    daemon.expect_log(" ERROR s3d.remote: the remote does not accept s3d's credentials")
    scripted.answer = lambda exchange: exchange.send(answer_of(document(code), b"403 Forbidden"))
    client.send(GET)
    answer = client.read_response()
    assert answer.status == 503
    assert code.encode() in answer.body
    status = json.load(urllib.request.urlopen(f"{daemon.endpoint}/_s3d/status", timeout=10))
    assert (status["credentials"]["state"], status["health"]) == ("rejected", "failing")
    scripted.answer = lambda exchange: exchange.send(answer_of(b"hello"))
    client.send(GET)
    assert client.read_response().body == b"hello"
    status = json.load(urllib.request.urlopen(f"{daemon.endpoint}/_s3d/status", timeout=10))
    assert (status["credentials"]["state"], status["health"]) == ("ok", "ok")


def long(code: str, size: int) -> bytes:
    """An error document of about ``size`` bytes whose code stands at its beginning."""
    return document(code).replace(b"</Error>", b"<Detail>%b</Detail></Error>" % (b"x" * size))


@pytest.mark.parametrize("size", [64 * 1024, 3_000_000])
@pytest.mark.parametrize("status", [b"400 Bad Request", b"403 Forbidden", b"404 Not Found"])
def test_an_error_of_any_length_is_the_clients_to_hear(
    size: int, status: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    body = long("AccessDenied", size)
    scripted.answer = lambda exchange: exchange.send(answer_of(body, status))
    for _ in range(2):
        client.send(GET)
        answer = client.read_response()
        assert (answer.status, answer.body) == (int(status[:3]), body)


def test_a_long_answer_of_an_s3_needs_no_document(client: RawConnection, scripted: ScriptedRemote) -> None:
    body = b"\xff" * 200_000
    scripted.answer = lambda exchange: exchange.send(answer_of(body, b"400 Bad Request", b"x-amz-request-id: 1"))
    client.send(GET)
    answer = client.read_response()
    assert (answer.status, answer.body) == (400, body)


def test_a_long_page_that_is_no_s3_is_unavailable(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(PAGE * 10_000, b"404 Not Found"))
    client.send(GET)
    assert client.read_response().status == 503


def test_a_long_error_that_breaks_off_breaks_off_at_the_client(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        head, _, body = answer_of(long("AccessDenied", 500_000), b"403 Forbidden").partition(b"\r\n\r\n")
        exchange.send(head + b"\r\n\r\n" + body[:200_000])
        exchange.reset()

    scripted.answer = answer
    client.send(GET)
    with pytest.raises(Disconnected):
        client.read_response()


def test_a_client_that_leaves_a_long_error_does_not_keep_its_connection(
    daemon: S3dDaemon, scripted: ScriptedRemote
) -> None:
    happened: list[str] = []

    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000\r\n\r\n" + long("AccessDenied", 100_000))
        happened.append("sent")
        try:
            exchange.visit.receive()
        except Gone:
            happened.append("gone")

    scripted.answer = answer
    with RawConnection(daemon.endpoint) as client:
        client.send(GET)
        scripted.wait_until(lambda: happened == ["sent"])
    scripted.wait_until(lambda: happened == ["sent", "gone"])


def test_a_long_answer_about_our_credentials_is_ours_to_report(
    client: RawConnection, daemon: S3dDaemon, scripted: ScriptedRemote
) -> None:
    daemon.expect_log(" ERROR s3d.remote: the remote does not accept s3d's credentials")
    body = long("SignatureDoesNotMatch", 300_000)
    scripted.answer = lambda exchange: exchange.send(answer_of(body, b"403 Forbidden"))
    client.send(GET)
    answer = client.read_response()
    assert (answer.status, b"SignatureDoesNotMatch" in answer.body) == (503, True)
    # Whose connection is free again.
    scripted.answer = lambda exchange: exchange.send(answer_of(b"hello"))
    client.send(GET)
    assert client.read_response().body == b"hello"


def test_access_denied_is_the_clients_to_hear(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(document("AccessDenied"), b"403 Forbidden"))
    client.send(GET)
    assert client.read_response().status == 403


def test_a_wrong_clock_is_set_by_the_remotes(client: RawConnection, scripted: ScriptedRemote) -> None:
    # The remote lives in 2030 and takes nothing that was signed in another year.
    def answer(exchange: Exchange) -> None:
        date = (exchange.header(b"x-amz-date") or b"").decode()
        if date.startswith("2030"):
            exchange.send(answer_of(b"hello"))
        else:
            now = formatdate(1_900_000_000, usegmt=True).encode()
            exchange.send(answer_of(document("RequestTimeTooSkewed"), b"403 Forbidden", b"Date: " + now))

    scripted.answer = answer
    client.send(GET)
    assert client.read_response().body == b"hello"


def test_an_upload_without_any_length_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = client.read_response()
    assert (answer.status, b"MissingContentLength" in answer.body) == (411, True)
    assert scripted.exchanges == []


def test_requests_under_way_when_a_region_is_learnt_follow_it(daemon: S3dDaemon, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        if b"/eu-west-9/" in (exchange.header(b"authorization") or b""):
            exchange.send(answer_of(b"hello"))
        else:
            scripted.wait_for(4)
            exchange.send(answer_of(document("PermanentRedirect"), b"301 Moved", b"x-amz-bucket-region: eu-west-9"))

    scripted.answer = answer
    clients = [RawConnection(daemon.endpoint) for _ in range(4)]
    for each in clients:
        each.send(GET.replace(b"/bucket/", b"/other-bucket/"))
    assert [each.read_response().body for each in clients] == [b"hello"] * 4
    for each in clients:
        each.close()
