"""Fixtures shared by every test, and what no test may leave behind.

Servers are started once per run, when a test first asks; each test gets a bucket of its own instead of a server.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from servers import clients
from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon, installed_from
from servers.proxy import CuttingProxy
from servers.raw import RawConnection
from servers.remotes import REMOTE_CREDENTIALS, Credentials, Remote, start_moto, start_seaweedfs

REMOTES = ["seaweedfs", "moto"]
# What the s3d that has no remote lets in. As a remote of another s3d it is a server like those.
STANDALONE_CREDENTIALS = Credentials("ALONEEXAMPLEKEY00001", "alone/secret+Key/EXAMPLE0001cQwSgJDkEXAMPLE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run what takes long (marked `full`)")


def pytest_configure(config: pytest.Config) -> None:
    # No deadline: a slow machine is not a bug. The same examples each time in CI, so that it fails for what changed.
    hypothesis.settings.register_profile(
        "s3d",
        deadline=None,
        print_blob=True,
        derandomize=bool(os.environ.get("CI")),
        max_examples=2000 if config.getoption("--full") else 100,
    )
    hypothesis.settings.load_profile("s3d")
    if os.environ.get("S3D_TESTS_INSTALLED"):
        here, wanted = installed_from(), Path(sysconfig.get_path("purelib")).resolve()
        if here != wanted:
            raise pytest.UsageError(f"s3d is imported from {here}, and not the installed one from {wanted}")


def pytest_report_header() -> str:
    return f"s3d: {installed_from()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        long = [item for item in items if item.get_closest_marker("full")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if not item.get_closest_marker("full")]


# What no test may leave behind.


def _open_files() -> dict[int, str]:
    files = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            files[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            # The directory's own descriptor, which the listing shows and which is closed by now.
            continue
    return files


@pytest.fixture(autouse=True)
def no_leaked_files(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test after which this process holds more file descriptors than before."""
    before = _open_files()
    yield
    if request.node.get_closest_marker("xfail") is not None:
        # A test that fails as it should keeps its connection in the traceback.
        return
    leaked = {fd: name for fd, name in _open_files().items() if before.get(fd) != name}
    deadline = time.monotonic() + 5
    while leaked and time.monotonic() < deadline:
        # Dropped but still part of a reference cycle is not a leak, nor what a server's thread is about to close.
        gc.collect()
        time.sleep(0.05)
        leaked = {fd: name for fd, name in _open_files().items() if before.get(fd) != name}
    assert not leaked, f"file descriptors left open: {leaked}"


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def no_lost_tasks() -> Iterator[None]:
    """Fails a test during which asyncio found a destroyed task or an exception that nobody took."""
    complaints = _Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    yield
    logger.removeHandler(complaints)
    assert not complaints.lines, "\n".join(complaints.lines)


# Servers.


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """SeaweedFS's S3 gateway: a real store with real signatures."""
    server = start_seaweedfs(tmp_path_factory.mktemp("seaweedfs"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """moto's S3 server over HTTP; it believes anything, see `servers.remotes`."""
    server = start_moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def standalone_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3dDaemon]:
    """An s3d without a remote, in the process of its own; shared, so leave it as it is."""
    daemon = S3dDaemon(tmp_path_factory.mktemp("s3d-standalone"), standalone=True, identity=STANDALONE_CREDENTIALS)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="session")
def standalone(standalone_daemon: S3dDaemon) -> Remote:
    """The same as a remote of others."""
    return Remote("standalone", standalone_daemon.endpoint, STANDALONE_CREDENTIALS, standalone_daemon.process)


@pytest.fixture(params=REMOTES)
def remote(request: pytest.FixtureRequest) -> Remote:
    """Each of the remotes in turn. Narrow it by `@pytest.mark.parametrize("remote", ["seaweedfs"], indirect=True)`."""
    server: Remote = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def _gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3dDaemon]]:
    daemons: dict[str, S3dDaemon] = {}
    yield daemons
    for daemon in daemons.values():
        daemon.stop()


@pytest.fixture
def gateway(
    remote: Remote, _gateways: dict[str, S3dDaemon], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3dDaemon]:
    """s3d in front of `remote`, verifying signatures of `LOCAL_CREDENTIALS`; shared, so leave it as it is."""
    if remote.name not in _gateways:
        daemon = S3dDaemon(
            tmp_path_factory.mktemp(f"s3d-{remote.name}"), remote=remote.endpoint, credentials=remote.credentials
        )
        daemon.start()
        _gateways[remote.name] = daemon
    yield _gateways[remote.name]
    _gateways[remote.name].check_log()


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., S3dDaemon]]:
    """Makes and starts an s3d of the test's own; its exit code and log are checked at the end of the test.

    `start_daemon(remote, …)` takes a Remote, an endpoint's URL or None, `until="live"` where the remote is meant to be
    unreachable, and what `S3dDaemon` takes.
    """
    daemons: list[S3dDaemon] = []

    def start(to: Remote | str | None, *, until: str = "ready", **options: object) -> S3dDaemon:
        endpoint = to.endpoint if isinstance(to, Remote) else to
        options.setdefault("credentials", to.credentials if isinstance(to, Remote) else REMOTE_CREDENTIALS)
        daemon = S3dDaemon(tmp_path / f"s3d-{len(daemons)}", remote=endpoint, **options)  # type: ignore[arg-type]
        daemons.append(daemon)
        daemon.start(until)
        return daemon

    yield start
    try:
        for daemon in daemons:
            if daemon.process.running:
                daemon.stop()
            else:
                daemon.check_log()
    finally:
        for daemon in daemons:
            daemon.kill()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[str], CuttingProxy]]:
    """Makes a `CuttingProxy` in front of an endpoint; all are closed at the end of the test."""
    proxies: list[CuttingProxy] = []

    def make(endpoint: str) -> CuttingProxy:
        host, port = endpoint.removeprefix("http://").split(":")
        proxies.append(CuttingProxy((host, int(port))))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


# Clients.


@pytest.fixture
def s3(gateway: S3dDaemon):  # type: ignore[no-untyped-def]
    """A boto3 client of the gateway with today's defaults."""
    connection = gateway.client()
    yield connection
    connection.close()


@pytest.fixture
def direct(remote: Remote):  # type: ignore[no-untyped-def]
    """A boto3 client straight to the remote: what is really there."""
    connection = remote.client()
    yield connection
    connection.close()


_bucket_numbers = itertools.count(1)


@pytest.fixture
def bucket(direct, request: pytest.FixtureRequest) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The name of a bucket of the test's own, made at the remote and removed with everything in it."""
    name = f"test-{os.getpid()}-{next(_bucket_numbers)}"
    direct.create_bucket(Bucket=name)
    yield name
    for page in direct.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            direct.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in direct.get_paginator("list_object_versions").paginate(Bucket=name):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            direct.delete_object(
                Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"], BypassGovernanceRetention=True
            )
    direct.delete_bucket(Bucket=name)


@pytest.fixture
def raw(gateway: S3dDaemon) -> Iterator[RawConnection]:
    """A plain socket connected to the gateway."""
    with RawConnection(gateway.endpoint) as connection:
        yield connection


@pytest.fixture
def aws_cli(gateway: S3dDaemon, tmp_path: Path) -> clients.ProgramClient:
    """The AWS CLI, pointed at the gateway."""
    return clients.aws_cli(gateway.endpoint, gateway.identity or LOCAL_CREDENTIALS, tmp_path)


@pytest.fixture
def s3cmd(gateway: S3dDaemon, tmp_path: Path) -> clients.ProgramClient:
    """s3cmd, pointed at the gateway."""
    return clients.s3cmd(gateway.endpoint, gateway.identity or LOCAL_CREDENTIALS, tmp_path)


@pytest.fixture
def node(gateway: S3dDaemon, tmp_path: Path) -> clients.ProgramClient:
    """Node.js with the AWS SDK for JavaScript v3, pointed at the gateway."""
    return clients.node(gateway.endpoint, gateway.identity or LOCAL_CREDENTIALS, tmp_path)
