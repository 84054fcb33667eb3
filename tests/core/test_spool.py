"""The spool: whatever way a body comes, its digests are right, memory is bounded, and nothing stays behind."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from s3d._core import spool
from s3d._core.collect import Source, chain
from s3d._core.digest import Algorithm, digests
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.spool import BLOCK_SIZE, Directory, Pace, Spool
from s3d._core.upload import plan_upload

INLINE = 16384
BYTES = bytes(range(256)) * 4096 + b"the end of one mebibyte and a little"


class Held(Executor):
    """Runs what it is given when told to, in the caller's thread: every interleaving can be had."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], object]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append(lambda: future.set_running_or_notify_cancel() and fn(*args, **kwargs))
        return future

    def run(self) -> None:
        while self.jobs:
            self.jobs.popleft()()


class Ends:
    """What a spool said, and when."""

    def __init__(self) -> None:
        self.calls: list[BaseException | None] = []

    def done(self, _spool: Spool, error: BaseException | None) -> None:
        self.calls.append(error)


class Stand:
    """A spool on a loop and an executor that move only when told to."""

    def __init__(self, directory: Path, inline_limit: int = INLINE) -> None:
        self.directory = directory
        self.loop = asyncio.new_event_loop()
        self.executor = Held()
        self.ends = Ends()
        self.source = Source()
        self.pace = Pace(False)
        self.spool = Spool(directory, inline_limit, self.ends.done, self.loop, self.executor, self.pace)
        chain(self.source, self.spool)

    def turn(self) -> None:
        """Let the loop run what is due."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def settle(self) -> None:
        """Run worker and loop until neither has anything to do."""
        while self.executor.jobs:
            self.executor.run()
            self.turn()

    def send(self, data: bytes) -> None:
        """All of it, as a source that honours pause."""
        for start in range(0, len(data), BLOCK_SIZE):
            while self.source.paused:
                self.settle()
            self.source.feed(data[start : start + BLOCK_SIZE])

    def close(self) -> None:
        self.spool.close()
        self.turn()
        self.settle()
        self.loop.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


def take(data: bytes, cuts: list[int], directory: Path, *, slow: bool = False) -> Spool:
    """Sends ``data`` cut at ``cuts`` through a spool with real threads."""

    async def run() -> Spool:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        with ThreadPoolExecutor(2) as executor:
            spool = Spool(directory, INLINE, lambda _, error: ended.set_result(error), loop, executor)
            source = Source()
            chain(source, spool)
            for start, stop in pairwise([0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]):
                while source.paused:
                    await asyncio.sleep(0)
                source.feed(data[start:stop])
            source.end()
            error = await ended
        if error is not None:
            raise error
        return spool

    return asyncio.run(run())


@given(
    size=st.sampled_from(
        [0, 1, INLINE, INLINE + 1, 65536, 65537, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE, len(BYTES)]
    ),
    cuts=st.lists(st.integers(0, len(BYTES)), max_size=6),
)
@example(size=BLOCK_SIZE, cuts=[BLOCK_SIZE - 1])
def test_digests_are_right_for_any_split(size: int, cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    data = BYTES[:size]
    spool = take(data, cuts, tmp_path_factory.getbasetemp())
    assert (spool.size_bytes, spool.md5) == (size, hashlib.md5(data).digest())
    assert spool.xxh3 == xxhash.xxh3_64_intdigest(data)
    spool.close()


@pytest.mark.parametrize(("size", "inline"), [(0, True), (INLINE, True), (INLINE + 1, False)])
def test_a_body_up_to_the_limit_is_inline(size: int, inline: bool, tmp_path: Path) -> None:
    spool = take(BYTES[:size], [], tmp_path)
    assert spool.body == (BYTES[:size] if inline else None)
    spool.close()


def test_a_body_of_one_block_has_no_file_before_it_is_published(stand: Stand) -> None:
    stand.send(BYTES[:BLOCK_SIZE])
    stand.source.end()
    stand.settle()
    assert stand.ends.calls == [None]
    assert stand.spool.fd == -1


@pytest.mark.parametrize("size", [0, 1, INLINE + 1, BLOCK_SIZE, BLOCK_SIZE + 1, len(BYTES)])
def test_a_published_file_is_the_body_and_its_trailer(size: int, tmp_path: Path) -> None:
    spool = take(BYTES[:size], [], tmp_path)
    spool.publish(Directory(str(tmp_path)), "whole", b"trailer", True)
    spool.close()
    assert (tmp_path / "whole").read_bytes() == BYTES[:size] + b"trailer"


def test_a_name_that_is_taken_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"old")
    spool = take(BYTES, [], tmp_path)
    with pytest.raises(FileExistsError) as caught:
        spool.publish(Directory(str(tmp_path)), "taken", b"", True)
    assert caught.value.filename == str(tmp_path / "taken")
    assert (tmp_path / "taken").read_bytes() == b"old"
    spool.close()


def test_a_body_that_is_not_whole_cannot_be_published(stand: Stand) -> None:
    stand.send(BYTES)
    with pytest.raises(RuntimeError, match="whole"):
        stand.spool.publish(Directory(str(stand.directory)), "part", b"", False)
    assert list(stand.directory.iterdir()) == []


# Memory and pace.


def test_a_worker_that_lags_pauses_the_source(stand: Stand) -> None:
    sent = 0
    while not stand.source.paused:
        stand.source.feed(BYTES[:BLOCK_SIZE])
        sent += 1
        assert sent < 10
    assert stand.ends.calls == []


def test_the_source_goes_on_when_the_worker_has_caught_up(stand: Stand) -> None:
    while not stand.source.paused:
        stand.source.feed(BYTES[:BLOCK_SIZE])
    stand.settle()
    assert not stand.source.paused


def test_a_volume_that_blocks_is_written_by_the_worker(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.source.feed(BYTES[:BLOCK_SIZE])
    stand.pace.note(10**9)
    stand.source.feed(BYTES[:BLOCK_SIZE])
    assert stand.spool.fd == -1
    stand.settle()
    assert os.fstat(stand.spool.fd).st_size == BLOCK_SIZE


def test_a_volume_that_is_quick_again_is_written_inline(stand: Stand) -> None:
    stand.pace.note(10**9)
    for _ in range(15):
        stand.pace.note(1000)
    assert stand.pace.slow
    stand.pace.note(1000)
    assert not stand.pace.slow


def test_a_worker_lets_others_have_a_turn(stand: Stand) -> None:
    stand.source.feed(BYTES[:BLOCK_SIZE])
    while len(stand.executor.jobs) < 1:
        stand.source.feed(BYTES[:BLOCK_SIZE])
    for _ in range(12):
        stand.source.feed(BYTES[:BLOCK_SIZE])
    stand.executor.run()
    stand.turn()
    assert len(stand.executor.jobs) == 1, "what is left waits for its turn in the pool"


# Content-MD5.


def upload(data: bytes, md5: bytes, stand: Stand) -> None:
    request = Request(b"PUT", b"/b/k", [(b"content-md5", md5)], content_length=len(data))
    source = Source()
    stage = plan_upload(request, 1 << 40, None, True)
    chain(source, stage, stand.spool)
    for start in range(0, len(data), BLOCK_SIZE):
        source.feed(data[start : start + BLOCK_SIZE])
        stand.settle()
    source.end()
    stand.settle()
    assert stage.checksums == digests(data, [Algorithm.CRC64NVME])


@pytest.mark.parametrize("size", [5, 100_000, len(BYTES)])
def test_a_content_md5_is_compared_by_the_spool(size: int, stand: Stand) -> None:
    upload(BYTES[:size], b64encode(hashlib.md5(BYTES[:size]).digest()), stand)
    assert stand.ends.calls == [None]


@pytest.mark.parametrize("size", [5, 100_000, len(BYTES)])
def test_a_wrong_content_md5_is_a_bad_digest(size: int, stand: Stand) -> None:
    upload(BYTES[:size], b64encode(hashlib.md5(b"other").digest()), stand)
    [error] = stand.ends.calls
    assert isinstance(error, Fault)
    assert error.code == FaultCode.BAD_DIGEST
    assert stand.spool.closed


# Ends before the end.


def test_a_body_that_breaks_off_closes_the_spool(stand: Stand) -> None:
    stand.send(BYTES)
    error = ConnectionResetError("gone")
    stand.source.abort(error)
    stand.settle()
    assert stand.ends.calls == [error]
    assert (stand.spool.closed, stand.spool.fd) == (True, -1)


def before_the_first_byte(_stand: Stand) -> None:
    pass


def in_memory(stand: Stand) -> None:
    stand.source.feed(BYTES[:1000])


def with_a_file_and_an_idle_worker(stand: Stand) -> None:
    stand.send(BYTES)
    stand.settle()


def with_a_worker_about_to_run(stand: Stand) -> None:
    stand.source.feed(BYTES[: 2 * BLOCK_SIZE])


def with_a_worker_that_opens_the_file(stand: Stand) -> None:
    stand.pace.note(10**9)
    stand.source.feed(BYTES[: 2 * BLOCK_SIZE])


def with_a_worker_that_has_ended(stand: Stand) -> None:
    stand.source.feed(BYTES[: 2 * BLOCK_SIZE])
    stand.executor.run()


def at_the_last_byte(stand: Stand) -> None:
    stand.send(BYTES)
    stand.source.end()


def when_whole_in_memory(stand: Stand) -> None:
    stand.send(BYTES[:100_000])
    stand.source.end()
    stand.settle()
    stand.ends.calls.clear()


def when_whole_in_a_file(stand: Stand) -> None:
    stand.send(BYTES)
    stand.source.end()
    stand.settle()
    stand.ends.calls.clear()


POINTS = [
    before_the_first_byte,
    in_memory,
    with_a_file_and_an_idle_worker,
    with_a_worker_about_to_run,
    with_a_worker_that_opens_the_file,
    with_a_worker_that_has_ended,
    at_the_last_byte,
    when_whole_in_memory,
    when_whole_in_a_file,
]


@pytest.mark.parametrize("point", POINTS)
def test_closing_leaves_neither_descriptor_nor_file(point: Callable[[Stand], None], stand: Stand) -> None:
    point(stand)
    stand.spool.close()
    stand.spool.close()
    stand.settle()
    stand.turn()
    assert stand.spool.fd == -1
    assert list(stand.directory.iterdir()) == []
    assert stand.ends.calls == []


@pytest.mark.parametrize("point", POINTS[:7])
def test_closing_cancels_the_body(point: Callable[[Stand], None], stand: Stand) -> None:
    point(stand)
    ended = point is at_the_last_byte
    stand.spool.close()
    assert (stand.source.cancelled is None) == ended


def test_a_body_whose_worker_had_no_turn_is_let_go_of_at_once(stand: Stand) -> None:
    stand.source.feed(BYTES[:BLOCK_SIZE])
    stand.source.feed(BYTES[:BLOCK_SIZE])
    assert stand.executor.jobs
    assert stand.spool.fd >= 0
    stand.spool.close()
    assert stand.spool.fd == -1
    stand.settle()
    assert stand.ends.calls == []


def test_a_body_whose_worker_has_no_turn_for_long_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "TURN_LIMIT_S", 0.01)
    stand.source.feed(BYTES[:BLOCK_SIZE])
    stand.source.feed(BYTES[:BLOCK_SIZE])
    while not stand.ends.calls:
        stand.turn()
    [error] = stand.ends.calls
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (errno.ETIMEDOUT, str(stand.directory))
    assert isinstance(stand.source.cancelled, OSError)
    assert stand.spool.closed
    stand.settle()


def test_a_body_that_goes_on_slowly_is_not_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "TURN_LIMIT_S", 0.05)
    for _ in range(4):
        stand.source.feed(BYTES[:BLOCK_SIZE])
        stand.settle()
        stand.loop.run_until_complete(asyncio.sleep(0.03))
    assert stand.ends.calls == []


def test_closing_while_a_thread_publishes_leaves_the_file_to_it(tmp_path: Path) -> None:
    spool = take(BYTES, [], tmp_path)
    spool.lease()
    spool.close()
    assert spool.fd >= 0
    spool.release()
    assert spool.fd == -1


def test_a_loop_that_closes_under_a_worker_leaves_nothing_open(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    stand.source.feed(BYTES[: 2 * BLOCK_SIZE])
    stand.loop.close()
    stand.executor.run()
    assert stand.spool.fd == -1


def test_a_spool_that_is_dropped_closes_its_file(tmp_path: Path) -> None:
    spool = take(BYTES, [], tmp_path)
    fd = spool.fd
    del spool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# Directories.


def test_a_directory_that_is_gone_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Directory(str(tmp_path / "gone")).sync()
    assert caught.value.filename == str(tmp_path / "gone")


def test_a_directory_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path / "late"))
    with pytest.raises(FileNotFoundError):
        directory.sync()
    (tmp_path / "late").mkdir()
    directory.sync()
