"""Connections to the remote that end when they are needed, and those that cannot be made."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from fault.wire import GET, OPERATIONS, PUT, STATUS, check_unavailable, method_of
from servers.daemon import S3dDaemon
from servers.raw import RawConnection, exchange
from servers.scripted import Exchange, ScriptedRemote, answer_of

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
