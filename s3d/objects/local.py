"""Local objects as the daemon holds them: opening, sweeping, mending and closing store and index together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from s3d.crash_point import crash_point, is_armed
from s3d.index.errors import IndexDamaged, IndexError_
from s3d.index.index import Index
from s3d.objects.engine import Engine
from s3d.store.errors import StoreError, StoreLocked
from s3d.store.store import Store
from s3d.store.sweep import SweepReport

_log = logging.getLogger("s3d.objects")

Result = TypeVar("Result")

MEND_FIRST_S = 1.0
MEND_LAST_S = 10.0
COLLECT_BUSY_S = 0.004
"""64 extents each time: 10,000 take about a second, and a fifth of the loop's time."""
COLLECT_IDLE_S = 0.5


class LocalError(Exception):
    """Local objects cannot be served; the message names the path and says what to do."""


class LocalInUse(LocalError):
    """Another running s3d has the directory; the message has its pid."""


class LocalDamaged(LocalError):
    """The index cannot be opened without the loss of what had been durable."""


class LocalObjects:
    """A directory with data files and their index, and the engine over both. Made by `open`; loop's thread only."""

    def __init__(self, directory: Path, store: Store, index: Index, engine: Engine) -> None:
        self.directory = directory
        self.engine = engine
        self._store = store
        self._index = index
        self._tasks: list[asyncio.Task[None]] = []
        self._swept: SweepReport | None = None
        self._trouble: list[str] = []

    @classmethod
    async def open(cls, directory: Path, *, inline_size_bytes: int, sync: bool, reserve_bytes: int) -> Self:
        """Lock ``directory`` and open what is in it, or begin it. Raises `LocalError`.

        A cancelled wait still ends with everything closed: opening goes on in its thread until then.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(_open, directory, sync, reserve_bytes))
        try:
            store, index = await asyncio.shield(opening)
        except asyncio.CancelledError:
            store, index = await opening
            await asyncio.to_thread(_close, store, index)
            raise
        return cls(directory, store, index, Engine(index, store, inline_size_bytes=inline_size_bytes))

    def begin(self) -> None:
        """Start what goes on in the background: the sweep, once; mending the index; releasing what was dropped."""
        self._tasks = [asyncio.ensure_future(self._sweep()), asyncio.ensure_future(self._mend())]
        self._tasks.append(asyncio.ensure_future(self._collect()))

    async def _sweep(self) -> None:
        """Remove data files of earlier starts that no row knows (invariant 3)."""
        index = self._index
        try:
            report = await _to_the_end(self._store.sweep, index.boot, index.known, index.behind)
        except (OSError, IndexError_) as error:
            self._trouble.append(f"the sweep of {self.directory} failed: {error}")
            _log.error("the sweep of data files that nothing refers to failed: %s", error)
            return
        self._swept = report
        if report.kept:
            self._trouble.append(
                f"{report.kept} data files that the index does not know were moved to {self.directory}/lost+found: "
                "`s3d store adopt` brings them back"
            )
        if report.removed or report.kept:
            _log.info("the sweep removed %d data files and kept %d", report.removed, report.kept)

    async def _mend(self) -> None:
        """Open the index anew when a flush has failed: what counts is what the disk has then."""
        delay_s = MEND_FIRST_S
        while True:
            await asyncio.sleep(delay_s)
            if self._index.failure is None:
                delay_s = MEND_FIRST_S
                continue
            if self._index.is_flushing:
                # It may yet succeed, and those who wait must hear so from the index as it is. No other begins.
                continue
            if delay_s == MEND_FIRST_S:
                _log.error("nothing can be written until the index is open again: %s", one_line(self._index.failure))
            try:
                await _to_the_end(self._index.reopen)
            except Exception as error:  # noqa: BLE001 - whatever it was, it has to be tried again
                _log.error("the index cannot be opened again yet: %s", one_line(error))
                delay_s = min(2 * delay_s, MEND_LAST_S)
            else:
                _log.warning("the index is open again")
                delay_s = MEND_FIRST_S

    async def _collect(self) -> None:
        """Release the files of large objects and uploads that were dropped, a few each time."""
        while True:
            try:
                more = self.engine.collect()
            except IndexError_ as error:
                _log.error("what was deleted cannot be released yet: %s", one_line(error))
                more = False
            await asyncio.sleep(COLLECT_BUSY_S if more else COLLECT_IDLE_S)

    def problems(self) -> list[str]:
        """What is wrong, in sentences that name the path."""
        failure = self._index.failure
        problems = [] if failure is None else [f"nothing can be written: {one_line(failure)}"]
        if self._index.behind:
            problems.append(f"{self.directory}/index has lost rows that were durable; see docs/index.md")
        try:
            self._store.room.check()
        except OSError as error:
            problems.append(f"{error.filename or self.directory}: {error.strerror or error}")
        damage = self._store.touch.damage()
        if damage:
            path, what = next(iter(damage.items()))
            more = f", and so are {len(damage) - 1} more" if len(damage) > 1 else ""
            problems.append(f"{path} is not what was written{more}: {what}; `s3d store verify` names the objects")
        return problems + self._trouble

    async def close(self) -> None:
        """Make durable what was written, and let the directory go."""
        self._store.closing = True  # ends the sweep after its batch
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(_close, self._store, self._index)

    def status(self) -> dict[str, Any]:
        """How things stand, as plain data."""
        problems = self.problems()
        try:
            disk = os.statvfs(self.directory)
            free_bytes: int | None = disk.f_bavail * disk.f_frsize
        except OSError as error:
            free_bytes = None
            problems.append(f"{self.directory}: {error.strerror}")
        return {
            "directory": str(self.directory),
            "free_bytes": free_bytes,
            "health": "failing" if problems else "ok",
            "problems": problems,
            "mismatches": self._store.touch.mismatches,
        }


async def _to_the_end(work: Callable[..., Result], *arguments: object) -> Result:
    """Run it in a thread, to its end also when the wait is cancelled: closing must not overtake it."""
    running = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise


def open_store(directory: Path, *, sync: bool = True) -> Store:
    """Lock a directory that is s3d's already, for a command; blocking. Raises `LocalError`."""
    if not (directory / "format").exists() and not (directory / "index").exists():
        raise LocalError(f"{directory} is no directory of s3d's objects: name one by --local-dir or S3D_LOCAL_DIR")
    return _open_store(directory, sync)


def _open_store(directory: Path, sync: bool, reserve_bytes: int = 0) -> Store:
    try:
        return Store.open(directory, sync=sync, step=crash_point if is_armed() else None, reserve_bytes=reserve_bytes)
    except StoreLocked as error:
        raise LocalInUse(str(error)) from error
    except StoreError as error:
        raise LocalError(str(error)) from error
    except OSError as error:
        raise LocalError(f"{error.filename or directory}: {error.strerror or error}") from error


def open_index(directory: Path, store: Store, *, sync: bool = True, accept_loss: bool = False) -> Index:
    """Open the index beside a store, which is the caller's to close however this ends; blocking. Raises `LocalError`.

    What the index says of itself is doubted before it is written to: a crash in between must not hide a loss.
    """
    index: Index | None = None
    try:
        index = Index.open(
            directory / "index",
            sync=sync,
            boot_above=store.highest_boot,
            on_loss=store.doubt,
            accept_loss=accept_loss,
        )
        store.begin(index.boot)
    except BaseException as error:
        if index is not None:
            index.close()
        if isinstance(error, IndexDamaged):
            raise LocalDamaged(f"{one_line(error)}; `s3d store repair` opens what can be opened") from error
        if isinstance(error, OSError):
            raise LocalError(f"{error.filename or directory}: {error.strerror or error}") from error
        if isinstance(error, (StoreError, IndexError_)):
            raise LocalError(one_line(error)) from error
        raise
    return index


def one_line(error: BaseException) -> str:
    """An error's words without RocksDB's line breaks."""
    return " ".join(str(error).split())


def _open(directory: Path, sync: bool, reserve_bytes: int) -> tuple[Store, Index]:
    """Blocking."""
    store = _open_store(directory, sync, reserve_bytes)
    try:
        return store, open_index(directory, store, sync=sync)
    except BaseException:
        store.close()
        raise


def _close(store: Store, index: Index) -> None:
    """Blocking. The store first: what it still publishes would find the index closed."""
    store.close()
    index.close()
