"""The store: what it publishes is durable and readable, what it removes is gone, and nothing is lost by a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import xxhash

from s3d._core.collect import Collector, Source, chain
from s3d._core.filebody import open_to_read
from s3d._core.spool import Spool
from s3d.store import Lost, Store, StoreLocked, StoreTooNew, Trailer, TrailerError
from s3d.store import store as store_module
from s3d.store import trailer as trailers

INLINE = 1000
BODY = bytes(range(256)) * 40
BOOT = 5


def number(counter: int, boot: int = BOOT) -> int:
    return boot << 40 | counter


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "local", sync=True)
    yield made
    made.close()


async def take(store: Store, data: bytes) -> Spool:
    """A spool with the whole of ``data``."""
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    spool = store.spool(lambda _, error: ended.set_result(error), INLINE)
    source = Source()
    chain(source, spool)
    source.feed(data)
    source.end()
    assert await ended is None
    return spool


async def put(store: Store, file: int, data: bytes = BODY, record: bytes = b"record") -> None:
    spool = await take(store, data)
    await store.publish(spool, file, record)
    spool.close()


async def get(store: Store, *extents: tuple[int, int, int]) -> bytes | BaseException | None:
    ended: asyncio.Future[bytes | BaseException | None] = asyncio.get_running_loop().create_future()
    body = store.body(extents)
    chain(body, Collector(1 << 30, lambda data, error: ended.set_result(error or data)))
    return await ended


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def files(store: Store) -> set[int]:
    return {int(path.name, 16) for path in store.layout.data.rglob("*") if path.is_file()}


def run(steps: Awaitable[object]) -> None:
    async def main() -> None:
        await steps

    asyncio.run(main())


# Publishing.


@pytest.mark.parametrize("size", [0, 1, len(BODY), 300_000])
def test_a_published_file_explains_itself(size: int, store: Store) -> None:
    data = (BODY * 30)[:size]
    run(put(store, number(1), data, b"who I am"))
    fd = store.open_file(number(1))
    assert os.pread(fd, size, 0) == data
    assert trailers.read(fd) == Trailer(number(1), size, xxhash.xxh3_64_intdigest(data), b"who I am")
    os.close(fd)


def test_files_in_a_row_share_a_directory(store: Store) -> None:
    assert store.layout.shard(number(0)) == store.layout.shard(number(255))
    assert store.layout.shard(number(255)) != store.layout.shard(number(256))


def test_many_at_once_are_all_published(store: Store) -> None:
    async def steps() -> None:
        await asyncio.gather(*[put(store, number(counter)) for counter in range(50)])

    run(steps())
    assert files(store) == {number(counter) for counter in range(50)}


def test_a_file_whose_name_is_on_the_disk_alone_is_opened_in_a_thread(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names go from the kernel's cache only with the memory of the whole machine: openat2's answer is played."""
    asked: list[tuple[bool, bool]] = []

    def cold(path: str, may_wait: bool = True) -> int:
        asked.append((threading.current_thread() is threading.main_thread(), may_wait))
        if not may_wait:
            raise BlockingIOError
        return open_to_read(path)

    async def steps() -> None:
        await put(store, number(1))
        await put(store, number(2))
        monkeypatch.setattr(store_module, "open_to_read", cold)
        assert await get(store, (number(1), 0, len(BODY)), (number(2), 0, len(BODY))) == 2 * BODY

    store.begin(BOOT)
    run(steps())
    # Without and with a thread, for each of the two.
    assert asked == [(True, False), (False, True)] * 2


def test_a_number_that_is_taken_is_refused(store: Store) -> None:
    run(put(store, number(1)))
    with pytest.raises(FileExistsError):
        run(put(store, number(1), b"other" * 1000))
    fd = store.open_file(number(1))
    assert os.pread(fd, len(BODY), 0) == BODY
    os.close(fd)


def test_a_cancelled_publication_is_given_up(store: Store) -> None:
    async def steps() -> None:
        spool = await take(store, BODY)
        promise = store.publish(spool, number(1), b"")
        promise.cancel()
        spool.close()
        with pytest.raises(asyncio.CancelledError):
            await promise
        await put(store, number(2))
        await until(lambda: files(store) == {number(2)})

    run(steps())


def test_a_spool_closed_while_it_is_published_is_published(store: Store) -> None:
    async def steps() -> None:
        spool = await take(store, BODY)
        promise = store.publish(spool, number(1), b"")
        spool.close()
        await promise

    run(steps())
    assert files(store) == {number(1)}


def test_a_record_that_is_too_long_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="longer"):
        run(put(store, number(1), record=bytes(trailers.MAX_RECORD_BYTES + 1)))


def test_the_steps_of_a_publication_are_told_in_order(tmp_path: Path) -> None:
    steps: list[str] = []
    store = Store.open(tmp_path, sync=True, step=steps.append)
    run(put(store, number(1)))
    store.close()
    assert steps == ["store.staged", "store.synced", "store.linked", "store.directory_synced"]


# Reading and removing.


def test_a_body_is_its_extents_in_order(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1), b"a" * 5000)
        await put(store, number(2), b"b" * 5000)
        assert await get(store, (number(2), 4000, 1000), (number(1), 0, 3)) == b"b" * 1000 + b"aaa"

    run(steps())


def test_a_body_of_a_missing_file_fails(store: Store) -> None:
    async def steps() -> None:
        assert isinstance(await get(store, (number(1), 0, 10)), OSError)

    run(steps())


def test_removed_files_are_gone(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1))
        await put(store, number(2))
        store.remove([number(1), number(3)])

    run(steps())
    store.close()
    assert files(store) == {number(2)}


def test_a_pinned_file_goes_with_its_last_pin(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1))
        store.pin([number(1), number(1)])
        store.remove([number(1)])
        store.unpin([number(1)])
        await put(store, number(2))
        assert files(store) == {number(1), number(2)}
        store.unpin([number(1)])
        await until(lambda: files(store) == {number(2)})

    run(steps())


def test_a_pin_that_goes_removes_nothing_by_itself(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1))
        store.pin([number(1)])
        store.unpin([number(1)])

    run(steps())
    store.close()
    assert files(store) == {number(1)}


def test_a_body_under_way_keeps_its_files(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1))
        await put(store, number(2))
        body = store.body([(number(1), 0, len(BODY)), (number(2), 0, len(BODY))])
        store.remove([number(1), number(2)])
        ended: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        chain(body, Collector(1 << 20, lambda data, _: ended.set_result(data)))
        assert await ended == BODY + BODY
        await until(lambda: files(store) == set())

    run(steps())


def test_a_body_that_is_discarded_lets_go_of_its_files(store: Store) -> None:
    async def steps() -> None:
        await put(store, number(1))
        body = store.body([(number(1), 0, len(BODY))])
        store.remove([number(1)])
        body.discard()
        await until(lambda: files(store) == set())

    run(steps())


# Opening.


def test_a_directory_of_a_running_s3d_is_refused_with_path_and_pid(store: Store) -> None:
    with pytest.raises(StoreLocked) as caught:
        Store.open(store.layout.local_dir, sync=True)
    assert str(store.layout.lock) in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from s3d.store import Store; "
        "Store.open(Path(sys.argv[1]), sync=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=env, timeout=60)
    assert done.returncode == -signal.SIGKILL
    Store.open(tmp_path, sync=True).close()


@pytest.mark.parametrize("content", ["2", "999999", "x", "1 1"])
def test_a_newer_format_is_refused_with_its_path(content: str, store: Store) -> None:
    store.close()
    store.layout.format.write_text(content)
    with pytest.raises(StoreTooNew, match=str(store.layout.format)):
        Store.open(store.layout.local_dir, sync=True)
    store.layout.format.write_text("1\n")
    Store.open(store.layout.local_dir, sync=True).close()


def test_a_local_directory_that_is_a_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=str(tmp_path / "file")):
        Store.open(tmp_path / "file", sync=True)


def test_closing_twice_is_closing_once(store: Store) -> None:
    store.close()
    store.close()
    Store.open(store.layout.local_dir, sync=True).close()


# Trailers.


def damaged(store: Store, at: int, by: int = 0xFF) -> Path:
    """The file of number(1) with one byte changed; ``at`` from the end if negative."""
    run(put(store, number(1)))
    path = Path(store.layout.file(number(1)))
    content = bytearray(path.read_bytes())
    content[at] ^= by
    path.write_bytes(content)
    return path


def read_trailer(path: Path) -> Trailer:
    fd = os.open(path, os.O_RDONLY)
    try:
        return trailers.read(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("at", range(-1, -1 - trailers.FOOTER_SIZE - len(b"record"), -1))
def test_a_changed_byte_anywhere_in_a_trailer_is_noticed(at: int, store: Store) -> None:
    with pytest.raises(TrailerError):
        read_trailer(damaged(store, at))


@pytest.mark.parametrize("size", [0, 1, trailers.FOOTER_SIZE - 1, trailers.FOOTER_SIZE, len(BODY)])
def test_a_file_that_was_cut_off_has_no_trailer(size: int, store: Store) -> None:
    run(put(store, number(1)))
    path = Path(store.layout.file(number(1)))
    os.truncate(path, size)
    with pytest.raises(TrailerError):
        read_trailer(path)


def test_a_trailer_of_a_newer_version_is_named_as_such(store: Store) -> None:
    path = damaged(store, -trailers.FOOTER_SIZE + 8, by=trailers.VERSION ^ 3)
    with pytest.raises(TrailerError, match="version 3"):
        read_trailer(path)


# Verifying.


def verify(store: Store, *expected: tuple[int, bytes]) -> tuple[dict[int, str], tuple[int, int, int, int]]:
    problems: dict[int, str] = {}
    report = store.verify(
        [(file, len(data), xxhash.xxh3_64_intdigest(data)) for file, data in expected],
        lambda file, _path, what: problems.update({file: what}),
    )
    return problems, (report.files, report.bytes, report.missing, report.damaged)


def test_whole_files_verify(store: Store) -> None:
    run(put(store, number(1)))
    run(put(store, number(2), b""))
    assert verify(store, (number(1), BODY), (number(2), b"")) == ({}, (2, len(BODY), 0, 0))


def test_a_missing_file_is_reported(store: Store) -> None:
    assert verify(store, (number(1), BODY)) == ({number(1): "it is missing"}, (1, 0, 1, 0))


def test_a_changed_byte_of_data_is_reported(store: Store) -> None:
    damaged(store, 4711)
    problems, counts = verify(store, (number(1), BODY))
    assert "XXH3" in problems[number(1)]
    assert counts == (1, len(BODY), 0, 1)


def test_a_changed_byte_of_a_trailer_is_reported(store: Store) -> None:
    damaged(store, -50)
    assert "trailer" in verify(store, (number(1), BODY))[0][number(1)]


def test_a_short_file_is_reported(store: Store) -> None:
    run(put(store, number(1)))
    os.truncate(store.layout.file(number(1)), 100)
    assert "100 bytes" in verify(store, (number(1), BODY))[0][number(1)]


def test_verifying_can_be_stopped(store: Store) -> None:
    run(put(store, number(1)))

    def stop(_report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.verify([(number(1), len(BODY), 0)], lambda *_: None, stop)


# lost+found.


def lose(store: Store, file: int, data: bytes = BODY, record: bytes = b"record") -> Lost:
    """A file that a sweep moved to lost+found."""
    run(put(store, file, data, record))
    store.sweep(BOOT + 1, lambda numbers: [False] * len(numbers), keep_unknown=True)
    [lost] = [one for one in store.lost() if one.trailer is None or one.trailer.number == file]
    return lost


def test_what_lies_in_lost_and_found_tells_what_it_is(store: Store) -> None:
    lost = lose(store, number(1), record=b"bucket and key")
    assert lost.trailer == Trailer(number(1), len(BODY), xxhash.xxh3_64_intdigest(BODY), b"bucket and key")


def test_an_adopted_file_is_a_data_file_again(store: Store) -> None:
    lost = lose(store, number(1))
    assert store.adopt(lost, number(7, BOOT + 1)) == lost.trailer
    store.adopted(lost)
    assert verify(store, (number(7, BOOT + 1), BODY))[0] == {}
    assert list(store.lost()) == []


def test_a_file_adopted_half_way_is_still_in_lost_and_found(store: Store) -> None:
    lost = lose(store, number(1))
    store.adopt(lost, number(7, BOOT + 1))
    assert list(store.lost()) == [lost]


def test_a_damaged_file_is_not_adopted(store: Store) -> None:
    lost = lose(store, number(1))
    with open(lost.path, "r+b") as file:
        file.write(b"?")
    with pytest.raises(TrailerError, match="data"):
        store.adopt(lost, number(7, BOOT + 1))
    assert files(store) == set()


def test_a_file_without_a_trailer_says_why(store: Store) -> None:
    (store.layout.lost_and_found / f"{number(1):016x}").write_bytes(b"short")
    (store.layout.lost_and_found / "somebody else's").write_bytes(b"")
    [lost] = store.lost()
    assert lost.trailer is None
    assert "5 bytes" in lost.problem
