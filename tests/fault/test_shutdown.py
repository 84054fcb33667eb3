"""How s3d starts and ends: signals, addresses, listeners."""

from __future__ import annotations

import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.daemon import S3dDaemon
from servers.process import HOST
from servers.raw import Disconnected, RawConnection, exchange
from servers.remotes import REMOTE_CREDENTIALS
from servers.scripted import Exchange, ScriptedRemote, answer_of

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"

Start = Callable[..., S3dDaemon]


def slow_answer(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n")
    for _ in range(10):
        time.sleep(0.2)
        exchange.send(b"x" * 50_000)


def no_answer(exchange: Exchange) -> None:
    exchange.wait_until_gone()


def test_a_download_under_way_is_finished_before_the_end(start_daemon: Start, scripted: ScriptedRemote) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None)
    scripted.answer = slow_answer
    with RawConnection(daemon.endpoint) as client:
        client.send(GET)
        scripted.wait_for(1)
        daemon.process.signal(signal.SIGTERM)
        assert len(client.read_response().body) == 500_000
        assert client.is_closed()
    assert daemon.process.wait() == 0


def test_an_upload_under_way_is_finished_before_the_end(start_daemon: Start, scripted: ScriptedRemote) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None)
    with RawConnection(daemon.endpoint) as client:
        client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
        scripted.wait_for(1)
        daemon.process.signal(signal.SIGTERM)
        time.sleep(0.3)
        client.send(b"hello")
        answer = client.read_response()
        assert answer.status == 200
        assert answer.header(b"connection") == b"close"
    assert daemon.process.wait() == 0
    assert bytes(scripted.exchanges[0].body) == b"hellohello"


def test_idle_connections_are_closed_at_once_and_new_ones_refused(
    start_daemon: Start, scripted: ScriptedRemote
) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None)
    scripted.answer = slow_answer
    with (
        RawConnection(daemon.endpoint) as busy,
        RawConnection(daemon.endpoint, timeout_s=1.0) as idle,
        RawConnection(daemon.endpoint, timeout_s=1.0) as silent,
    ):
        idle.send(b"GET /_s3d/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle.read_response()
        busy.send(GET)
        scripted.wait_for(1)
        daemon.process.signal(signal.SIGTERM)
        assert idle.is_closed()
        assert silent.is_closed()
        with pytest.raises(ConnectionRefusedError):
            RawConnection(daemon.endpoint)
        busy.read_response()
    assert daemon.process.wait() == 0


def test_a_second_sigterm_ends_at_once(start_daemon: Start, scripted: ScriptedRemote) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None)
    daemon.expect_log(" WARNING ")
    scripted.answer = no_answer
    with RawConnection(daemon.endpoint) as client:
        client.send(GET)
        scripted.wait_for(1)
        daemon.process.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert daemon.process.running
        daemon.process.signal(signal.SIGTERM)
        with pytest.raises(Disconnected):
            client.read_response()
        assert daemon.process.wait(5) == 0


def test_what_takes_longer_than_the_shutdown_limit_is_cut(start_daemon: Start, scripted: ScriptedRemote) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None, env={"S3D_SHUTDOWN_TIMEOUT": "1s"})
    daemon.expect_log(" WARNING ")
    scripted.answer = no_answer
    with RawConnection(daemon.endpoint) as client:
        client.send(GET)
        scripted.wait_for(1)
        daemon.process.signal(signal.SIGTERM)
        with pytest.raises(Disconnected):
            client.read_response()
        assert daemon.process.wait(10) == 0


def test_sigterm_while_a_head_trickles_in_does_not_hang(start_daemon: Start, scripted: ScriptedRemote) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None, env={"S3D_HEADER_TIMEOUT": "2s"})
    with RawConnection(daemon.endpoint) as client:
        client.send(GET[:20])
        time.sleep(0.2)
        daemon.process.signal(signal.SIGTERM)
        assert daemon.process.wait(10) == 0


def test_sigterm_right_after_the_start_ends_cleanly(scripted: ScriptedRemote, tmp_path: Path) -> None:
    daemon = S3dDaemon(tmp_path, remote=scripted.endpoint, credentials=REMOTE_CREDENTIALS, identity=None)
    daemon.process.start(lambda: "serves" in daemon.log)
    daemon.stop()


def test_an_address_in_use_is_said_clearly(start_daemon: Start, scripted: ScriptedRemote, tmp_path: Path) -> None:
    first = start_daemon(scripted.endpoint, identity=None)
    second = S3dDaemon(
        tmp_path / "second", remote=scripted.endpoint, credentials=REMOTE_CREDENTIALS, identity=None,
        env={"S3D_ENDPOINT": first.endpoint},
    )  # fmt: skip
    second.process.spawn()
    assert second.process.wait() == 1
    assert "address is in use" in second.log
    assert first.endpoint in second.log
    assert "Traceback" not in second.log
    assert exchange(first.endpoint, GET).status == 200


def unix_daemon(scripted: ScriptedRemote, directory: Path, path: Path) -> S3dDaemon:
    return S3dDaemon(
        directory, remote=scripted.endpoint, credentials=REMOTE_CREDENTIALS, identity=None,
        env={"S3D_ENDPOINT": f"unix://{path}"},
    )  # fmt: skip


def test_a_unix_socket_serves_replaces_a_stale_file_and_is_removed(scripted: ScriptedRemote, tmp_path: Path) -> None:
    path = tmp_path / "s3d.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    daemon = unix_daemon(scripted, tmp_path / "unix", path)
    try:
        daemon.process.start(lambda: "serves" in daemon.log)
        assert exchange(path, b"GET /bucket/key HTTP/1.1\r\nHost: any.example\r\n\r\n").status == 200
        other = unix_daemon(scripted, tmp_path / "other", path)
        other.process.spawn()
        assert other.process.wait() == 1
        assert "another process listens there" in other.log
        assert exchange(path, GET).status == 200
        daemon.stop()
        assert not path.exists()
    finally:
        daemon.kill()


def test_a_file_that_is_no_socket_is_not_replaced(scripted: ScriptedRemote, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    daemon = unix_daemon(scripted, tmp_path / "unix", path)
    daemon.process.spawn()
    assert daemon.process.wait() == 1
    assert "Traceback" not in daemon.log
    assert path.read_text() == "data"


class TlsConnection(RawConnection):
    """A plain reader over TLS."""

    def __init__(self, endpoint: str, certificate: Path) -> None:
        super().__init__(endpoint)
        context = ssl.create_default_context(cafile=str(certificate))
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


@pytest.fixture
def tls_daemon(scripted: ScriptedRemote, certificate: Path, tmp_path: Path) -> Iterator[S3dDaemon]:
    """s3d serving https only."""
    daemon = S3dDaemon(
        tmp_path / "tls", remote=scripted.endpoint, credentials=REMOTE_CREDENTIALS, identity=None,
        env={"S3D_TLS_CERT": str(certificate), "S3D_TLS_KEY": str(certificate.with_suffix(".key"))},
    )  # fmt: skip
    daemon.process.env["S3D_ENDPOINT"] = f"https://{HOST}:{daemon.port}"
    try:
        daemon.process.start(lambda: "serves" in daemon.log)
        yield daemon
        if daemon.process.running:
            daemon.stop()
    finally:
        daemon.kill()


def test_tls_carries_large_bodies_both_ways(tls_daemon: S3dDaemon, certificate: Path, scripted: ScriptedRemote) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(exchange.read_body()))
    body = bytes(range(256)) * 8_000
    with TlsConnection(tls_daemon.endpoint, certificate) as client:
        for _ in range(3):
            client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert client.read_response().body == body


def test_pipelined_requests_over_tls_are_answered_in_order(
    tls_daemon: S3dDaemon, certificate: Path, scripted: ScriptedRemote
) -> None:
    scripted.answer = lambda exchange: exchange.send(answer_of(exchange.target))
    with TlsConnection(tls_daemon.endpoint, certificate) as client:
        client.send(b"".join(GET.replace(b"key", b"%d" % number) for number in range(50)))
        for number in range(50):
            assert client.read_response().body == b"/bucket/%d" % number


def test_a_client_that_does_not_speak_tls_is_dropped(
    tls_daemon: S3dDaemon, certificate: Path, scripted: ScriptedRemote
) -> None:
    with RawConnection(tls_daemon.endpoint) as client:
        client.send(GET)
        client.read_until_closed()
    with RawConnection(tls_daemon.endpoint) as client:
        client.send(b"\x16\x03\x01")
    scripted.answer = lambda exchange: exchange.send(answer_of(b"hello"))
    with TlsConnection(tls_daemon.endpoint, certificate) as client:
        client.send(GET)
        assert client.read_response().body == b"hello"
    assert "Traceback" not in tls_daemon.log


def test_sigterm_finishes_a_download_over_tls(
    tls_daemon: S3dDaemon, certificate: Path, scripted: ScriptedRemote
) -> None:
    scripted.answer = slow_answer
    with TlsConnection(tls_daemon.endpoint, certificate) as client:
        client.send(GET)
        scripted.wait_for(1)
        tls_daemon.process.signal(signal.SIGTERM)
        assert len(client.read_response().body) == 500_000
    assert tls_daemon.process.wait() == 0


def test_a_refused_request_over_tls_can_be_read(
    tls_daemon: S3dDaemon, certificate: Path, scripted: ScriptedRemote
) -> None:
    with TlsConnection(tls_daemon.endpoint, certificate) as client:
        client.send(GET[:-2] + b"bad header\r\n\r\n")
        assert client.read_response().error_code
        assert client.is_closed()
    assert scripted.exchanges == []
