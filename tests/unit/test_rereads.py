"""Bytes that are read again for their digests: who waits for whom, and who for nobody."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3d.index.records import Extent
from s3d.objects.reread import LARGE_AT_ONCE, SMALL_BYTES, Rereads
from s3d.store import Store
from s3d.store.lane import Lane

LARGE = (Extent(1, 0, SMALL_BYTES + 1),)
SMALL = (Extent(2, 0, 3),)


class Disk:
    """File 1 hangs until `go_on`, and has no end; file 2 is ``abc``."""

    def __init__(self) -> None:
        self.reading = 0
        self.pieces = 0
        self.go_on = threading.Event()
        self.stopped = False
        self.lane = Lane(4, "reread")
        self.rereads = Rereads(self.lane, self.read, lambda: self.stopped)

    def read(self, number: int, _offset: int, _size: int) -> Iterator[memoryview]:
        if number == 2:
            yield memoryview(b"abc")
            return
        self.reading += 1
        try:
            while True:
                assert self.go_on.wait(30)
                self.pieces += 1
                yield memoryview(bytes(1000))
        finally:
            self.reading -= 1

    async def until(self, reading: int) -> None:
        while self.reading != reading:
            await asyncio.sleep(0.002)

    async def small(self) -> None:
        md5, _ = await self.rereads.digest(SMALL, "")
        assert md5 == hashlib.md5(b"abc").digest()


@pytest.fixture
def run() -> Iterator[Callable[[Callable[[Disk], Coroutine[Any, Any, None]]], None]]:
    made: list[Disk] = []

    async def steps(test: Callable[[Disk], Coroutine[Any, Any, None]]) -> None:
        made.append(Disk())
        async with asyncio.timeout(30):
            await test(made[0])

    yield lambda test: asyncio.run(steps(test))
    made[0].stopped = True
    made[0].go_on.set()
    made[0].lane.shutdown()


def test_small_ones_do_not_wait_behind_any_number_of_large_ones(run) -> None:
    async def test(disk: Disk) -> None:
        large = [asyncio.ensure_future(disk.rereads.digest(LARGE, "")) for _ in range(10)]
        await disk.until(LARGE_AT_ONCE)
        await disk.small()
        for each in large:
            each.cancel()
        await asyncio.gather(*large, return_exceptions=True)

    run(test)


def test_a_cancelled_one_reads_no_further_and_lets_the_next_in(run) -> None:
    async def test(disk: Disk) -> None:
        first = [asyncio.ensure_future(disk.rereads.digest(LARGE, "")) for _ in range(LARGE_AT_ONCE)]
        await disk.until(LARGE_AT_ONCE)
        following = asyncio.ensure_future(disk.rereads.digest(LARGE, ""))
        for each in first:
            each.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        disk.go_on.set()
        await disk.until(1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await disk.until(0)

    run(test)


def test_a_thread_that_hangs_keeps_its_place(run) -> None:
    async def test(disk: Disk) -> None:
        for _ in range(LARGE_AT_ONCE):
            task = asyncio.ensure_future(disk.rereads.digest(LARGE, ""))
            await asyncio.sleep(0.02)
            task.cancel()
        following = asyncio.ensure_future(disk.rereads.digest(LARGE, ""))
        await asyncio.sleep(0.05)
        assert disk.reading == LARGE_AT_ONCE
        await disk.small()
        following.cancel()

    run(test)


def test_a_stop_ends_what_is_read(run) -> None:
    async def test(disk: Disk) -> None:
        reading = asyncio.ensure_future(disk.rereads.digest(LARGE, ""))
        await disk.until(1)
        disk.stopped = True
        disk.go_on.set()
        with pytest.raises(ConnectionAbortedError):
            await reading

    run(test)


def test_a_lane_takes_so_many_tasks_and_no_more() -> None:
    go_on = threading.Event()
    lane = Lane(1, "narrow", max_waiting=3)
    lane.submit(go_on.wait, 20)
    while lane._work_queue.qsize():
        pass
    waiting = [lane.submit(int) for _ in range(3)]
    # Their places are taken until a thread comes to them.
    assert all(each.cancel() for each in waiting)
    with pytest.raises(OSError, match="does not keep up") as refusal:
        lane.submit(int)
    assert refusal.value.errno == errno.EBUSY
    go_on.set()
    lane.shutdown()


def test_files_that_find_no_place_to_be_removed_are_left_to_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(tmp_path, sync=False)
    store._syncing._max_waiting = 0
    store.remove([1, 2])
    assert "cannot remove 2 data files" in caplog.text
    store.close()
