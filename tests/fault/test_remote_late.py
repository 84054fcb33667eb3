"""A remote that does not answer, or not to the end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from fault.wire import GET, OPERATIONS, check_unavailable, method_of
from servers.raw import Disconnected, RawConnection
from servers.scripted import Exchange, Gone, ScriptedRemote, answer_of


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
