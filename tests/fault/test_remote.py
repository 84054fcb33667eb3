"""A remote that answers wrongly, late, in pieces, or not at all."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.daemon import S3dDaemon
from servers.raw import Disconnected, RawConnection, RawResponse, exchange
from servers.scripted import Exchange, Gone, ScriptedRemote, answer_of, error_of

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"HEAD /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"

STATUS = b"GET /_s3d/status HTTP/1.1\r\nHost: localhost\r\n\r\n"

OPERATIONS = {
    "GetObject": GET,
    "HeadObject": HEAD,
    "PutObject": PUT,
    "PutObject, expecting 100": (
        b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ),
    "PutObject, empty": b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "PutObject, chunked": (
        b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"x-amz-decoded-content-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "DeleteObject": b"DELETE /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "DeleteObjects": b"POST /bucket?delete HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n<a/>\n",
    "CreateMultipartUpload": b"POST /bucket/key?uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "CompleteMultipartUpload": (
        b"POST /bucket/key?uploadId=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n<a/>\n"
    ),
    "ListObjectsV2": b"GET /bucket?list-type=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ListBuckets": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CreateBucket": b"PUT /bucket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "preflight": b"OPTIONS /bucket/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a\r\n\r\n",
    "from a page": b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n",
}


def method_of(request: bytes) -> str:
    return request.split(b" ", 1)[0].decode()


def sends(data: bytes, *, then_close: bool = False) -> Callable[[Exchange], None]:
    """Answers every request with `data`, after having read its body."""

    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(data)
        if then_close:
            exchange.close()

    return answer


def check_unavailable(answer: RawResponse, method: str = "GET") -> None:
    assert answer.status == 503
    if method != "HEAD":
        assert answer.error_code == "ServiceUnavailable"


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


# Answers that come too early.


@pytest.mark.parametrize("close", [False, True])
def test_an_error_before_the_whole_body_was_sent_reaches_the_client(
    close: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(100_000)
        exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
        if close:
            exchange.close()
        else:
            assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000)
    answer_read = client.read_response()
    assert answer_read.status in ((403, 503) if close else (403,))
    assert client.is_closed()


def test_a_success_before_the_whole_body_was_sent_is_none(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(100_000)
        exchange.send(answer_of(b""))
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000)
    check_unavailable(client.read_response())


# Answers that do not come.


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "PutObject, expecting 100"])
def test_a_remote_that_does_not_answer_is_503(name: str, client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(OPERATIONS[name])
    check_unavailable(client.read_response(method_of(OPERATIONS[name])), method_of(OPERATIONS[name]))
    assert len(scripted.exchanges) == 1, "a request that timed out was sent again"


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
)
def test_an_answer_that_stalls_breaks_off(rest: bytes, client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n" + rest)
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(GET)
    with pytest.raises(Disconnected):
        client.read_response()


def test_an_answer_that_trickles_is_whole(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.5)
            exchange.send(b"x")

    scripted.answer = answer
    client.send(GET)
    assert client.read_response().body == b"x" * 8


def test_an_upload_that_the_remote_takes_slowly_but_steadily_is_not_cut(
    connect: Callable[[float], RawConnection], scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        # 400 KB/s: Linux opens a closed receive window again when a sixteenth of its buffer (up to 6 MB) is free, and
        # calls our socket writable when a third of its own (up to 4 MB) is; the time limit of 2 s lies in between.
        for _ in range(25):
            exchange.read_body(80_000)
            time.sleep(0.2)
        exchange.read_body()
        exchange.send(answer_of(b""))

    scripted.answer = answer
    client = connect(40.0)
    client.socket.settimeout(40.0)
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n" + b"x" * 16_000_000)
    assert client.read_response().status == 200


def test_a_remote_that_takes_no_byte_of_the_body_is_503(
    connect: Callable[[float], RawConnection], scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        # Read nothing at all until the end.
        time.sleep(6)

    scripted.answer = answer
    client = connect(30.0)
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 64000000\r\n\r\n")
    try:
        for _ in range(640):
            client.send(b"x" * 100_000)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    check_unavailable(client.read_response())


# Connections that end between two requests, or just as one is sent.


@pytest.mark.parametrize("request_name", ["GetObject", "HeadObject", "ListObjectsV2"])
@pytest.mark.parametrize("reset", [False, True])
def test_a_read_survives_a_connection_that_was_just_closed(
    request_name: str, reset: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    # Each connection carries two requests; at the second, the remote has given it up already.
    seen: set[int] = set()

    def answer(exchange: Exchange) -> None:
        if exchange.visit.number in seen:
            if reset:
                exchange.reset()
            exchange.close()
            return
        seen.add(exchange.visit.number)
        exchange.send(answer_of(b"" if exchange.method == b"HEAD" else b"hello"))

    scripted.answer = answer
    request = OPERATIONS[request_name]
    for _ in range(20):
        client.send(request)
        assert client.read_response(method_of(request)).status == 200


def test_idle_connections_that_the_remote_closes_are_not_used(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(answer_of(b""))
        exchange.close()

    scripted.answer = answer
    for _ in range(20):
        client.send(PUT)
        assert client.read_response().status == 200
        time.sleep(0.02)


def test_a_request_is_not_sent_again_once_its_body_has_gone(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.close()

    scripted.answer = answer
    client.send(PUT)
    check_unavailable(client.read_response())
    assert len(scripted.exchanges) == 1


def test_a_read_that_is_never_answered_is_sent_again_a_few_times_only(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = Exchange.close
    client.send(GET)
    check_unavailable(client.read_response())
    assert 1 <= len(scripted.exchanges) <= 4


def test_a_remote_that_closes_each_connection_at_once_is_503(
    connect: Callable[[], RawConnection], scripted: ScriptedRemote, daemon: S3dDaemon
) -> None:
    scripted.greet = lambda visit: False
    before = daemon.fd_count()
    for _ in range(20):
        client = connect()
        client.send(GET)
        check_unavailable(client.read_response())
        client.close()
    scripted.wait_until(lambda: daemon.fd_count() <= before + 2)


# 100 Continue.

EXPECTING = OPERATIONS["PutObject, expecting 100"]


def test_the_client_is_told_to_continue_when_the_remote_says_so(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    told = []

    def answer(exchange: Exchange) -> None:
        assert exchange.header(b"expect") == b"100-continue"
        time.sleep(0.4)
        told.append(time.monotonic())
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert exchange.read_body() == b"hello"
        exchange.send(answer_of(b""))

    scripted.answer = answer
    client.send(EXPECTING)
    assert client.read_response(skip_continue=False).status == 100
    assert told
    assert told[0] <= time.monotonic()
    client.send(b"hello")
    assert client.read_response(skip_continue=False).status == 200


def test_the_client_is_told_to_continue_when_the_remote_says_nothing_for_a_while(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(EXPECTING)
    assert client.read_response(skip_continue=False).status == 100
    client.send(b"hello")
    assert client.read_response(skip_continue=False).status == 200
    assert bytes(scripted.exchanges[0].body) == b"hello"


def test_a_refusal_instead_of_100_reaches_the_client_without_its_body(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = lambda exchange: exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
    client.send(EXPECTING)
    answer = client.read_response(skip_continue=False)
    assert (answer.status, answer.error_code) == (403, "AccessDenied")
    assert client.is_closed()


def test_a_client_that_does_not_wait_for_100_is_served(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.method == b"PUT":
            time.sleep(0.2)
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert exchange.read_body() == b"hello"
        exchange.send(answer_of(b""))

    scripted.answer = answer
    client.send(EXPECTING + b"hello" + GET)
    assert client.read_response().status == 200
    assert client.read_response().status == 200


# Regions.


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


# The remote's own address.


def test_white_space_before_a_completed_upload_streams_through(client: RawConnection, scripted: ScriptedRemote) -> None:
    seen: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/xml\r\n\r\n")
        for _ in range(3):
            exchange.send(b"1\r\n \r\n")
            scripted.wait_until(lambda: len(seen) > 0)
        document = b"<R><Location>http://remote.example/bucket/key</Location></R>"
        exchange.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(document), document))

    scripted.answer = answer
    client.send(OPERATIONS["CompleteMultipartUpload"])
    client.socket.settimeout(10)
    received = b""
    while b"\r\n\r\n1\r\n \r\n" not in received:
        received += client.socket.recv(65536)
    seen.append(received)
    rest = received.partition(b"\r\n\r\n")[2]
    while not rest.endswith(b"0\r\n\r\n"):
        rest += client.socket.recv(65536)
    assert b"<Location>http://localhost/bucket/key</Location>" in rest
    assert b"remote.example" not in rest


def test_the_location_header_of_a_new_bucket_is_ours(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(answer_of(b"", b"200 OK", b"Location: http://bucket.remote.example/"))
    client.send(OPERATIONS["CreateBucket"])
    assert client.read_response().header(b"location") == b"http://localhost/bucket"


def test_an_error_document_of_a_completed_upload_passes_unchanged(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    document = b"\n<Error><Code>InternalError</Code></Error>"
    scripted.answer = sends(answer_of(document))
    client.send(OPERATIONS["CompleteMultipartUpload"])
    assert client.read_response().body == document


# A remote that is not there.


@pytest.fixture
def fickle() -> Iterator[ScriptedRemote]:
    """A remote that may stop listening."""
    remote = ScriptedRemote()
    yield remote
    remote.close()


def wait_until_served(daemon: S3dDaemon) -> None:
    deadline = time.monotonic() + 5
    while exchange(daemon.endpoint, GET).status != 200:
        assert time.monotonic() < deadline, "s3d does not see that the remote is back"
        time.sleep(0.1)


def test_a_remote_that_refuses_connections_is_503_for_every_operation_until_it_is_back(
    start_daemon: Callable[..., S3dDaemon], fickle: ScriptedRemote
) -> None:
    daemon = start_daemon(fickle.endpoint, identity=None)
    daemon.expect_log(" WARNING s3d.remote: ")
    wait_until_served(daemon)
    fickle.refuse()
    fickle.hang_up()
    for name, request in OPERATIONS.items():
        with RawConnection(daemon.endpoint) as client:
            client.send(request)
            answer = client.read_response(method_of(request), skip_continue=False)
            assert answer.status == 503, name
            assert method_of(request) == "HEAD" or answer.error_code == "ServiceUnavailable", name
    fickle.listen()
    wait_until_served(daemon)
    for name, request in OPERATIONS.items():
        if name not in ("PutObject, expecting 100", "from a page"):
            assert exchange(daemon.endpoint, request, method_of(request)).status == 200, name


def test_the_state_of_the_remote_shows_in_the_status(
    start_daemon: Callable[..., S3dDaemon], fickle: ScriptedRemote
) -> None:
    daemon = start_daemon(fickle.endpoint, identity=None)
    daemon.expect_log(" WARNING s3d.remote: ")
    wait_until_served(daemon)
    fickle.refuse()
    fickle.hang_up()
    check_unavailable(exchange(daemon.endpoint, GET))
    assert b'"state": "offline"' in exchange(daemon.endpoint, STATUS).body
    fickle.listen()
    deadline = time.monotonic() + 5
    while b'"state": "online"' not in exchange(daemon.endpoint, STATUS).body:
        assert time.monotonic() < deadline, "the probe does not see that the remote is back"
        time.sleep(0.1)


def test_a_remote_that_swallows_connections_is_503_within_the_connect_limit(
    start_daemon: Callable[..., S3dDaemon],
) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        # A full backlog drops what comes: connecting hangs as it does behind a firewall.
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        daemon = start_daemon(
            f"http://127.0.0.1:{listener.getsockname()[1]}", until="live", identity=None,
            env={"S3D_REMOTE_CONNECT_TIMEOUT": "1s"},
        )  # fmt: skip
        daemon.expect_log(" WARNING s3d.remote: ")
        for name, request in OPERATIONS.items():
            with RawConnection(daemon.endpoint, timeout_s=10) as client:
                client.send(request)
                answer = client.read_response(method_of(request), skip_continue=False)
                assert answer.status == 503, name
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


def test_a_remote_connection_limit_that_is_reached_is_503_and_recovers(
    start_daemon: Callable[..., S3dDaemon], scripted: ScriptedRemote
) -> None:
    daemon = start_daemon(
        scripted.endpoint, identity=None, env={"S3D_REMOTE_CONNECTIONS": "2", "S3D_REMOTE_CONNECT_TIMEOUT": "1s"}
    )
    daemon.expect_log(" WARNING s3d.remote: ")
    released: list[bool] = []

    def answer(exchange: Exchange) -> None:
        scripted.wait_until(lambda: bool(released), 20)
        exchange.send(answer_of(b"hello"))

    scripted.answer = answer
    clients = [RawConnection(daemon.endpoint) for _ in range(6)]
    try:
        for client in clients:
            client.send(GET)
        refused = 0
        for client in clients[2:]:
            answer_read = client.read_response()
            assert (answer_read.status, answer_read.error_code) == (503, "SlowDown")
            refused += 1
        released.append(True)
        for client in clients[:2]:
            assert client.read_response().body == b"hello"
        for client in clients:
            client.send(GET)
        for client in clients:
            assert client.read_response().body == b"hello"
        assert refused == 4
    finally:
        for client in clients:
            client.close()


def test_gone_is_what_the_script_sees_when_s3d_gives_up(client: RawConnection, scripted: ScriptedRemote) -> None:
    seen: list[str] = []

    def answer(exchange: Exchange) -> None:
        try:
            exchange.visit.receive()
        except Gone:
            seen.append("gone")

    scripted.answer = answer
    client.send(GET)
    check_unavailable(client.read_response())
    scripted.wait_until(lambda: seen == ["gone"])


def test_an_https_remote_carries_large_bodies_both_ways(
    start_daemon: Callable[..., S3dDaemon], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    remote = ScriptedRemote(lambda exchange: exchange.send(answer_of(exchange.read_body())), tls=context)
    try:
        daemon = start_daemon(remote.endpoint, identity=None, env={"S3D_REMOTE_CA_BUNDLE": str(certificate)})
        for size in (0, 10, 100_000, 3_000_000):
            body = bytes(size)
            with RawConnection(daemon.endpoint) as client:
                for _ in range(2):
                    client.send(PUT.replace(b"Content-Length: 5", b"Content-Length: %d" % size)[:-5] + body)
                    assert client.read_response().body == body
        daemon.stop()
    finally:
        remote.close()


def test_an_https_remote_whose_certificate_nobody_knows_is_503(
    start_daemon: Callable[..., S3dDaemon], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    remote = ScriptedRemote(tls=context)
    try:
        daemon = start_daemon(remote.endpoint, until="live", identity=None)
        daemon.expect_log(" WARNING s3d.remote: ")
        check_unavailable(exchange(daemon.endpoint, GET))
        assert remote.exchanges == []
        daemon.stop()
    finally:
        remote.errors.clear()
        remote.close()
