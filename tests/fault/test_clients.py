"""Clients that stall, leave, ask ahead, read slowly, or come in too great a number."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable

import pytest

from servers.daemon import S3dDaemon
from servers.raw import RawConnection
from servers.scripted import Exchange, Gone, ScriptedRemote, answer_of

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE_PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


def put(body: bytes, target: bytes = b"/bucket/key") -> bytes:
    return b"PUT " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def echo_target(exchange: Exchange) -> None:
    body = exchange.read_body()
    exchange.send(answer_of(exchange.target + b" " + body))


def reset(client: RawConnection) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def check_nothing_is_busy(daemon: S3dDaemon, scripted: ScriptedRemote) -> None:
    """Every open connection to the remote can be used: as many requests at once as there are take no new one."""
    open_visits, accepted, done = scripted.open_visits, scripted.accepted, len(scripted.exchanges)

    def hold(exchange: Exchange) -> None:
        with contextlib.suppress(AssertionError):
            scripted.wait_until(lambda: len(scripted.exchanges) >= done + open_visits, 5)
        exchange.send(answer_of(b"ok"))

    scripted.answer = hold
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawConnection(daemon.endpoint)) for _ in range(open_visits)]
        for client in clients:
            client.send(GET)
        for client in clients:
            assert client.read_response().status == 200
    assert scripted.accepted == accepted, f"of {open_visits} connections {scripted.accepted - accepted} are not free"


# Stalling.


@pytest.mark.parametrize("sent", [b"G", b"GET /bucket/key HTTP/1.1\r\n", b"GET /bucket/key HTTP/1.1\r\nHost: local"])
def test_a_client_that_stalls_within_the_head_is_refused_and_cut(sent: bytes, client: RawConnection) -> None:
    client.send(sent)
    answer = client.read_response()
    assert (answer.status, answer.error_code) == (400, "RequestTimeout")
    assert client.is_closed()


def test_a_client_that_says_nothing_is_cut(client: RawConnection) -> None:
    assert client.read_until_closed() == b""


def test_a_connection_that_idles_after_an_answer_is_closed(client: RawConnection) -> None:
    client.send(GET)
    assert client.read_response().status == 200
    assert client.is_closed()


@pytest.mark.parametrize("sent", [0, 1, 300_000])
def test_a_client_that_stalls_within_the_body_is_refused_and_its_upload_given_up(
    sent: int, client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(LARGE_PUT + b"x" * sent)
    answer = client.read_response()
    assert (answer.status, answer.error_code) == (400, "RequestTimeout")
    assert client.is_closed()
    scripted.wait_until(lambda: scripted.open_visits == 0)
    assert not any(exchange.complete for exchange in scripted.exchanges)


def test_a_client_that_sends_slowly_but_steadily_is_served(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    for byte in put(b"hello"):
        client.send(bytes((byte,)))
        time.sleep(0.02)
    assert client.read_response().body == b"/bucket/key hello"


def test_an_upload_that_pauses_for_less_than_the_limit_is_served(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = echo_target
    client.send(put(b"x" * 8)[:-8])
    for _ in range(8):
        time.sleep(0.5)
        client.send(b"x")
    assert client.read_response().status == 200


# Leaving.


@pytest.mark.parametrize("leave", [RawConnection.close, RawConnection.end, reset])
@pytest.mark.parametrize("sent", [0, 1, 300_000])
def test_a_client_that_leaves_within_the_body_stores_nothing_and_leaks_nothing(
    leave: Callable[[RawConnection], None], sent: int, client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(LARGE_PUT + b"x" * sent)
    if sent:  # the remote hears of an upload with its first byte
        scripted.wait_for(1)
    leave(client)
    scripted.wait_until(lambda: scripted.open_visits == 0)
    assert not any(exchange.complete for exchange in scripted.exchanges)


def test_a_client_that_half_closes_within_the_body_learns_what_was_wrong(client: RawConnection) -> None:
    client.send(LARGE_PUT + b"x" * 1000)
    client.end()
    answer = client.read_response()
    assert (answer.status, answer.error_code) == (400, "IncompleteBody")


@pytest.mark.parametrize("leave", [RawConnection.close, reset])
def test_a_client_that_leaves_within_a_download_frees_the_remotes_connection(
    leave: Callable[[RawConnection], None], client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            exchange.send(b"x" * 100_000)

    scripted.answer = answer
    client.send(GET)
    client.socket.recv(100_000)
    leave(client)
    scripted.wait_until(lambda: scripted.open_visits == 0)


def test_a_client_that_resets_while_the_remote_thinks_frees_its_connection(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    gone: list[bool] = []
    scripted.answer = lambda exchange: gone.append(exchange.wait_until_gone(1.5))
    client.send(GET)
    scripted.wait_for(1)
    reset(client)
    scripted.wait_until(lambda: gone == [True])


@pytest.mark.parametrize("warm", [False, True])
def test_clients_that_reset_just_as_the_answer_comes_leak_nothing(
    warm: bool, connect: Callable[[], RawConnection], scripted: ScriptedRemote, daemon: S3dDaemon
) -> None:
    def answer(exchange: Exchange) -> None:
        leavers.pop(0)()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        time.sleep(0.02)
        exchange.send(b"x" * 500_000)

    leavers: list[Callable[[], None]] = []
    for number in range(60):
        client = connect()
        leavers.append(lambda client=client: reset(client))  # type: ignore[misc]
        scripted.answer = answer
        target = b"/bucket/key" if warm else b"/bucket-%d/key" % number
        client.send(GET.replace(b"/bucket/key", target))
        scripted.wait_for(number + 1)
    time.sleep(1)
    check_nothing_is_busy(daemon, scripted)


def test_a_half_closed_connection_still_gets_its_answer(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        time.sleep(0.5)
        exchange.send(answer_of(b"x" * 300_000))

    scripted.answer = answer
    client.send(GET)
    client.end()
    assert client.read_response().body == b"x" * 300_000
    assert client.is_closed()


def test_requests_sent_before_a_half_close_are_all_answered(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    client.send(b"".join(GET.replace(b"key", b"%d" % number) for number in range(10)))
    client.end()
    for number in range(10):
        assert client.read_response().body == b"/bucket/%d " % number
    assert client.is_closed()


# Asking ahead.


def test_pipelined_reads_are_answered_in_order(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    client.send(b"".join(GET.replace(b"key", b"%d" % number) for number in range(100)))
    for number in range(100):
        assert client.read_response().body == b"/bucket/%d " % number


def test_requests_before_one_with_bad_framing_are_all_answered(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    client.send(
        b"".join(GET.replace(b"key", b"%d" % number) for number in range(10))
        + b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    )
    for number in range(10):
        assert client.read_response().body == b"/bucket/%d " % number
    assert client.read_response().status == 411  # refused before its framing is met
    assert client.is_closed()


def test_pipelined_uploads_keep_their_bodies_apart(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    bodies = [bytes((65 + number,)) * size for number, size in enumerate([0, 1, 70_000, 5, 300_000, 0, 2, 65_536])]
    requests = [put(body, b"/bucket/%d" % number) for number, body in enumerate(bodies)]
    client.send(b"".join(requests), piece_bytes=10_000)
    for number, body in enumerate(bodies):
        assert client.read_response().body == b"/bucket/%d " % number + body


def test_an_answer_out_of_the_daemon_itself_keeps_its_place_in_the_line(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = echo_target
    live = b"GET /_s3d/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send((GET + live) * 20)
    for _ in range(20):
        assert client.read_response().body == b"/bucket/key "
        assert b"live" in client.read_response().body


def test_a_client_that_asks_without_reading_is_not_served_ahead(
    client: RawConnection, scripted: ScriptedRemote, daemon: S3dDaemon
) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(b"x" * 1_000_000))
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(GET * 500)
    time.sleep(1)
    assert len(scripted.exchanges) < 100
    assert daemon.rss_bytes() < 200_000_000


def test_bytes_after_a_request_that_asked_to_close_are_ignored(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = echo_target
    client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + GET)
    answer = client.read_response()
    assert answer.header(b"connection") == b"close"
    assert client.is_closed()
    assert len(scripted.exchanges) == 1


def test_a_client_of_http_1_0_gets_an_answer_that_it_can_read(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = lambda exchange: exchange.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    client.send(b"GET /bucket/key HTTP/1.0\r\nHost: localhost\r\n\r\n")
    data = client.read_until_closed()
    assert b"chunked" not in data
    assert data.endswith(b"\r\n\r\nhello")


def test_an_answer_that_breaks_off_does_so_for_a_client_of_http_1_0_too(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        time.sleep(0.3)
        exchange.close()

    scripted.answer = answer
    client.send(b"GET /bucket/key HTTP/1.0\r\nHost: localhost\r\n\r\n")
    client.socket.settimeout(10)
    # The end of the connection is all that such a client has to go by: it must not be an orderly one.
    with pytest.raises(ConnectionResetError):
        while client.socket.recv(65536):
            pass


# Reading slowly.


def test_a_slow_reader_of_a_large_download_costs_little_memory(
    connect: Callable[[float], RawConnection], scripted: ScriptedRemote, daemon: S3dDaemon
) -> None:
    size = 200_000_000

    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = b"x" * 1_000_000
        for _ in range(size // len(piece)):
            exchange.send(piece)

    scripted.answer = answer
    before = daemon.rss_bytes()
    clients = [connect(30.0) for _ in range(4)]
    for client in clients:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(GET)
    for _ in range(15):
        for client in clients:
            client.socket.recv(20_000)
        time.sleep(0.1)
    assert daemon.rss_bytes() - before < 30_000_000
    for client in clients:
        client.close()
    scripted.wait_until(lambda: scripted.open_visits == 0)


def test_a_client_that_reads_nothing_is_cut_and_the_remotes_connection_freed(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            exchange.send(b"x" * 1_000_000)

    scripted.answer = answer
    client.send(GET)
    scripted.wait_for(1)
    scripted.wait_until(lambda: scripted.open_visits == 0, 20)


def test_a_fast_client_is_served_while_others_read_slowly(
    connect: Callable[[], RawConnection], scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.target.endswith(b"slow"):
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(100):
                exchange.send(b"x" * 1_000_000)
        else:
            exchange.send(answer_of(b"hello"))

    scripted.answer = answer
    for _ in range(5):
        connect().send(GET.replace(b"key", b"slow"))
    scripted.wait_for(5)
    fast = connect()
    for _ in range(50):
        fast.send(GET)
        assert fast.read_response().body == b"hello"


# Too many.


def test_connections_above_the_limit_are_told_to_slow_down(
    start_daemon: Callable[..., S3dDaemon], scripted: ScriptedRemote
) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None, env={"S3D_MAX_CONNECTIONS": "5"})
    daemon.expect_log(" WARNING ")
    with contextlib.ExitStack() as stack:
        inside = [stack.enter_context(RawConnection(daemon.endpoint)) for _ in range(5)]
        for client in inside:
            client.send(GET)
            assert client.read_response().status == 200
        for _ in range(3):
            above = stack.enter_context(RawConnection(daemon.endpoint))
            answer = above.read_response()
            assert (answer.status, answer.error_code) == (503, "SlowDown")
            assert above.is_closed()
        above = stack.enter_context(RawConnection(daemon.endpoint))
        with contextlib.suppress(OSError):
            above.send(GET * 100)
        assert above.read_response().error_code == "SlowDown"
        for client in inside:
            client.send(GET)
            assert client.read_response().status == 200
        inside[0].close()
        deadline = time.monotonic() + 10
        while True:
            again = stack.enter_context(RawConnection(daemon.endpoint))
            again.send(GET)
            if again.read_response().status == 200:
                break
            assert time.monotonic() < deadline, "a place that became free is not given again"
            time.sleep(0.2)


def test_a_thousand_connections_that_come_and_go_leave_nothing(
    connect: Callable[[], RawConnection], scripted: ScriptedRemote, daemon: S3dDaemon
) -> None:
    for number in range(1000):
        client = connect()
        if number % 3 == 0:
            client.send(GET)
        elif number % 3 == 1:
            client.send(LARGE_PUT + b"x" * 100)
        if number % 2:
            reset(client)
        else:
            client.close()
    # Those that stopped within a body stay until their time limit.
    time.sleep(4)
    check_nothing_is_busy(daemon, scripted)


def test_gone_ends_a_script(client: RawConnection, scripted: ScriptedRemote) -> None:
    seen: list[bool] = []

    def answer(exchange: Exchange) -> None:
        try:
            exchange.read_body()
        except Gone:
            seen.append(True)
            raise

    scripted.answer = answer
    client.send(LARGE_PUT + b"x")
    scripted.wait_for(1)
    client.close()
    scripted.wait_until(lambda: seen == [True])
