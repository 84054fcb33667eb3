"""What a web page may make a browser do to s3d on its own machine."""

from __future__ import annotations

import pytest

from servers.raw import RawConnection, RawResponse
from servers.scripted import Exchange, ScriptedRemote, answer_of, error_of

RULES = (
    b'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>'
    b"<AllowedOrigin>http://good.example</AllowedOrigin><AllowedOrigin>https://*.good.example</AllowedOrigin>"
    b"<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod></CORSRule></CORSConfiguration>"
)


def with_rules(exchange: Exchange) -> None:
    exchange.read_body()
    if exchange.target.endswith(b"?cors") and exchange.method == b"GET":
        exchange.send(answer_of(RULES))
    else:
        exchange.send(answer_of(b"", b"200 OK", b"Access-Control-Allow-Origin: http://good.example"))


def without_rules(exchange: Exchange) -> None:
    exchange.read_body()
    if exchange.target.endswith(b"?cors"):
        exchange.send(error_of(b"NoSuchCORSConfiguration", b"404 Not Found"))
    else:
        exchange.send(answer_of(b""))


def ask(
    client: RawConnection, bucket: str, *headers: bytes, method: bytes = b"GET", host: bytes = b"localhost"
) -> RawResponse:
    lines = [method + b" /" + bucket.encode() + b"/key HTTP/1.1", b"Host: " + host, *headers]
    if method in (b"PUT", b"POST"):
        lines.append(b"Content-Length: 0")
    client.send(b"\r\n".join(lines) + b"\r\n\r\n")
    return client.read_response(method.decode())


def forwarded(scripted: ScriptedRemote) -> list[bytes]:
    return [exchange.target for exchange in scripted.exchanges if not exchange.target.endswith(b"?cors")]


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:33333", b"localhost.evil.example", b"10.0.0.1", b"*"])
def test_a_host_that_is_not_ours_is_misdirected(host: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    assert ask(client, "bucket", host=host).status == 421
    assert scripted.exchanges == []


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:1", b"127.0.0.1", b"127.0.0.1:5", b"[::1]:5", b"bucket.localhost", b"localhost."]
)
def test_a_host_of_ours_is_served(host: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    assert ask(client, "bucket", host=host).status == 200


def test_a_page_is_refused_where_the_bucket_has_no_rules(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = without_rules
    answer = ask(client, "cors-none", b"Origin: http://evil.example")
    assert (answer.status, answer.error_code) == (403, "AccessDenied")
    assert forwarded(scripted) == []


@pytest.mark.parametrize(
    "origin", [b"http://evil.example", b"null", b"http://good.example.evil.example", b"https://good.example", b"", b"*"]
)
def test_a_page_that_no_rule_names_is_refused(origin: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = with_rules
    assert ask(client, "cors-some", b"Origin: " + origin).status == 403
    assert forwarded(scripted) == []


@pytest.mark.parametrize("origin", [b"http://good.example", b"https://a.b.good.example"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT"])
def test_a_page_that_a_rule_names_is_served(
    origin: bytes, method: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = with_rules
    answer = ask(client, "cors-good", b"Origin: " + origin, method=method)
    assert answer.status == 200
    assert answer.header(b"access-control-allow-origin") == b"http://good.example"


@pytest.mark.parametrize("method", [b"DELETE"])
def test_a_page_may_not_use_a_method_that_its_rule_does_not_name(
    method: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = with_rules
    assert ask(client, "cors-method", b"Origin: http://good.example", method=method).status == 403
    assert forwarded(scripted) == []


@pytest.mark.parametrize(
    "document",
    [b"<", b"<!DOCTYPE a [<!ENTITY b 'c'>]><CORSConfiguration/>", b"<a/>" + b"x" * 100_000, b"\xff\xfe"],
)
def test_rules_that_cannot_be_read_allow_nothing(
    document: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(document))
    answer = ask(client, f"cors-broken-{len(document)}", b"Origin: http://good.example")
    assert answer.status in (403, 503)
    assert forwarded(scripted) == []


def test_two_origins_are_not_one_that_is_allowed(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = with_rules
    answer = ask(client, "cors-two", b"Origin: http://good.example", b"Origin: http://evil.example")
    assert answer.status in (400, 403)
    assert forwarded(scripted) == []


@pytest.mark.parametrize("path", [b"/_s3d/status", b"/_s3d/health/live"])
def test_our_own_endpoints_answer_no_foreign_host(path: bytes, client: RawConnection) -> None:
    client.send(b"GET " + path + b" HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert client.read_response().status == 421


def test_an_upload_of_a_page_that_is_refused_does_not_reach_the_remote(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = without_rules
    client.send(
        b"PUT /cors-upload/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n"
        b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000
    )
    assert client.read_response().status == 403
    assert forwarded(scripted) == []
