"""s3d in front of a remote that does what the test says."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.daemon import S3dDaemon
from servers.raw import RawConnection, exchange
from servers.remotes import REMOTE_CREDENTIALS
from servers.scripted import ScriptedRemote

STATUS = b"GET /_s3d/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A remote that misbehaves is worth a warning; a traceback never is.
FAULTS = r" WARNING s3d\.(remote|server): "
# Short enough to wait for, long enough for a machine under load.
LIMITS = {
    "S3D_REMOTE_CONNECT_TIMEOUT": "2s",
    "S3D_REMOTE_READ_TIMEOUT": "2s",
    "S3D_REMOTE_STALL_TIMEOUT": "2s",
    "S3D_HEADER_TIMEOUT": "2s",
    "S3D_BODY_TIMEOUT": "2s",
    "S3D_IDLE_TIMEOUT": "4s",
}


@pytest.fixture(scope="session")
def _scripted() -> Iterator[ScriptedRemote]:
    remote = ScriptedRemote()
    yield remote
    remote.close()


@pytest.fixture(scope="session")
def _impatient(_scripted: ScriptedRemote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3dDaemon]:
    daemon = S3dDaemon(
        tmp_path_factory.mktemp("s3d-impatient"), remote=_scripted.endpoint, credentials=REMOTE_CREDENTIALS,
        identity=None, env=LIMITS,
    )  # fmt: skip
    daemon.expect_log(FAULTS)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def scripted(_scripted: ScriptedRemote) -> Iterator[ScriptedRemote]:
    """The remote of `daemon`; it answers 200 to everything until its `answer` is replaced."""
    _scripted.hang_up()
    yield _scripted
    _scripted.listen()
    _scripted.hang_up()


@pytest.fixture
def daemon(_impatient: S3dDaemon, scripted: ScriptedRemote) -> Iterator[S3dDaemon]:
    """s3d in front of `scripted`, with every time limit at two seconds; shared, so leave it as it is."""
    assert _impatient.process.running, f"s3d has ended:\n{_impatient.log[-4000:]}"
    yield _impatient
    assert _impatient.process.running, f"s3d has ended:\n{_impatient.log[-4000:]}"
    _impatient.check_log()
    # While it doubts the remote it goes on connecting to it, into the next test.
    scripted.listen()
    scripted.hang_up()
    deadline = time.monotonic() + 5
    while b'"state": "online"' not in exchange(_impatient.endpoint, STATUS).body and time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.fixture
def connect(daemon: S3dDaemon) -> Iterator[Callable[[], RawConnection]]:
    """Opens plain sockets to `daemon`; all are closed at the end of the test."""
    connections: list[RawConnection] = []

    def make(timeout_s: float = 15.0) -> RawConnection:
        connections.append(RawConnection(daemon.endpoint, timeout_s=timeout_s))
        return connections[-1]

    yield make
    for connection in connections:
        connection.close()


@pytest.fixture
def client(connect: Callable[[], RawConnection]) -> RawConnection:
    """A plain socket to `daemon`."""
    return connect()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost; its key lies beside it with the ending .key."""
    path = tmp_path / "localhost.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [
            *command.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            *("-keyout", str(path.with_suffix(".key")), "-out", str(path)),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return path
