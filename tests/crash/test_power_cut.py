"""A power cut at any moment: what s3d acknowledged is there at the next start, whatever became of the rest.

`kill -9` keeps the page cache. Here s3d's file-system calls are recorded while clients change objects, and the trees
that a power cut may leave behind are made from the recording; s3d starts on each.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from crash.ledger import Ledger
from crash.recording import Call, Kind, environment, read_log
from crash.replay import Choice, Disk, data_only, kept, lost, mixed, names_only
from crash.workload import acknowledged, faults, run_clients

# What must not be missing: pattern of the sync that is swallowed (record.c), and what then goes wrong.
SYNCS = {
    "data file": "f:data/*",
    "directory of data files": "d:data*",
    "write-ahead log": "f:index/*.log",
    "directory of the index": "d:index",
}


class Recorded:
    """A run of s3d that was recorded from an empty directory to its end by SIGKILL."""

    def __init__(self, crashing, directory: Path, *swallow: str, clients: int = 3, count: int = 12, starts: int = 2):
        self.directory = directory
        self.log = directory / "calls"
        self.ledger = Ledger(self.log)
        daemon = crashing(directory / "recorded", fork=False)
        self.local_dir = daemon.local_dir
        daemon.process.env |= environment(daemon.local_dir, self.log, swallow)
        # More than one start, so that what one does with the files of another is on record too.
        for seed in range(starts):
            daemon.start()
            assert run_clients(daemon.port, self.ledger, clients=clients, count=count, seed=seed, large=seed == 0)
            # A call is written down right after it was made: not to lose one to the kill, it comes in a quiet moment.
            self._wait_until_quiet()
            daemon.kill()
        self.calls = read_log(self.log)
        self._crashing = crashing
        self._made = 0

    def _wait_until_quiet(self) -> None:
        size = -1
        while size != (size := self.log.stat().st_size):
            time.sleep(0.2)

    def cuts(self) -> list[int]:
        """The moments right behind each acknowledgement: where most is owed."""
        ids = {one.request_id for one in acknowledged(self.ledger)}
        return [at + 1 for at, call in enumerate(self.calls) if call.kind == Kind.SEND and _says_one_of(call, ids)]

    def after(self, cut: int, choice: Choice) -> list[str]:
        """Starts s3d on what a power cut there leaves behind; what is wrong with it, [] if nothing."""
        self._made += 1
        daemon = self._crashing(self.directory / f"after-{self._made}")
        calls = self.calls[:cut]
        Disk(calls).write(daemon.local_dir, choice)
        try:
            daemon.start()
        except RuntimeError as error:
            return [f"s3d does not start: {error}"]
        view = self.ledger.at(calls)
        found = faults(daemon.port, view)
        if not found and not run_clients(daemon.port, Ledger(), clients=1, count=2, seed=1000 + self._made):
            found = ["it died of new requests"]
        daemon.process.kill()
        return [f"{choice.name} at {cut}: {one}\n{daemon.log[-2000:]}" for one in found]


def _says_one_of(call: Call, ids: set[str]) -> bool:
    return any(one.encode() in call.first for one in ids)


def files(directory: Path) -> dict[str, bytes]:
    # RocksDB's log for humans comes by stdio.
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith("LOG")
    }


@pytest.fixture(scope="module")
def shared():
    return {}


@pytest.fixture
def recorded(crashing, shared, tmp_path_factory) -> Recorded:
    """One recording for all tests of this file."""
    if not shared:
        shared["run"] = Recorded(crashing, tmp_path_factory.mktemp("power").resolve())
    shared["run"]._crashing = crashing
    return shared["run"]


def test_nothing_that_s3d_writes_goes_unseen(recorded, tmp_path):
    Disk(recorded.calls).write(tmp_path / "copy", kept())
    copied, real = files(tmp_path / "copy"), files(recorded.local_dir)
    assert {name: len(data) for name, data in copied.items()} == {name: len(data) for name, data in real.items()}
    assert [name for name in real if copied[name] != real[name]] == []


def test_every_acknowledgement_is_on_record(recorded):
    assert len(recorded.cuts()) == len(acknowledged(recorded.ledger)) > 50


def test_cut_right_behind_an_acknowledgement(recorded):
    cuts = recorded.cuts()
    # The first of all, some, the last.
    chosen = sorted({0, *random.Random(5).sample(range(len(cuts)), 3), len(cuts) - 1})
    assert [fault for at in chosen for fault in recorded.after(cuts[at], lost())] == []


@pytest.mark.parametrize("choice", [names_only(), data_only(), mixed(1), mixed(2), mixed(3)], ids=lambda one: one.name)
def test_some_of_what_was_not_synced_is_there(recorded, choice):
    cuts = recorded.cuts()
    at = random.Random(choice.name).choice(cuts)
    assert recorded.after(at, choice) == []


@pytest.mark.parametrize("seed", range(3))
def test_cut_anywhere(recorded, seed):
    cut = random.Random(seed).randrange(recorded.cuts()[0], len(recorded.calls))
    assert recorded.after(cut, mixed(seed)) == []


def test_cut_before_the_first_request(recorded):
    first = next(at for at, call in enumerate(recorded.calls) if call.kind == Kind.MARK)
    for cut in random.Random(1).sample(range(first), 2):
        assert recorded.after(cut, mixed(cut)) == []


@pytest.mark.full
@pytest.mark.parametrize("part", range(20))
def test_many_cuts(recorded, part):
    source = random.Random(part)
    for seed in range(15):
        cut = source.choice([source.choice(recorded.cuts()), source.randrange(1, len(recorded.calls))])
        choice = source.choice([lost(), names_only(), data_only(), mixed(seed), mixed(seed + 1000)])
        assert recorded.after(cut, choice) == []


@pytest.mark.parametrize("sync", SYNCS)
def test_replay_catches_a_removed_fsync(crashing, tmp_path, sync):
    run = Recorded(crashing, tmp_path.resolve(), SYNCS[sync], clients=2, count=8, starts=1)
    cuts = run.cuts()
    found = run.after(cuts[-1], lost()) or run.after(cuts[-1], names_only())
    assert found, f"{sync} is not synced, and nobody noticed"
