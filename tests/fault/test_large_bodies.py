"""Bodies large enough to go from socket to socket within the kernel: nothing lost, doubled or mixed up on that way."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from servers.raw import Disconnected, RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of, error_of

BODY = random.Random(5).randbytes(24 << 20)
HEAD = b"PUT /bucket/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"


def send_slowly(connection: socket.socket, data: bytes) -> None:
    """In pieces of odd sizes, some of them after a pause."""
    pieces = random.Random(6)
    at = 0
    while at < len(data):
        size = pieces.choice([1, 700, 65_537, 300_000, 2_000_003])
        connection.sendall(data[at : at + size])
        at += size
        if pieces.random() < 0.2:
            time.sleep(0.01)


def read_slowly(exchange: Exchange) -> bytes:
    """The body, with pauses, so that the sockets before us fill up."""
    while not exchange.complete:
        exchange.read_body(1_500_000)
        time.sleep(0.01)
    return bytes(exchange.body)


@pytest.mark.parametrize("reads", [Exchange.read_body, read_slowly], ids=["fast remote", "slow remote"])
@pytest.mark.parametrize("sends", [socket.socket.sendall, send_slowly], ids=["fast client", "slow client"])
def test_a_large_upload_arrives_byte_for_byte(
    sends: Callable[[socket.socket, bytes], None],
    reads: Callable[[Exchange], bytes],
    client: RawConnection,
    scripted: ScriptedRemote,
) -> None:
    got: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        reads(exchange)
        got.append(bytes(exchange.body))
        exchange.send(answer_of(b""))

    scripted.answer = answer
    for number in range(2):  # the second on the same two connections
        client.send(HEAD % (number, len(BODY)))
        sends(client.socket, BODY)
        assert client.read_response().status == 200
    assert got == [BODY, BODY]


@pytest.mark.parametrize("sends", [socket.socket.sendall, send_slowly], ids=["fast remote", "slow remote"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast client", "slow client"])
def test_a_large_answer_arrives_byte_for_byte(
    sends: Callable[[socket.socket, bytes], None], slow: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        sends(exchange.visit.socket, BODY)

    scripted.answer = answer
    if slow:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    for _ in range(2):
        client.send(GET)
        if slow:
            time.sleep(0.3)
        assert client.read_response().body == BODY


def test_requests_behind_a_large_upload_are_answered_in_order(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(answer_of(b"%b %d" % (exchange.target, len(exchange.body))))

    scripted.answer = answer
    sender = threading.Thread(
        target=client.socket.sendall, args=(HEAD % (1, len(BODY)) + BODY + GET + HEAD % (2, 5) + b"hello" + GET,)
    )
    sender.start()
    bodies = [client.read_response().body for _ in range(4)]
    sender.join(10)
    assert bodies == [b"/bucket/1 %d" % len(BODY), b"/bucket/key 0", b"/bucket/2 5", b"/bucket/key 0"]


def test_bytes_too_many_of_a_large_answer_break_it_off(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(BODY) - 5) + BODY)
        exchange.wait_until_gone()

    scripted.answer = answer
    client.send(GET)
    with pytest.raises(Disconnected) as caught:
        client.read_response()
    assert len(caught.value.received) < len(BODY) + 200
    assert not caught.value.received.endswith(BODY[-10:])


def test_a_client_that_leaves_in_a_large_upload_takes_the_remotes_connection_along(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    gone: list[bool] = []

    def answer(exchange: Exchange) -> None:
        exchange.read_body(len(BODY) // 2)
        gone.append(exchange.wait_until_gone())

    scripted.answer = answer
    client.send(HEAD % (1, len(BODY)) + BODY[: len(BODY) * 3 // 4])
    client.close()
    deadline = time.monotonic() + 10
    while not gone and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone == [True]


@pytest.mark.parametrize("leaves", [Exchange.close, Exchange.reset], ids=["close", "reset"])
def test_a_remote_that_refuses_in_the_middle_of_a_large_upload_is_heard(
    leaves: Callable[[Exchange], None], client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(4 << 20)
        exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
        exchange.close() if leaves is Exchange.close else time.sleep(0.2)
        leaves(exchange)

    scripted.answer = answer
    client.send(HEAD % (1, len(BODY)))
    sender = threading.Thread(target=_send_until_closed, args=(client.socket,))
    sender.start()
    response = client.read_response()
    sender.join(10)
    assert response.status == 403
    assert response.error_code == "AccessDenied"


def _send_until_closed(connection: socket.socket) -> None:
    try:
        connection.sendall(BODY)
    except OSError:
        return


def test_a_large_upload_that_nobody_takes_ends_within_the_time_limit(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(1 << 20)
        time.sleep(6)

    scripted.answer = answer
    sender = threading.Thread(target=_send_until_closed, args=(client.socket,))
    client.send(HEAD % (1, len(BODY)))
    sender.start()
    response = client.read_response()
    client.close()
    sender.join(10)
    assert response.status == 503
