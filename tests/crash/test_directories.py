"""A power cut soon after directories were made: the names that lead to what is durable are so as well."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash.recording import Call, Kind, environment, read_log
from crash.replay import Disk, lost
from servers.daemon import clean_environment

PUT = """
import asyncio, os, sys
from pathlib import Path
from s3d.index.records import Bucket
from s3d.objects.engine import Draft
from s3d.objects.local import LocalObjects

async def main():
    local = await LocalObjects.open(Path(sys.argv[1]), inline_size_bytes=100, sync=True, reserve_bytes=0)
    local.engine.index.create_bucket(Bucket("notes", 1))
    spool = await local.engine.stage_bytes(bytes(50_000))
    await local.engine.put_object("notes", b"key", spool, Draft())
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""
KILLED_AFTER_MKDIR = """
import os, sys
from pathlib import Path
Path(sys.argv[1]).mkdir(parents=True)
os.kill(os.getpid(), 9)
"""
KEEP = """
import os, sys
from pathlib import Path
from s3d.index.recovery import _keep, sync_directory

database = Path(sys.argv[1])
database.mkdir()
for name in ("000004.sst", "000005.log"):
    fd = os.open(database / name, os.O_CREAT | os.O_WRONLY)
    os.write(fd, name.encode())
    os.fsync(fd)
sync_directory(database)
sync_directory(database.parent)
_keep(database)
os.kill(os.getpid(), 9)
"""


def run(program: str, local_dir: Path, root: Path, log: Path) -> None:
    env = {**clean_environment(), "PYTHONPATH": os.pathsep.join(sys.path), **environment(root, log)}
    done = subprocess.run([sys.executable, "-c", program, str(local_dir)], env=env, capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr.decode()


def left(calls: list[Call], directory: Path) -> list[Path]:
    """The data files that a power cut behind the last call leaves behind, by their directories below the root."""
    assert any(call.kind == Kind.MKDIR for call in calls)
    Disk(calls).write(directory, lost())
    return [path.relative_to(directory).parents[2] for path in directory.rglob("data/*/*")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "root"
    made.mkdir()
    return made


def test_the_directories_above_a_new_one_survive_with_what_was_acknowledged(root: Path, tmp_path: Path) -> None:
    log = tmp_path.resolve() / "log"
    run(PUT, root / "far" / "below" / "s3d", root, log)
    assert left(read_log(log), tmp_path / "after") == [Path("far/below/s3d")]


def test_directories_that_a_killed_start_made_are_synced_by_the_next(root: Path, tmp_path: Path) -> None:
    log = tmp_path.resolve() / "log"
    run(KILLED_AFTER_MKDIR, root / "far" / "below" / "s3d", root, log)
    run(PUT, root / "far" / "below" / "s3d", root, log)
    assert left(read_log(log), tmp_path / "after") == [Path("far/below/s3d")]


def test_what_is_kept_of_a_database_survives_before_rocksdb_opens_it(root: Path, tmp_path: Path) -> None:
    log = tmp_path.resolve() / "log"
    run(KEEP, root / "rows", root, log)
    Disk(read_log(log)).write(tmp_path / "after", lost())
    found = {path.name: path.read_text() for path in (tmp_path / "after" / "rows.kept").iterdir()}
    assert found == {name: name for name in ("000004.sst", "000005.log")}
