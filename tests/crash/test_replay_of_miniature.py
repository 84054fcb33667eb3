"""The recorder and the replay on a program with RocksDB and data files: every missing sync is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash.recording import Kind, environment, read_log
from crash.replay import Disk, kept, lost, mixed, names_only

PROGRAM = Path(__file__).with_name("miniature.py")
COUNT = 9


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    paths = {"PYTHONPATH": str(PROGRAM.parents[1])}
    return subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        env={**os.environ, **paths, **(env or {})},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def recorded(tmp_path):
    """Runs the program until it is killed, with some syncs swallowed; returns its directory and calls."""

    def record(*swallow: str):
        root, log = tmp_path.resolve() / "root", tmp_path.resolve() / "log"
        done = run(root, log, COUNT, env=environment(root, log, swallow))
        assert done.returncode == -9, done.stderr
        return root, read_log(log)

    return record


@pytest.fixture
def damage(tmp_path):
    """What is wrong after a power cut right behind the last acknowledgement of a list of calls: [] if nothing."""

    def find(calls, choice) -> list[str]:
        directory = tmp_path / f"after-{len(list(tmp_path.iterdir()))}"
        Disk(calls).write(directory, choice)
        acknowledged = {json.loads(call.first)["number"] for call in calls if call.kind == Kind.MARK}
        done = run(directory)
        if done.returncode != 0:
            return [done.stderr.splitlines()[-1]]
        found = dict(line.split() for line in done.stdout.splitlines())
        missing = [f"{number} is missing" for number in sorted(acknowledged) if str(number) not in found]
        return missing + [f"{number} is damaged" for number, digest in found.items() if digest == "damaged"]

    return find


def test_nothing_of_it_went_unseen(recorded, tmp_path):
    root, calls = recorded()
    Disk(calls).write(tmp_path / "copy", kept())

    def files(directory: Path) -> dict[Path, bytes]:
        # RocksDB's log for humans comes by stdio.
        return {
            path.relative_to(directory): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file() and not path.name.startswith("LOG")
        }

    copied, real = files(tmp_path / "copy"), files(root)
    assert {path: len(data) for path, data in copied.items()} == {path: len(data) for path, data in real.items()}
    assert copied == real


@pytest.mark.parametrize("choice", [lost(), names_only(), mixed(1), mixed(2)], ids=lambda one: one.name)
def test_what_was_acknowledged_survives(recorded, damage, choice):
    _, calls = recorded()
    for number in (0, COUNT // 2, COUNT - 1):
        marks = [at for at, call in enumerate(calls) if call.kind == Kind.MARK]
        assert damage(calls[: marks[number] + 1], choice) == []


@pytest.mark.parametrize(
    ("swallow", "choice"),
    [("f:data/#tmp", names_only()), ("d:data", lost()), ("f:index/*.log", lost()), ("d:index", lost()), ("d:", lost())],
    ids=["data file", "its directory", "write-ahead log", "index directory", "root"],
)
def test_missing_sync_is_found(recorded, damage, swallow, choice):
    _, calls = recorded(swallow)
    assert damage(calls, choice) != []
