"""Requests whose end two readers could see in different places, and others that are not HTTP/1.1.

Each is followed on the same connection by a request for ``/smuggled/key``. s3d must answer the first with an S3 error
(or with nothing where there is nobody to answer), close the connection, and never let the remote see the second.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from servers.raw import RawConnection, RawResponse
from servers.scripted import ScriptedRemote

SMUGGLED = b"GET /smuggled/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n"
# A chunked body that flows as it arrives: its length is known from elsewhere.
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\nx-amz-decoded-content-length: 5\r\n"

HEADS = {
    "length and chunked": PUT + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "length and chunked, other case": PUT + b"CONTENT-LENGTH: 5\r\ntransfer-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
    "two lengths, equal": PUT + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "two lengths, different": PUT + b"Content-Length: 0\r\nContent-Length: 46\r\n\r\n",
    "length with plus": PUT + b"Content-Length: +0\r\n\r\n",
    "length with minus": PUT + b"Content-Length: -0\r\n\r\n",
    "length negative": PUT + b"Content-Length: -1\r\n\r\n",
    "length with inner space": PUT + b"Content-Length: 0 0\r\n\r\n",
    "length list": PUT + b"Content-Length: 0, 0\r\n\r\n",
    "length list, different": PUT + b"Content-Length: 0, 46\r\n\r\n",
    "length in hex": PUT + b"Content-Length: 0x0\r\n\r\n",
    "length with underscore": PUT + b"Content-Length: 0_0\r\n\r\n",
    "length empty": PUT + b"Content-Length:\r\n\r\n",
    "length in other digits": PUT + b"Content-Length: \xd9\xa0\r\n\r\n",
    "length with exponent": PUT + b"Content-Length: 0e0\r\n\r\n",
    "length quoted": PUT + b'Content-Length: "0"\r\n\r\n',
    "length of 2^63": PUT + b"Content-Length: 9223372036854775808\r\n\r\n",
    "length of 2^64": PUT + b"Content-Length: 18446744073709551616\r\n\r\n",
    "length of a hundred digits": PUT + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n",
    "chunked, identity": PUT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity, chunked": PUT + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": PUT + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity": PUT + b"Transfer-Encoding: identity\r\n\r\n",
    "xchunked": PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunkedx": PUT + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "chunked with parameter": PUT + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "chunked with comma": PUT + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "comma, chunked": PUT + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    "vertical tab, chunked": PUT + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked, vertical tab": PUT + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "form feed, chunked": PUT + b"Transfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n",
    "non-breaking space, chunked": PUT + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "quoted chunked": PUT + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding empty": PUT + b"Transfer-Encoding:\r\n\r\n",
    "two codings, equal": PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings, different": PUT + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "two codings, the other order": PUT + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": (
        b"PUT /bucket/key HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "space before colon of length": PUT + b"Content-Length : 46\r\n\r\n",
    "space before colon of coding": PUT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "tab before colon": PUT + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "space before a name": PUT + b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded coding": PUT + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "folded value": GET + b"x-amz-meta-a: b\r\n c\r\n\r\n",
    "folded value by tab": GET + b"x-amz-meta-a: b\r\n\tc\r\n\r\n",
    "folded first line": b"GET /bucket/key HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "NUL in a value": GET + b"x-amz-meta-a: b\0c\r\n\r\n",
    "NUL in a name": GET + b"x-amz-meta\0a: b\r\n\r\n",
    "NUL in the target": b"GET /bucket/k\0ey HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CR in a value": GET + b"x-amz-meta-a: b\rc\r\n\r\n",
    "CR before a header": GET + b"x-amz-meta-a: b\rContent-Length: 46\r\n\r\n",
    "control character in a value": GET + b"x-amz-meta-a: b\x01c\r\n\r\n",
    "DEL in a value": GET + b"x-amz-meta-a: b\x7fc\r\n\r\n",
    "bare LF after a header": GET + b"x-amz-meta-a: b\nx-amz-meta-c: d\r\n\r\n",
    "bare LF after the request line": b"GET /bucket/key HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LFs everywhere": b"GET /bucket/key HTTP/1.1\nHost: localhost\n\n",
    "bare LF at the end of the head": b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\n",
    "bare CR at the end of the head": GET + b"\r\r\n",
    "CR CR LF": b"GET /bucket/key HTTP/1.1\r\r\nHost: localhost\r\r\n\r\r\n",
    "header without colon": GET + b"Content-Length 46\r\n\r\n",
    "header without name": GET + b": 46\r\n\r\n",
    "name with a space": GET + b"Content Length: 46\r\n\r\n",
    "name with a parenthesis": GET + b"Content-(Length): 46\r\n\r\n",
    "name not ASCII": GET + b"Content-L\xc3\xa4nge: 46\r\n\r\n",
    "no Host": b"GET /bucket/key HTTP/1.1\r\n\r\n",
    "two Hosts, equal": GET + b"Host: localhost\r\n\r\n",
    "two Hosts, different": GET + b"Host: other.example\r\n\r\n",
    "absolute form, other authority": b"GET http://other.example/bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /bucket/key\r\n\r\n",
    "HTTP/0.9 by number": b"GET /bucket/key HTTP/0.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2.0": b"GET /bucket/key HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "HTTP/1.2": b"GET /bucket/key HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "HTTP/11": b"GET /bucket/key HTTP/11\r\nHost: localhost\r\n\r\n",
    "http/1.1": b"GET /bucket/key http/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/01.1": b"GET /bucket/key HTTP/01.1\r\nHost: localhost\r\n\r\n",
    "HTTP/1.1 and more": b"GET /bucket/key HTTP/1.1 more\r\nHost: localhost\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ICE": b"SOURCE /bucket/key ICE/1.0\r\nHost: localhost\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "space in the target": b"GET /bucket/k ey HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tab for a space": b"GET\t/bucket/key\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target without slash": b"GET bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "method in lower case": b"get /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "method unknown": b"STEAL /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
    "CONNECT with a body": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 5\r\n\r\n",
    "CONNECT, chunked": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nTransfer-Encoding: chunked\r\n\r\n",
}

BODIES = {
    "chunk size of 2^64": CHUNKED + b"\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size overflow to 5": CHUNKED + b"\r\n" + b"0" * 20 + b"1" + b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n",
    "chunk size negative": CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
    "chunk size with plus": CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size empty": CHUNKED + b"\r\n\r\nhello\r\n0\r\n\r\n",
    "chunk size no number": CHUNKED + b"\r\nfive\r\nhello\r\n0\r\n\r\n",
    "chunk size with a space before": CHUNKED + b"\r\n 5\r\nhello\r\n0\r\n\r\n",
    "chunk size and bare LF": CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n",
    "chunk size and bare CR": CHUNKED + b"\r\n5\rhello\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"\r\n3\r\nhello\r\n0\r\n\r\n",
    "chunk followed by bare LF": CHUNKED + b"\r\n5\r\nhello\n0\r\n\r\n",
    "chunk extension with bare LF": CHUNKED + b"\r\n5;a=b\nhello\r\n0\r\n\r\n",
    "chunk extension with bare CR": CHUNKED + b"\r\n5;a=\rb\r\nhello\r\n0\r\n\r\n",
    "chunk extension with NUL": CHUNKED + b"\r\n5;a=\0\r\nhello\r\n0\r\n\r\n",
    "last chunk with bare LFs": CHUNKED + b"\r\n5\r\nhello\r\n0\n\n",
    "trailer with bare LF": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx-a: b\nx-c: d\r\n\r\n",
    "trailer with NUL": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx-a: \0\r\n\r\n",
    "trailer folded": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx-a: b\r\n c\r\n\r\n",
    "trailer with space before colon": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx-a : b\r\n\r\n",
    "trailer too large": CHUNKED + b"\r\n5\r\nhello\r\n0\r\nx-a: " + b"b" * 100_000 + b"\r\n\r\n",
    "trailers too many": CHUNKED + b"\r\n5\r\nhello\r\n0\r\n" + b"x-a: bbbbbbbb\r\n" * 10_000 + b"\r\n",
}


# Framing is in no doubt here, so the connection may stay; but they are not for us.
STRANGE_HOSTS = [
    b"localhost, localhost", b"localhost/other", b"localhost other", b"localhost@other.example", b"localhost:80:80",
    b"other.example", b"localhost.other.example", b"[::1", b"127.0.0.1.other.example", b"0x7f.1", b"localhost:80@other",
    b"otherlocalhost", b"..localhost", b"localhost\xe2\x80\x8b",
]  # fmt: skip
# The length is wrong, but where the body ends is clear.
WRONG_LENGTHS = [b"4\r\nhell\r\n0\r\n\r\n", b"6\r\nhello!\r\n0\r\n\r\n"]


def check_refused(connection: RawConnection) -> RawResponse | None:
    """At most one answer, an S3 error; then the end, well before any time limit."""
    began = time.monotonic()
    rest = connection.read_until_closed()
    assert time.monotonic() - began < 8, "the connection was held open"
    if not rest:
        return None
    heads = re.findall(rb"^HTTP/1\.1 (\d+) ", rest, re.MULTILINE)
    assert len(heads) == 1, f"{len(heads)} answers: {rest!r}"
    assert heads[0][:1] in b"45", rest
    head, _, body = rest.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head, head
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n", rest
    answer = RawResponse(int(heads[0]), b"", [], body)
    assert answer.error_code != "RequestTimeout", "the connection was held until the time limit"
    return answer


def targets(scripted: ScriptedRemote) -> list[bytes]:
    return [exchange.target for exchange in scripted.exchanges]


@pytest.mark.parametrize("name", HEADS)
def test_a_request_with_an_ambiguous_head_is_refused_and_its_connection_closed(
    name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(HEADS[name] + SMUGGLED)
    assert check_refused(client) is not None
    assert targets(scripted) == []


@pytest.mark.parametrize("name", HEADS)
def test_a_request_with_an_ambiguous_head_is_refused_when_it_trickles_in(
    name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    try:
        client.send(HEADS[name] + SMUGGLED, piece_bytes=7)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before we had said everything
    check_refused(client)
    assert targets(scripted) == []


@pytest.mark.parametrize("name", BODIES)
def test_a_request_with_an_ambiguous_body_is_refused_and_its_connection_closed(
    name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    try:
        client.send(BODIES[name] + SMUGGLED)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert check_refused(client) is not None
    assert b"/smuggled/key" not in targets(scripted)
    assert not any(exchange.complete for exchange in scripted.exchanges)


@pytest.mark.parametrize("name", BODIES)
def test_a_body_found_ambiguous_after_its_request_has_begun_is_refused_at_once(
    name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    # Enough of the body goes ahead for the request to have reached the remote.
    head, separator, body = BODIES[name].replace(b"length: 5", b"length: 100005").partition(b"\r\n\r\n")
    client.send(head + separator + b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
    scripted.wait_for(1)
    try:
        client.send(body + SMUGGLED)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert check_refused(client) is not None
    assert targets(scripted) == [b"/bucket/key"]
    scripted.wait_until(lambda: scripted.open_visits == 0)
    assert not scripted.exchanges[0].complete


@pytest.mark.parametrize("name", BODIES)
def test_an_ambiguous_body_of_a_request_refused_for_its_length_closes_the_connection(
    name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    data = BODIES[name].replace(b"x-amz-decoded-content-length: 5\r\n", b"")
    try:
        client.send(data + SMUGGLED)
    except (BrokenPipeError, ConnectionResetError):
        pass
    answer = check_refused(client)
    assert answer is None or answer.status in (400, 411)
    assert targets(scripted) == []


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_request_for_a_strange_host_is_refused(host: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(b"GET /bucket/key HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert client.read_response().status in (400, 421)
    assert targets(scripted) == []


@pytest.mark.parametrize("body", WRONG_LENGTHS)
def test_a_chunked_body_of_another_length_than_announced_is_refused(
    body: bytes, client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(CHUNKED + b"\r\n" + body)
    answer = client.read_response()
    assert (answer.status, answer.error_code) == (400, "IncompleteBody")
    scripted.wait_until(lambda: scripted.open_visits == 0)
    assert not any(exchange.complete for exchange in scripted.exchanges)


def test_a_well_formed_request_and_the_one_after_it_both_reach_the_remote(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(GET + b"\r\n" + SMUGGLED)
    assert client.read_response().status == 200
    assert client.read_response().status == 200
    assert targets(scripted) == [b"/bucket/key", b"/smuggled/key"]


def test_a_well_formed_chunked_body_reaches_the_remote_with_a_length(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(CHUNKED + b"\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-trailer: c\r\n\r\n" + SMUGGLED)
    assert client.read_response().status == 200
    assert client.read_response().status == 200
    first = scripted.exchanges[0]
    assert (bytes(first.body), first.header(b"content-length")) == (b"hello", b"5")
    assert first.header(b"transfer-encoding") is None


def test_a_body_with_an_upgrade_header_is_still_a_body(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(PUT + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED)
    assert client.read_response().status == 200
    client.send(GET + b"\r\n")
    assert client.read_response().status == 200
    assert targets(scripted) == [b"/bucket/key", b"/bucket/key"]
    assert bytes(scripted.exchanges[0].body) == SMUGGLED
    assert scripted.exchanges[0].header(b"upgrade") is None


def test_an_offer_of_another_protocol_is_passed_over(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(
        GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n" + GET + b"\r\n"
    )
    assert client.read_response().status == 200
    assert client.read_response().status == 200
    assert [exchange.header(b"http2-settings") for exchange in scripted.exchanges] == [None, None]


def test_headers_that_the_connection_header_names_are_not_forwarded(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(GET + b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Stay: 2\r\n\r\n")
    assert client.read_response().status == 200
    [exchange] = scripted.exchanges
    assert (exchange.header(b"x-hop"), exchange.header(b"x-stay")) == (None, b"2")


def test_a_head_above_the_size_limit_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(GET + b"x-amz-meta-a: " + b"b" * 40_000 + b"\r\n\r\n" + SMUGGLED)
    answer = check_refused(client)
    assert answer is not None
    assert answer.status == 400
    assert answer.error_code == "RequestHeaderSectionTooLarge"
    assert targets(scripted) == []


def test_too_many_small_headers_are_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(GET + b"a: b\r\n" * 8_000 + b"\r\n" + SMUGGLED)
    assert check_refused(client) is not None
    assert targets(scripted) == []


def test_a_head_without_end_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(GET + b"".join(b"x-amz-meta-%d: bomb\r\n" % number for number in range(2_000)))
    answer = check_refused(client)
    assert answer is not None
    assert answer.error_code == "RequestHeaderSectionTooLarge"
    assert targets(scripted) == []


def test_a_request_line_that_is_too_long_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(b"GET /bucket/" + b"k" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" + SMUGGLED)
    assert check_refused(client) is not None
    assert targets(scripted) == []


def test_a_request_line_without_end_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(b"GET /bucket/" + b"k" * 60_000)
    assert check_refused(client) is not None
    assert targets(scripted) == []


def test_a_chunk_extension_without_end_is_refused(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(CHUNKED + b"\r\n5;" + b"a" * 500_000)
    assert check_refused(client) is not None
    assert not any(exchange.complete for exchange in scripted.exchanges)


def test_a_head_that_comes_byte_by_byte_without_end_runs_into_the_time_limit(
    connect: Callable[[], RawConnection], scripted: ScriptedRemote
) -> None:
    client = connect()
    client.send(GET + b"x-amz-meta-a: ")
    began = time.monotonic()
    try:
        while time.monotonic() - began < 15:
            client.send(b"b")
            time.sleep(0.1)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        pytest.fail("s3d waits for a head without end")
    assert targets(scripted) == []


def test_blank_lines_before_a_request_are_passed_over(client: RawConnection, scripted: ScriptedRemote) -> None:
    client.send(b"\r\n\r\n" + GET + b"\r\n")
    assert client.read_response().status == 200
    assert targets(scripted) == [b"/bucket/key"]


def test_blank_lines_without_end_do_not_hold_a_connection_for_ever(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    began = time.monotonic()
    try:
        while time.monotonic() - began < 15:
            client.send(b"\r\n")
            time.sleep(0.1)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        pytest.fail("s3d keeps a connection that only sends blank lines")
    assert targets(scripted) == []
