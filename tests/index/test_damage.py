"""What happens to an index whose files are not what was written, or whose disk refuses."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from index.conftest import Rig, picture
from s3d.index.errors import IndexBusy, IndexDamaged, IndexError_, IndexFailed, IndexTooNew, IndexTooOld
from s3d.index.index import Index
from s3d.index.records import Bucket
from s3d.index.recovery import Floor, floor_of
from s3d.index.schema import FORMAT, Family, Name, number_key
from s3d.index.wal import _records, read_logs

DURABLE = 60
UNSYNCED = 10


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """An index as kill -9 leaves it: 60 objects, each flushed on its own, and 10 whose flush never came back."""
    rig = Rig(tmp_path / "alive")
    rig.index.create_bucket(Bucket("box", 1))
    for number in range(DURABLE):
        rig.put("box", b"%03d" % number, b"%d" % number * 200)
        rig.flush()
    for number in range(DURABLE, DURABLE + UNSYNCED):
        rig.put("box", b"%03d" % number, b"%d" % number * 200)
    rig.index._rows.flush_log(False)
    copied = tmp_path / "crashed"
    picture(rig, copied)
    rig.close()
    return copied


def log_of(directory: Path) -> Path:
    (log,) = (directory / "rows").glob("*.log")
    return log


def records(log: Path) -> list[int]:
    """Where the records of a log begin, and where it ends."""
    return [offset for offset, _ in _records(log, 0)] + [log.stat().st_size]


@contextmanager
def opened(directory: Path, **options: bool) -> Iterator[Index]:
    index = Index.open(directory, **options)
    try:
        yield index
    finally:
        index.close()


def objects(index: Index) -> int:
    scan = index.scan("box")
    try:
        found = scan.read(1000)
    finally:
        scan.close()
    for _, generation in found:
        index.body(generation)
    return len(found)


# --- the log


def test_a_log_that_is_whole_gives_everything(crashed: Path) -> None:
    with opened(crashed) as index:
        assert objects(index) == DURABLE + UNSYNCED
        assert not index.behind


@pytest.mark.parametrize("part", [0.01, 0.3, 0.5, 0.7])
def test_a_flipped_bit_in_what_was_synced_is_damage_that_names_the_log(crashed: Path, part: float) -> None:
    log = log_of(crashed)
    flip(log, int(log.stat().st_size * part))
    before = {path.name: path.read_bytes() for path in (crashed / "rows").iterdir() if path.suffix in (".log", ".sst")}
    with pytest.raises(IndexDamaged, match=str(log)):
        Index.open(crashed)
    # Looking at it changed nothing.
    assert {name: (crashed / "rows" / name).read_bytes() for name in before} == before


def test_every_flipped_byte_of_one_synced_record_is_found(crashed: Path, tmp_path: Path) -> None:
    log = log_of(crashed)
    starts = records(log)
    start, end = starts[20], starts[21]
    whole = log.read_bytes()
    for at in range(start, end):
        log.write_bytes(whole)
        flip(log, at)
        logs = read_logs(crashed / "rows")
        assert logs.damage is not None, at
        assert logs.damage.reached < logs.durable, at


def tear_off(path: Path, at: int) -> None:
    os.truncate(path, at)


def never_written(path: Path, at: int) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(size - at))


def rubbish(path: Path, at: int) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes((number * 7 + 3) % 256 for number in range(size - at)))


@pytest.mark.parametrize("tear", [tear_off, never_written, rubbish, flip])
@pytest.mark.parametrize("into", [0, 3, 8, 40, 200])
def test_a_torn_end_that_was_never_synced_is_dropped(
    crashed: Path, tear: Callable[[Path, int], None], into: int
) -> None:
    log = log_of(crashed)
    third_last = records(log)[-4]
    tear(log, third_last + into)
    with opened(crashed) as index:
        assert objects(index) == DURABLE + UNSYNCED - 3
        assert not index.behind


def test_room_behind_the_end_of_a_log_is_no_damage(crashed: Path) -> None:
    with log_of(crashed).open("ab") as file:
        file.write(bytes(100_000))
    with opened(crashed) as index:
        assert objects(index) == DURABLE + UNSYNCED


def test_a_torn_log_is_torn_once_only(crashed: Path) -> None:
    log = log_of(crashed)
    tear_off(log, log.stat().st_size - 5)
    with opened(crashed) as index:
        left = objects(index)
    with opened(crashed) as index:
        assert objects(index) == left
        assert not index.behind


def test_damage_can_be_accepted_and_is_told(crashed: Path) -> None:
    log = log_of(crashed)
    flip(log, log.stat().st_size // 2)
    damaged = log.read_bytes()
    with opened(crashed, accept_loss=True) as index:
        assert index.behind
        assert 0 < objects(index) < DURABLE
    assert (crashed / "rows.kept" / log.name).read_bytes() == damaged
    with opened(crashed) as index:
        assert not index.behind


def settled(directory: Path) -> Path:
    """The same index, opened and closed: all of it lies in tables."""
    Index.open(directory).close()
    return directory


@pytest.fixture
def two_logs(rig: Rig, tmp_path: Path) -> list[Path]:
    """A crashed index with a log that is closed, and one that follows it."""
    for number in range(10):
        rig.put("box", b"first %d" % number, b"body")
    rig.flush()
    # Another log begins; the first one still has the only copy of the bodies.
    rig.index._rows.family(Family.HEADS).flush()
    for number in range(10):
        rig.put("box", b"second %d" % number, b"body")
    rig.flush()
    copied = tmp_path / "crashed"
    picture(rig, copied)
    logs = sorted((copied / "rows").glob("*.log"))
    assert len(logs) == 2
    return logs


def test_two_logs_that_are_whole_give_everything(two_logs: list[Path]) -> None:
    with opened(two_logs[0].parents[1]) as index:
        assert objects(index) == 20


def test_a_closed_log_that_is_missing_is_damage(two_logs: list[Path]) -> None:
    two_logs[0].unlink()
    with pytest.raises(IndexDamaged, match=r"Missing WAL with log number: 4"):
        Index.open(two_logs[0].parents[1])


def test_a_closed_log_that_was_cut_short_is_damage(two_logs: list[Path]) -> None:
    os.truncate(two_logs[0], records(two_logs[0])[-2])
    with pytest.raises(IndexDamaged):
        Index.open(two_logs[0].parents[1])


def test_a_flipped_bit_in_a_closed_log_is_damage(two_logs: list[Path]) -> None:
    flip(two_logs[0], two_logs[0].stat().st_size // 2)
    with pytest.raises(IndexDamaged, match=str(two_logs[0])):
        Index.open(two_logs[0].parents[1])


def test_a_log_cut_short_below_the_floor_is_told(crashed: Path) -> None:
    with opened(crashed):
        pass
    floor = Floor(floor_of(crashed))
    floor.write(floor.sequence + 1000)
    with opened(crashed) as index:
        assert index.behind
        assert objects(index) == DURABLE + UNSYNCED
    assert (crashed / "rows.kept").is_dir()
    with opened(crashed) as index:
        assert not index.behind


def test_an_index_that_is_gone_beside_its_floor_is_told(crashed: Path) -> None:
    shutil.rmtree(crashed / "rows")
    with opened(crashed) as index:
        assert index.fresh
        assert index.behind


def test_a_floor_that_cannot_be_read_is_told(crashed: Path) -> None:
    floor_of(crashed).write_bytes(b"rubbish")
    with opened(crashed) as index:
        assert index.behind


def test_a_torn_floor_falls_back_to_the_one_before(tmp_path: Path) -> None:
    floor = Floor(tmp_path / "floor")
    for sequence in (5, 6, 7):
        floor.write(sequence)
    assert Floor(tmp_path / "floor").sequence == 7
    flip(tmp_path / "floor", 17)
    torn = Floor(tmp_path / "floor")
    assert (torn.sequence, torn.legible) == (6, True)
    torn.write(8)
    assert Floor(tmp_path / "floor").sequence == 8


# --- other files


def test_a_missing_current_is_no_reason_to_begin_anew(crashed: Path) -> None:
    (crashed / "rows" / "CURRENT").unlink()
    with pytest.raises(IndexDamaged, match="CURRENT"):
        Index.open(crashed)


def test_a_first_start_that_was_cut_short_begins_anew(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    for path in (tmp_path / "rows").iterdir():
        if not path.name.startswith(("MANIFEST-", "LOCK")):
            path.unlink()
    floor_of(tmp_path).unlink()
    with opened(tmp_path) as index:
        assert index.fresh
        assert not index.behind


def test_a_damaged_manifest_is_damage(crashed: Path) -> None:
    (manifest,) = (crashed / "rows").glob("MANIFEST-*")
    flip(manifest, 100)
    with pytest.raises(IndexDamaged, match="MANIFEST"):
        Index.open(crashed)


def test_a_missing_table_is_damage(crashed: Path) -> None:
    for table in (settled(crashed) / "rows").glob("*.sst"):
        table.unlink()
    with pytest.raises(IndexError_, match=r"\.sst"):
        Index.open(crashed)


def test_a_table_that_was_cut_short_is_damage(crashed: Path) -> None:
    for table in (settled(crashed) / "rows").glob("*.sst"):
        os.truncate(table, table.stat().st_size - 1)
    with pytest.raises(IndexDamaged):
        Index.open(crashed)


def test_a_flipped_bit_in_a_table_is_damage_and_no_answer(crashed: Path) -> None:
    directory = settled(crashed)
    for table in (directory / "rows").glob("*.sst"):
        flip(table, 20)
    with pytest.raises(IndexDamaged), opened(directory) as index:
        objects(index)


def test_a_body_that_is_not_what_was_written_is_damage(rig: Rig) -> None:
    generation = rig.put("box", b"key", b"body")
    rig.flush()
    rig.index._rows.family(Family.BODIES).put(number_key(generation.number), b"bodY")
    rig.put("box", b"other", b"")
    rig.flush()
    with pytest.raises(IndexDamaged, match="not what was written"):
        rig.index.cached("box", b"key")


# --- versions


@pytest.mark.parametrize(("version", "error"), [(FORMAT + 1, IndexTooNew), (FORMAT - 1, IndexTooOld)])
def test_a_format_of_another_version_is_refused(rig: Rig, version: int, error: type[IndexError_]) -> None:
    rig.index._rows.family(Family.DEFAULT).put(Name.FORMAT, number_key(version))
    rig.index.close()
    with pytest.raises(error, match=f"its format is {version}"):
        Index.open(rig.directory)
    # The refusal let the directory go, and changed nothing.
    with pytest.raises(error):
        Index.open(rig.directory)


# --- disks that refuse


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_flush_that_fails_fails_everybody_and_shows_nothing(rig: Rig) -> None:
    rig.put("box", b"before", b"")
    rig.flush()

    async def main() -> None:
        rig.put("box", b"lost", b"body")
        waiting = [rig.index.durable(), rig.index.durable()]
        await asyncio.sleep(0)
        rig.put("box", b"later", b"body")
        waiting.append(rig.index.durable())
        for promise in waiting:
            with pytest.raises(IndexFailed, match=str(rig.directory)):
                await promise

    with no_room():
        rig.loop.run_until_complete(main())
    assert rig.keys("box") == [b"before"]
    assert rig.index.cached("box", b"lost") is None
    with pytest.raises(IndexFailed):
        rig.put("box", b"refused", b"")
    with pytest.raises(IndexFailed):
        rig.flush()


def test_after_a_failure_it_opens_anew_and_goes_on(rig: Rig) -> None:
    rig.put("box", b"before", b"body")
    rig.flush()
    boot, number = rig.index.boot, rig.index.next_generation()
    with no_room():
        rig.put("box", b"lost", b"body")
        with pytest.raises(IndexFailed):
            rig.flush()
    scan = rig.index.scan("box")
    rig.index.reopen()
    assert b"before" in rig.keys("box")
    assert rig.index.boot == boot
    assert rig.index.next_generation() > number
    with pytest.raises(IndexFailed):
        scan.read(1)
    rig.put("box", b"after", b"body")
    rig.flush()
    assert b"after" in rig.keys("box")
    rig.restart()
    assert {b"before", b"after"} <= set(rig.keys("box"))


def test_a_failed_index_can_be_closed(rig: Rig) -> None:
    rig.put("box", b"lost", b"body")
    with no_room(), pytest.raises(IndexFailed):
        rig.flush()
    rig.index.close()
    with opened(rig.directory) as index:
        assert index.bucket("box") is not None


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IndexFailed, match=str(tmp_path / "file")):
        Index.open(tmp_path / "file" / "index")


def test_reads_go_on_when_the_disk_refuses_to_open_it_anew(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    rig.flush()
    with no_room():
        rig.put("box", b"lost", b"")
        with pytest.raises(IndexFailed):
            rig.flush()
        with pytest.raises(IndexFailed):
            rig.index.reopen()
        entry = rig.index.cached("box", b"key")
        assert entry is not None
        assert entry.body == b"body"
        assert b"key" in rig.keys("box")
        with pytest.raises(IndexFailed):
            rig.put("box", b"refused", b"")
    rig.index.reopen()
    rig.put("box", b"after", b"")
    rig.flush()
    assert {b"key", b"after"} <= set(rig.keys("box"))


def test_a_database_that_is_behind_refuses_a_change_and_takes_it_later(rig: Rig) -> None:
    heads = rig.index._rows.family(Family.HEADS)
    heads.set_options({"level0_stop_writes_trigger": "2"})
    for number in range(2):
        rig.put("box", b"%d" % number, b"")
        heads.flush()
    with pytest.raises(IndexBusy):
        rig.put("box", b"refused", b"")
    assert rig.index.written_head("box", b"refused") is None
    rig.flush()
    assert rig.keys("box") == [b"0", b"1"]
    heads.compact_range(None, None)
    rig.put("box", b"taken", b"")
    rig.flush()
    assert b"taken" in rig.keys("box")


def test_a_cache_too_small_for_index_and_filters_is_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        rig.put("box", b"%d" % number, b"")
    rig.index.close()
    Index.open(rig.directory).close()
    assert not caplog.records
    Index.open(rig.directory, cache_bytes=100).close()
    assert "block cache" in caplog.text
