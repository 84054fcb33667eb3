"""Data files of an earlier boot: what changed on the disk is never read as if it were what was written."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import xxhash

from s3d._core.collect import Collector, Source, chain
from s3d._core.spool import HASHED_SIZE, Spool
from s3d.store import Store, touch
from s3d.store import trailer as trailers

BOOT = 5
MIB = 1 << 20
DATA = random.Random(8).randbytes(5 * MIB + 12_345)
NUMBER = BOOT << 40 | 1
Extent = tuple[int, int, int]
T = TypeVar("T")


class Daemon:
    """A store that can be stopped and started again as the next boot."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.boot = BOOT - 1
        self.start()

    def start(self) -> None:
        self.boot += 1
        self.store = Store.open(self.directory, sync=False)
        self.store.begin(self.boot)

    def restart(self) -> None:
        self.store.close()
        self.start()

    def path(self, number: int = NUMBER) -> Path:
        return Path(self.store.layout.file(number))

    def damage(self, at: int, number: int = NUMBER) -> None:
        """Change one byte of a file's data."""
        with self.path(number).open("r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "local")
    yield made
    made.store.close()


async def put(store: Store, number: int, data: bytes) -> None:
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def done(_spool: Spool, error: BaseException | None) -> None:
        ended.set_result(error)

    spool = store.spool(done, 100)
    source = Source()
    chain(source, spool)
    for start in range(0, len(data), 262144):
        while source.paused:
            await asyncio.sleep(0.001)
        source.feed(data[start : start + 262144])
    source.end()
    assert await ended is None
    await store.publish(spool, number, b"record")
    spool.close()


async def get(store: Store, *extents: Extent) -> bytes | BaseException | None:
    ended: asyncio.Future[bytes | BaseException | None] = asyncio.get_running_loop().create_future()
    chain(store.body(extents), Collector(1 << 30, lambda data, error: ended.set_result(error or data)))
    return await ended


def run(steps: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(steps)


def written(daemon: Daemon, data: bytes = DATA) -> None:
    """A file of an earlier boot."""
    run(put(daemon.store, NUMBER, data))
    daemon.restart()


def refused(answer: bytes | BaseException | None, daemon: Daemon) -> str:
    """The words of an error that names the file."""
    assert isinstance(answer, OSError)
    assert answer.filename == str(daemon.path())
    return str(answer.strerror)


# The hashes.


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 262144, 5 * MIB + 12_345])
def test_the_trailer_has_a_hash_of_each_block(size: int, daemon: Daemon) -> None:
    data = DATA[:size]
    run(put(daemon.store, NUMBER, data))
    fd = daemon.store.open_file(NUMBER)
    found = trailers.read(fd)
    os.close(fd)
    blocks = [data[start : start + HASHED_SIZE] for start in range(0, size, HASHED_SIZE)] if size > HASHED_SIZE else []
    assert found.hashes == b"".join(struct.pack("<Q", xxhash.xxh3_64_intdigest(block)) for block in blocks)
    assert found.record == b"record"


def test_hashes_that_are_not_those_of_the_data_are_not_written() -> None:
    with pytest.raises(ValueError, match="hashes"):
        trailers.encode(trailers.Trailer(1, 3 * MIB, 0, b"", hashes=bytes(16)))


# What changed.


def test_a_file_of_an_earlier_boot_is_served_whole(daemon: Daemon) -> None:
    written(daemon)
    assert run(get(daemon.store, (NUMBER, 0, len(DATA)))) == DATA
    assert daemon.store.touch.checked_bytes == len(DATA)


@pytest.mark.parametrize("block", range(6))
def test_ranges_beside_a_damaged_block_are_served_and_no_range_in_it(block: int, daemon: Daemon) -> None:
    written(daemon)
    daemon.damage(block * MIB + 7_000)
    for other in range(6):
        start = other * MIB
        size = min(MIB, len(DATA) - start)
        for extent in ((NUMBER, start, size), (NUMBER, start + 5_000, 1), (NUMBER, start + size - 1, 1)):
            answer = run(get(daemon.store, extent))
            if other == block:
                assert f"from {start} on" in refused(answer, daemon)
            else:
                assert answer == DATA[extent[1] : extent[1] + extent[2]]
    assert isinstance(run(get(daemon.store, (NUMBER, 0, len(DATA)))), OSError)


def test_damage_is_counted_and_named_until_it_is_mended(daemon: Daemon) -> None:
    written(daemon)
    daemon.damage(3 * MIB)
    assert daemon.store.touch.damage() == {}
    run(get(daemon.store, (NUMBER, 3 * MIB, 10)))
    assert daemon.store.touch.mismatches == 1
    assert "XXH3" in daemon.store.touch.damage()[str(daemon.path())]
    daemon.damage(3 * MIB)
    assert run(get(daemon.store, (NUMBER, 3 * MIB, 10))) == DATA[3 * MIB : 3 * MIB + 10]
    assert daemon.store.touch.damage() == {}


def test_damage_is_forgotten_with_its_file(daemon: Daemon) -> None:
    written(daemon)
    daemon.damage(0)
    run(get(daemon.store, (NUMBER, 0, 10)))
    daemon.store.remove([NUMBER])
    daemon.store.close()
    assert daemon.store.touch.damage() == {}


@pytest.mark.parametrize("size", [10, MIB, 3 * MIB + 5, len(DATA)])
def test_a_truncated_file_is_refused(size: int, daemon: Daemon) -> None:
    written(daemon)
    os.truncate(daemon.path(), size)
    refused(run(get(daemon.store, (NUMBER, 0, 5))), daemon)
    assert list(daemon.store.touch.damage()) == [str(daemon.path())]


def test_an_extent_past_the_data_does_not_serve_the_trailer(daemon: Daemon) -> None:
    written(daemon)
    for extent in ((NUMBER, len(DATA) - 5, 6), (NUMBER, len(DATA), 1), (NUMBER, len(DATA) + 3, 4)):
        assert "end before the object" in refused(run(get(daemon.store, extent)), daemon)


def test_an_extent_past_the_data_is_refused_when_its_blocks_are_known(daemon: Daemon) -> None:
    written(daemon)
    run(get(daemon.store, (NUMBER, 5 * MIB, 5)))
    assert "end before the object" in refused(run(get(daemon.store, (NUMBER, len(DATA), 1))), daemon)


def test_a_small_file_is_proved_as_a_whole(daemon: Daemon) -> None:
    written(daemon, DATA[:50_000])
    assert run(get(daemon.store, (NUMBER, 100, 10))) == DATA[100:110]
    daemon.restart()
    daemon.damage(49_999)
    refused(run(get(daemon.store, (NUMBER, 100, 10))), daemon)


def as_version_1(path: Path) -> None:
    """Rewrite a file's end as the first version of the format has it."""
    data = DATA[: trailers.read(fd := os.open(path, os.O_RDONLY)).size_bytes]
    os.close(fd)
    fields = struct.pack("<8sHHIQQQ", trailers.MAGIC, 1, 0, 6, NUMBER, len(data), xxhash.xxh3_64_intdigest(data))
    seal = struct.pack("<Q", xxhash.xxh3_64_intdigest(b"record" + fields))
    path.write_bytes(data + b"record" + fields + seal)


def test_a_file_of_the_first_version_is_proved_as_a_whole(daemon: Daemon) -> None:
    written(daemon)
    as_version_1(daemon.path())
    assert run(get(daemon.store, (NUMBER, 4 * MIB, 10))) == DATA[4 * MIB : 4 * MIB + 10]
    assert daemon.store.touch.checked_bytes == len(DATA)
    assert run(get(daemon.store, (NUMBER, 0, len(DATA)))) == DATA
    assert daemon.store.touch.checked_bytes == len(DATA)


@pytest.mark.parametrize("offset", [0, 2 * MIB, 5 * MIB])
def test_a_damaged_file_of_the_first_version_serves_nothing(offset: int, daemon: Daemon) -> None:
    written(daemon)
    as_version_1(daemon.path())
    daemon.damage(3 * MIB)
    for _ in range(2):
        refused(run(get(daemon.store, (NUMBER, offset, 10))), daemon)


# Once.


def test_a_second_read_proves_nothing(daemon: Daemon) -> None:
    written(daemon)
    run(get(daemon.store, (NUMBER, MIB, 2 * MIB)))
    assert daemon.store.touch.checked_bytes == 2 * MIB
    run(get(daemon.store, (NUMBER, MIB + 5, 2 * MIB - 5)))
    assert daemon.store.touch.checked_bytes == 2 * MIB


def test_a_file_of_this_boot_is_not_proved(daemon: Daemon) -> None:
    run(put(daemon.store, NUMBER, DATA))
    assert run(get(daemon.store, (NUMBER, 0, len(DATA)))) == DATA
    assert daemon.store.touch.checked_bytes == 0


def test_no_file_is_trusted_before_the_boot_is_known(daemon: Daemon) -> None:
    run(put(daemon.store, NUMBER, DATA))
    daemon.store.close()
    daemon.store = Store.open(daemon.directory, sync=False)
    daemon.damage(0)
    refused(run(get(daemon.store, (NUMBER, 0, 10))), daemon)


def test_a_file_that_is_proved_wholly_leaves_one_bit(daemon: Daemon) -> None:
    written(daemon)
    run(get(daemon.store, (NUMBER, 0, len(DATA))))
    assert daemon.store.touch.known(NUMBER)
    assert not daemon.store.touch.known(NUMBER + 1)
    assert not daemon.store.touch.known(NUMBER - 1)
    assert daemon.store.touch._block_bytes == 0


def test_what_has_no_room_is_proved_again(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touch, "MAX_BLOCK_BYTES", 2 * touch.ENTRY_BYTES)
    numbers = [BOOT << 40 | counter for counter in range(4)]
    for number in numbers:
        run(put(daemon.store, number, DATA))
    daemon.restart()
    for _ in range(2):
        for number in numbers:
            assert run(get(daemon.store, (number, MIB, MIB))) == DATA[MIB : 2 * MIB]
            assert daemon.store.touch._block_bytes <= touch.MAX_BLOCK_BYTES
    assert daemon.store.touch.checked_bytes == 8 * MIB


def test_files_proved_wholly_have_a_bound(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touch, "MAX_GROUPS", 2)
    numbers = [BOOT << 40 | counter * touch.GROUP for counter in range(3)]
    for number in numbers:
        run(put(daemon.store, number, b"some bytes" * 100))
    daemon.restart()
    for number in numbers:
        run(get(daemon.store, (number, 0, 10)))
    assert [daemon.store.touch.known(number) for number in numbers] == [False, True, True]


# At the same time.


def test_many_readers_of_one_unproved_file_all_get_it(daemon: Daemon) -> None:
    written(daemon)

    async def steps() -> None:
        answers = await asyncio.gather(*[get(daemon.store, (NUMBER, 0, len(DATA))) for _ in range(20)])
        assert all(answer == DATA for answer in answers)

    run(steps())
    assert daemon.store.touch.known(NUMBER)


def test_many_readers_of_a_damaged_file_are_all_refused(daemon: Daemon) -> None:
    written(daemon)
    daemon.damage(MIB)

    async def steps() -> None:
        for answer in await asyncio.gather(*[get(daemon.store, (NUMBER, 0, len(DATA))) for _ in range(20)]):
            refused(answer, daemon)

    run(steps())
    assert not daemon.store.touch.known(NUMBER)


def test_a_stop_ends_a_long_proof(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    written(daemon)
    as_version_1(daemon.path())
    inside, go_on = threading.Event(), threading.Event()
    preadv = os.preadv

    def held(fd: int, buffers: list[memoryview], offset: int) -> int:
        inside.set()
        assert go_on.wait(20)
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", held)

    async def steps() -> None:
        reading = asyncio.ensure_future(get(daemon.store, (NUMBER, 0, 10)))
        await asyncio.to_thread(inside.wait, 20)
        closing = asyncio.ensure_future(asyncio.to_thread(daemon.store.close))
        while not daemon.store.closing:
            await asyncio.sleep(0.001)
        go_on.set()
        await closing
        assert isinstance(await reading, ConnectionAbortedError)

    run(steps())


# Digests.


def test_reading_for_a_digest_proves_the_bytes(daemon: Daemon) -> None:
    written(daemon)
    assert b"".join(bytes(piece) for piece in daemon.store.read(NUMBER, 5, len(DATA) - 6)) == DATA[5:-1]
    assert daemon.store.touch.checked_bytes == len(DATA)


def test_a_digest_of_damaged_bytes_is_refused(daemon: Daemon) -> None:
    written(daemon)
    daemon.damage(2 * MIB + 1)
    seen = bytearray()
    with pytest.raises(OSError, match="not what was written"):
        for piece in daemon.store.read(NUMBER, 0, len(DATA)):
            seen += piece
    assert seen == DATA[: 2 * MIB]


def test_reading_of_this_boot_is_not_proved(daemon: Daemon) -> None:
    run(put(daemon.store, NUMBER, DATA))
    assert b"".join(bytes(piece) for piece in daemon.store.read(NUMBER, 0, len(DATA))) == DATA
    assert daemon.store.touch.checked_bytes == 0


# The trailer and what the index knows.


def test_a_sound_file_under_the_name_of_another_is_refused(daemon: Daemon) -> None:
    other = random.Random(9).randbytes(len(DATA))
    numbers = {NUMBER: DATA, NUMBER + 1: other}
    for number, data in numbers.items():
        run(put(daemon.store, number, data))
    daemon.restart()
    daemon.store.touch.expected = lambda number: (len(DATA), xxhash.xxh3_64_intdigest(numbers[number]))
    assert run(get(daemon.store, (NUMBER + 1, MIB, 10))) == other[MIB : MIB + 10]
    daemon.path(NUMBER + 1).replace(daemon.path())
    assert "the index has" in refused(run(get(daemon.store, (NUMBER, 0, 10))), daemon)
    assert list(daemon.store.touch.damage()) == [str(daemon.path())]


@pytest.mark.parametrize("known", [(len(DATA) - 1, 0), (len(DATA), 1)])
def test_a_trailer_of_other_data_than_the_index_knows_is_refused(known: tuple[int, int], daemon: Daemon) -> None:
    written(daemon)
    daemon.store.touch.expected = lambda _: (known[0], xxhash.xxh3_64_intdigest(DATA) ^ known[1])
    assert "the index has" in refused(run(get(daemon.store, (NUMBER, 0, 10))), daemon)


def test_the_trailer_of_another_number_is_refused(daemon: Daemon) -> None:
    run(put(daemon.store, NUMBER + 1, DATA))
    daemon.restart()
    daemon.path(NUMBER + 1).rename(daemon.path())
    daemon.store.touch.expected = lambda _: (len(DATA), xxhash.xxh3_64_intdigest(DATA))
    assert "its trailer is that of" in refused(run(get(daemon.store, (NUMBER, 0, 10))), daemon)


def test_a_file_that_nothing_refers_to_any_more_is_served_by_its_trailer(daemon: Daemon) -> None:
    written(daemon)
    daemon.store.touch.expected = lambda _: None
    assert run(get(daemon.store, (NUMBER, 0, len(DATA)))) == DATA


def test_an_index_that_cannot_be_asked_fails_the_read_and_not_the_file(daemon: Daemon) -> None:
    written(daemon)

    def fail(_number: int) -> None:
        raise RuntimeError("closed")

    daemon.store.touch.expected = fail
    assert isinstance(run(get(daemon.store, (NUMBER, 0, 10))), RuntimeError)
    assert daemon.store.touch.damage() == {}
