"""The spool when file-system calls fail, and in which order it makes them; through a library that plays the kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Takes a body in and publishes it; prints what came of it. argv: directory, bytes of the body.
PROGRAM = """
import asyncio, json, os, sys
from concurrent.futures import ThreadPoolExecutor
from s3d._core.collect import Source, chain
from s3d._core.spool import Directory, Spool

async def main(directory, size):
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    said = {"errno": 0, "path": "", "at": ""}
    with ThreadPoolExecutor(2) as executor:
        spool = Spool(directory, 16384, lambda _, error: ended.set_result(error), loop, executor)
        source = Source()
        chain(source, spool)
        try:
            for start in range(0, size, 65536):
                while source.paused:
                    await asyncio.sleep(0.001)
                if source.cancelled is not None:
                    break
                source.feed(b"x" * min(65536, size - start))
            else:
                source.end()
        except OSError:
            pass
        error = await ended
        if error is None:
            said["temporary"] = spool.temporary is not None
            target = Directory(os.path.join(directory, "names"))
            for attempt in range(2):
                try:
                    spool.publish(target, "file", b"trailer", True)
                    break
                except OSError as raised:
                    error, said["at"] = raised, "publish"
                    if sys.argv[3:] != ["twice"]:
                        break
        elif not isinstance(error, OSError):
            raise error
        if error is not None:
            said |= {"errno": error.errno, "path": error.filename}
        said["whole"] = spool.whole
        spool.close()
    await asyncio.sleep(0.01)  # a worker that was at it reports first
    said["files"] = [name for name in os.listdir("/proc/self/fd")
                     if os.path.realpath("/proc/self/fd/" + name).startswith(directory)]
    return said

os.makedirs(os.path.join(sys.argv[1], "names"), exist_ok=True)
print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
"""
SYNCING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from s3d._core.spool import Directory
directory = Directory(sys.argv[1])
with ThreadPoolExecutor(16) as executor:
    for future in [executor.submit(directory.sync) for _ in range(16)]:
        future.result()
print(directory.syncs)
"""
SMALL, LARGE = 100_000, 3_000_000
ENOSPC, EIO, EROFS, EOPNOTSUPP, ENOENT = 28, 5, 30, 95, 2


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled."""
    library = tmp_path_factory.mktemp("faulty") / "faulty.so"
    source = Path(__file__).with_name("faulty.c")
    command = ["gcc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


Spooling = Callable[..., dict[str, Any]]


@pytest.fixture
def spooling(faulty: Path, tmp_path: Path) -> Spooling:
    """Runs `PROGRAM` under faults; what it printed, with the calls it made and the names that it left."""
    directory, log = tmp_path / "below", tmp_path / "calls"
    directory.mkdir()

    def run(size: int, *faults: str, twice: bool = False) -> dict[str, Any]:
        env = os.environ | {
            "LD_PRELOAD": str(faulty),
            "FAULTY": ",".join(faults),
            "FAULTY_ROOT": str(directory),
            "FAULTY_LOG": str(log),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [sys.executable, "-c", PROGRAM, str(directory), str(size), *(["twice"] if twice else [])]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        said["calls"] = log.read_text().split()
        said["names"] = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
        said["directory"] = str(directory)
        return said

    return run


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_is_synced_before_it_is_named_and_its_directory_after(size: int, spooling: Spooling) -> None:
    calls = spooling(size)["calls"]
    assert calls[-3:] == ["fdatasync", "linkat", "fsync"]
    assert set(calls[:-3]) == {"open_anonymous", "pwrite"}


@pytest.mark.parametrize("refusal", [EOPNOTSUPP, ENOENT, 21])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_without_anonymous_files_a_named_one_is_used(size: int, refusal: int, spooling: Spooling) -> None:
    said = spooling(size, f"open_anonymous:{refusal}:1")
    assert (said["errno"], said["names"], said["files"]) == (0, ["names/file"], [])
    assert "open_named" in said["calls"]


def test_a_named_file_that_cannot_be_published_loses_its_name(spooling: Spooling) -> None:
    said = spooling(LARGE, f"open_anonymous:{EOPNOTSUPP}:1", f"fdatasync:{EIO}:1")
    assert (said["errno"], said["at"], said["names"]) == (EIO, "publish", [])


@pytest.mark.parametrize("number", [ENOSPC, EIO])
@pytest.mark.parametrize("nth", [1, 2, 8])
def test_a_write_that_fails_ends_the_body(number: int, nth: int, spooling: Spooling) -> None:
    said = spooling(LARGE, f"pwrite:{number}:{nth}")
    assert (said["errno"], said["whole"], said["at"]) == (number, False, "")
    assert said["path"].startswith(said["directory"])
    assert (said["names"], said["files"]) == ([], [])


def test_a_short_write_is_gone_on_with(spooling: Spooling) -> None:
    said = spooling(LARGE, f"pwrite:{EIO}:2!")
    assert (said["errno"], said["names"]) == (0, ["names/file"])
    assert (Path(said["directory"]) / "names/file").stat().st_size == LARGE + len(b"trailer")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_read_only_volume_refuses_the_body(size: int, spooling: Spooling) -> None:
    said = spooling(size, f"open_anonymous:{EROFS}:1")
    assert (said["errno"], said["path"], said["names"]) == (EROFS, said["directory"], [])


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("call", "number"), [("fdatasync", EIO), ("fdatasync", ENOSPC), ("linkat", ENOSPC), ("fsync", EIO)]
)
def test_what_cannot_be_made_durable_has_no_name(size: int, call: str, number: int, spooling: Spooling) -> None:
    said = spooling(size, f"{call}:{number}:1")
    assert (said["errno"], said["at"]) == (number, "publish")
    assert said["path"] == f"{said['directory']}/names/file"
    assert (said["names"], said["files"]) == ([], [])


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_failed_sync_is_never_tried_again(size: int, spooling: Spooling) -> None:
    said = spooling(size, f"fdatasync:{EIO}:1!", twice=True)
    assert (said["errno"], said["calls"].count("fdatasync"), said["names"]) == (EIO, 1, [])


def test_threads_that_wait_for_one_sync_share_the_next(faulty: Path, tmp_path: Path) -> None:
    env = os.environ | {
        "LD_PRELOAD": str(faulty),
        "FAULTY_SLOW_FSYNC": "300000",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", SYNCING, str(tmp_path)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # One for the first, one for those that came meanwhile; a third if the machine was very slow to start a thread.
    assert int(done.stdout) in (2, 3)
