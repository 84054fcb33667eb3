"""Fixtures of the contract tests: `s3` is a boto3 client of s3d, `direct` one of the remote behind it.

`S3D_TESTS_DIRECT=1` runs the same tests straight at the remotes, without s3d: all pass but those of `contract.lacks`,
which have to fail. That is the proof that the list excuses the remotes only.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from contract.lacks import LACKS
from contract.recorder import Recorder
from contract.setups import SETUPS, STRANGER, Setup, start_setup
from contract.wire import Wire
from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon
from servers.remotes import REMOTE_CREDENTIALS, Remote

DIRECT = bool(os.environ.get("S3D_TESTS_DIRECT"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "s3d: looks at s3d itself, which the remote alone cannot answer for")


def _lack(item: pytest.Item, setup: str) -> str | None:
    """Why the setup's remote cannot pass the test, if `LACKS` says so."""
    test, _, parameters = item.name.partition("[")
    rest = parameters.removesuffix("]").removeprefix(setup).strip("-")
    lacks = LACKS[SETUPS[setup].remote]
    return lacks.get(f"{item.path.stem}::{test}") or lacks.get(f"{item.path.stem}::{test}[{rest}]")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = getattr(item, "callspec", None)
        setup = names.params.get("setup") if names is not None else None
        if DIRECT and (item.get_closest_marker("s3d") or "recorded" in getattr(item, "fixturenames", [])):
            item.add_marker(pytest.mark.skip("looks at s3d itself"))
        if setup is None:
            continue
        reason = _lack(item, setup)
        if reason is not None and DIRECT:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif reason is not None and SETUPS[setup].remote == "standalone":
            # Our own: what is mended must leave the list.
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif reason is not None:
            item.add_marker(pytest.mark.skip(f"{SETUPS[setup].remote}: {reason}"))


@pytest.fixture(scope="session")
def _setups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Setup]]:
    started: dict[str, Setup] = {}
    yield started
    for one in started.values():
        one.stop()


# Of each remote one setup, with and without signatures, in every run; what the others add is for the full level.
_FULL = {"seaweedfs-open", "moto", "chain"}
_PARAMS = [pytest.param(name, marks=[pytest.mark.full] if name in _FULL else []) for name in SETUPS]


@pytest.fixture(params=["seaweedfs", "moto"] if DIRECT else _PARAMS)
def setup(
    request: pytest.FixtureRequest, _setups: dict[str, Setup], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    """Each setup in turn; shared, so leave it as it is. `only(…)` of `contract.setups` narrows it."""
    name = request.param
    if name not in _setups:
        kind = SETUPS[name]
        remote: Remote = request.getfixturevalue(kind.remote)
        if DIRECT:
            _setups[name] = Setup(name, remote)
        elif kind.alone:
            _setups[name] = Setup(name, remote, [request.getfixturevalue("standalone_daemon")])
        else:
            _setups[name] = start_setup(name, remote, tmp_path_factory.mktemp(f"s3d-{name}"))
    yield _setups[name]
    _setups[name].check_log()


@pytest.fixture
def remote(setup: Setup) -> Remote:
    """The remote at the end of the setup."""
    return setup.remote


@pytest.fixture
def gateway(setup: Setup) -> S3dDaemon:
    """The s3d that clients connect to."""
    return setup.daemons[0]


@pytest.fixture(scope="session")
def _clients() -> dict[tuple[str, str], object]:
    return {}


def _cached(clients: dict[tuple[str, str], object], name: tuple[str, str], make: Callable[[], object]):  # type: ignore[no-untyped-def]
    # Making a boto3 client takes longer than a whole test. Closing one only closes its connections.
    if name not in clients:
        clients[name] = make()
    return clients[name]


@pytest.fixture
def s3(setup: Setup, _clients: dict[tuple[str, str], object]):  # type: ignore[no-untyped-def]
    """A boto3 client with today's defaults."""
    connection = _cached(_clients, ("s3", setup.name), setup.client)
    yield connection
    connection.close()


@pytest.fixture
def direct(remote: Remote, _clients: dict[tuple[str, str], object]):  # type: ignore[no-untyped-def]
    """A boto3 client straight to the remote, which a standalone is itself: what is really there."""
    connection = _cached(_clients, ("direct", remote.name), remote.client)
    yield connection
    connection.close()


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _shared_buckets() -> set[str]:
    return set()


@pytest.fixture
def bucket(direct, remote: Remote, _shared_buckets: set[str]) -> str:  # type: ignore[no-untyped-def]
    """A bucket that the tests share, since a store takes its time to make one: keep to `key` and what is below."""
    name = "shared"
    if remote.name not in _shared_buckets:
        direct.create_bucket(Bucket=name)
        _shared_buckets.add(remote.name)
    return name


@pytest.fixture
def key() -> str:
    """A key of the test's own, and a prefix of others."""
    return f"key-{next(_numbers)}"


@pytest.fixture
def own_bucket(new_bucket: str, direct) -> str:  # type: ignore[no-untyped-def]
    """A bucket of the test's own, made at the remote; removed with everything in it."""
    direct.create_bucket(Bucket=new_bucket)
    return new_bucket


@pytest.fixture
def new_bucket(direct) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """The name of a bucket that does not exist yet; removed with everything in it if the test made it."""
    name = f"new-{os.getpid()}-{next(_numbers)}"
    yield name
    if name not in [one["Name"] for one in direct.list_buckets()["Buckets"]]:
        return
    for upload in direct.list_multipart_uploads(Bucket=name).get("Uploads", []):
        direct.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    listing = direct.list_object_versions(Bucket=name)
    for entry in [*listing.get("Versions", []), *listing.get("DeleteMarkers", [])]:
        direct.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"])
    direct.delete_bucket(Bucket=name)


@pytest.fixture
def wire(setup: Setup) -> Wire:
    """Requests written by hand, signed for the setup."""
    return Wire(setup.endpoint, setup.credentials)


@dataclass
class Recording:
    """An s3d whose remote is a `Recorder`."""

    recorder: Recorder
    daemon: S3dDaemon
    wire: Wire


@pytest.fixture(scope="session")
def _recordings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recording]]:
    started: dict[str, Recording] = {}
    for name, identity in (("sigv4", LOCAL_CREDENTIALS), ("none", None)):
        recorder = Recorder()
        daemon = S3dDaemon(
            tmp_path_factory.mktemp(f"s3d-recorded-{name}"),
            remote=recorder.endpoint,
            credentials=REMOTE_CREDENTIALS,
            identity=identity,
        )
        daemon.start("live")
        started[name] = Recording(recorder, daemon, Wire(daemon.endpoint, identity or STRANGER))
    yield started
    for one in started.values():
        one.daemon.stop()
        one.recorder.close()


@pytest.fixture(params=["sigv4", "none"])
def recorded(request: pytest.FixtureRequest, _recordings: dict[str, Recording]) -> Iterator[Recording]:
    """An s3d in front of an upstream that writes down what it gets, checking signatures and not."""
    one = _recordings[request.param]
    yield one
    one.recorder.forget()
    one.daemon.check_log()
