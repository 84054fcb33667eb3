"""A remote whose answers end where they should not, or are none."""

from __future__ import annotations

import time

import pytest

from fault.wire import GET, HEAD, OPERATIONS, check_unavailable, method_of, sends
from servers.raw import Disconnected, RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of

# Answers that end where they should not.

SHORT = {
    "a length, nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "a length, some": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunked, nothing": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked, within a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1",
    "chunked, within a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "chunked, without last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunked, within the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "chunked, a bad size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
    "chunked, a negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n",
    "chunked, a huge size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    + b"f" * 20
    + b"\r\n",
    "chunked, a chunk too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "a length, too many at once": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world",
    "chunked, another answer behind": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + answer_of(b"evil")
    ),
    "a length, another answer behind": answer_of(b"hello") + answer_of(b"evil"),
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "used connection"])
def test_an_answer_with_too_few_or_too_many_bytes_never_looks_whole(
    name: str, warm: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    if warm:
        client.send(GET)
        client.read_response()
    scripted.answer = sends(SHORT[name], then_close=True)
    client.send(GET)
    try:
        answer = client.read_response()
    except Disconnected:
        return
    check_unavailable(answer)


@pytest.mark.parametrize("size", [1, 70_000, 1_000_000])
def test_a_large_answer_that_breaks_off_breaks_off_at_the_client(
    size: int, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * size)
        exchange.reset()

    scripted.answer = answer
    client.send(GET)
    with pytest.raises(Disconnected) as caught:
        answer_read = client.read_response()
        check_unavailable(answer_read)  # where the reset overtook the head
        raise Disconnected(b"")
    assert len(caught.value.received) <= size


def test_bytes_that_come_after_the_answer_are_nobodys(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(answer_of(b"hello"))
        time.sleep(0.3)
        exchange.send(answer_of(b"evil"))
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(GET)
    assert client.read_response().body == b"hello"
    time.sleep(0.6)
    scripted.answer = sends(answer_of(b"good"))
    client.send(GET)
    assert client.read_response().body == b"good"


def test_an_answer_without_length_ends_with_its_connection(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(b'HTTP/1.1 200 OK\r\nETag: "a"\r\n\r\nhello', then_close=True)
    client.send(GET)
    assert client.read_response().body == b"hello"


@pytest.mark.parametrize("pause_s", [0.0, 0.2])
def test_an_empty_answer_without_length_ends_with_its_connection(
    pause_s: float, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        time.sleep(pause_s)
        exchange.close()

    scripted.answer = answer
    client.send(GET)
    assert client.read_response().body == b""


def test_an_answer_of_http_1_0_is_whole_when_its_connection_ends(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = sends(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 300_000, then_close=True)
    client.send(GET)
    assert client.read_response().body == b"x" * 300_000


def test_the_trailer_of_an_answer_is_dropped(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: b\r\n\r\n")
    client.send(GET)
    answer = client.read_response()
    assert answer.body == b"hello"
    assert answer.header(b"x-a") is None


def test_an_answer_in_single_bytes_is_the_same(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        for (
            byte
        ) in b"HTTP/1.1 200 OK\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n":
            exchange.send(bytes((byte,)))
            time.sleep(0.002)

    scripted.answer = answer
    client.send(GET)
    answer_read = client.read_response()
    assert (answer_read.body, answer_read.header(b"x-a")) == (b"hello world", b"b")


# Answers that are none.

NONSENSE = {
    "garbage": b"\x00\xff\x16garbage\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "HTTP/0.9": b"hello",
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
    "a length above 2^63": b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nhello",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a header with NUL": b"HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n",
    "a header with a bare LF": b"HTTP/1.1 200 OK\r\nX-A: b\nX-C: d\r\nContent-Length: 0\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a header too large": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 400_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "headers too many": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"Content-Length: 0\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "1xx without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 20_000,
    "100 without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("request_name", ["GetObject", "HeadObject", "PutObject"])
def test_an_answer_that_is_not_http_is_503(
    name: str, request_name: str, client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = sends(NONSENSE[name], then_close=True)
    request = OPERATIONS[request_name]
    client.send(request)
    check_unavailable(client.read_response(method_of(request)), method_of(request))
    scripted.wait_until(lambda: scripted.open_visits == 0)


def test_a_few_interim_answers_are_passed_over(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3
        + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + answer_of(b"hello", b"200 OK", b"X-A: b")
    )
    client.send(GET)
    answer = client.read_response(skip_continue=False)
    assert (answer.status, answer.body, answer.header(b"link")) == (200, b"hello", None)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("pause_s", [0.0, 0.2])
def test_a_body_where_there_is_none_reaches_nobody(
    status: bytes, pause_s: float, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
        time.sleep(pause_s)
        exchange.send(b"hello")
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(GET)
    assert client.read_response().status in (204, 304, 503)
    time.sleep(2 * pause_s)
    scripted.answer = sends(answer_of(b"good"))
    client.send(GET)
    answer_read = client.read_response()
    # Stray bytes that meet the next request on their connection may fail it, and never answer it.
    assert answer_read.body == b"good" or answer_read.status == 503


@pytest.mark.parametrize("pause_s", [0.0, 0.2])
def test_a_body_of_an_answer_to_head_reaches_nobody(
    pause_s: float, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        time.sleep(pause_s)
        exchange.send(b"hello")
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(HEAD)
    head = client.read_response("HEAD")
    assert head.status in (200, 503)
    time.sleep(2 * pause_s)
    scripted.answer = sends(answer_of(b"good"))
    client.send(GET)
    answer_read = client.read_response()
    # Stray bytes that meet the next request on their connection may fail it, and never answer it.
    assert answer_read.body == b"good" or answer_read.status == 503


def test_an_answer_to_head_keeps_its_length(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n\r\n")
    client.send(HEAD + HEAD)
    for _ in range(2):
        assert client.read_response("HEAD").header(b"content-length") == b"123456789012"


def test_headers_of_the_remotes_connection_stay_there(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(
        answer_of(b"", b"200 OK", b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"X-Stay: 2")
    )
    client.send(GET)
    answer = client.read_response()
    assert [answer.header(name) for name in (b"x-hop", b"keep-alive", b"x-stay")] == [None, None, b"2"]
