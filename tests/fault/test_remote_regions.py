"""A remote that sends requests on to another region."""

from __future__ import annotations

import pytest

from fault.wire import GET, HEAD, PUT, sends
from servers.raw import RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of, error_of


def test_a_redirect_to_another_region_is_followed_and_remembered(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        if b"/eu-west-1/s3/" in (exchange.header(b"authorization") or b""):
            exchange.send(answer_of(b"hello"))
        else:
            exchange.send(error_of(b"PermanentRedirect", b"301 Moved Permanently", b"x-amz-bucket-region: eu-west-1"))

    scripted.answer = answer
    request = GET.replace(b"/bucket/", b"/moved-301/")
    client.send(request + request)
    assert client.read_response().body == b"hello"
    assert client.read_response().body == b"hello"
    assert len(scripted.exchanges) == 3


@pytest.mark.parametrize("status", [b"307 Temporary Redirect", b"301 Moved Permanently"])
def test_a_redirect_of_a_head_is_followed(status: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        if b"/eu-west-1/s3/" in (exchange.header(b"authorization") or b""):
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        else:
            exchange.send(b"HTTP/1.1 " + status + b"\r\nx-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\n\r\n")

    scripted.answer = answer
    client.send(HEAD.replace(b"/bucket/", b"/moved-head-" + status[:3] + b"/"))
    assert client.read_response("HEAD").status == 200


def test_a_malformed_authorization_that_names_the_region_is_followed(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        if b"/ap-south-1/s3/" in (exchange.header(b"authorization") or b""):
            exchange.send(answer_of(b"hello"))
        else:
            exchange.send(
                error_of(b"AuthorizationHeaderMalformed", b"400 Bad Request", extra=b"<Region>ap-south-1</Region>")
            )

    scripted.answer = answer
    client.send(GET.replace(b"/bucket/", b"/moved-400/"))
    assert client.read_response().body == b"hello"


def test_a_redirect_of_an_upload_is_never_a_success(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        if b"/eu-west-1/s3/" in (exchange.header(b"authorization") or b""):
            exchange.send(answer_of(b""))
        else:
            exchange.send(error_of(b"TemporaryRedirect", b"307 Temporary Redirect", b"x-amz-bucket-region: eu-west-1"))

    scripted.answer = answer
    request = PUT.replace(b"/bucket/", b"/moved-put/")
    client.send(request)
    first = client.read_response()
    assert first.status == 503 or bytes(scripted.exchanges[-1].body) == b"hello"
    client.send(request)
    assert client.read_response().status == 200


@pytest.mark.parametrize("endless", [True, False], ids=["ever new regions", "two regions in turn"])
def test_a_remote_that_redirects_for_ever_is_not_followed_for_ever(
    endless: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        number = len(scripted.exchanges)
        region = b"region-%d" % (number if endless else number % 2)
        exchange.send(error_of(b"PermanentRedirect", b"301 Moved Permanently", b"x-amz-bucket-region: " + region))

    scripted.answer = answer
    client.send(GET.replace(b"/bucket/", b"/endless-%d/" % endless))
    try:
        assert client.read_response().status in (301, 503)
        assert len(scripted.exchanges) <= 8
    finally:
        scripted.answer = sends(answer_of(b""))


@pytest.mark.parametrize(
    "region", [b"eu&#13;&#10;X-Evil: 1", b"eu west", b"", b"&#0;", b"../..", b"\xc3\xa9", b"a" * 5000]
)
def test_a_region_that_is_no_name_is_not_followed(
    region: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = sends(
        error_of(b"AuthorizationHeaderMalformed", b"400 Bad Request", extra=b"<Region>" + region + b"</Region>")
    )
    client.send(GET.replace(b"/bucket/", b"/strange-region/"))
    answer = client.read_response()
    assert answer.status in (400, 503)
    assert all(exchange.header(b"x-evil") is None for exchange in scripted.exchanges)
    assert len(scripted.exchanges) <= 2


@pytest.mark.parametrize("status", [b"301 Moved Permanently", b"307 Temporary Redirect", b"400 Bad Request"])
def test_a_redirect_that_names_no_region_is_relayed(
    status: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = sends(error_of(b"Whatever", status))
    client.send(GET)
    answer = client.read_response()
    assert answer.status == int(status[:3])
    assert answer.error_code == "Whatever"
    assert len(scripted.exchanges) == 1
