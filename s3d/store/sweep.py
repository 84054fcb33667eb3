"""What a crash left behind: files that no row knows, and temporary names.

A file gets its name before the row that refers to it is written, and loses it after that row is durably gone; so a
crash leaves files that nobody refers to, never a row without its file. The sweep finds them, in a thread and while the
daemon serves. It looks only at files of earlier boots, by the boot in their number: what is being published now is
none of its business. A file of an earlier boot that no row knows can never become known again, so there is no race
with the rows; readers of a row that has just gone hold a pin.

Where the index itself may have lost rows, unknown files may be all that is left of acknowledged objects: with
``keep_unknown`` they move to ``lost+found/``, and nothing is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from s3d._core.spool import TEMPORARY_PREFIX
from s3d.store.layout import BOOT_SHIFT, Layout, file_number, is_temporary

BATCH = 1024
"""Files that one call of ``known`` is asked for: a few milliseconds of lookups, so that it may run on the loop."""


class SweepReport(msgspec.Struct):
    """Counts of files."""

    known: int = 0
    removed: int = 0
    """Nobody knew them."""
    kept: int = 0
    """Nobody knew them; they lie in lost+found now."""
    temporary: int = 0
    """Never whole, removed."""
    foreign: int = 0
    """Not ours by their names; left alone."""
    failed: int = 0
    """Should have been removed or kept; `first_error` says why not."""
    unknown_bytes: int = 0
    """Of those removed or kept."""
    first_error: str = ""
    complete: bool = False
    """False: it was stopped before it had seen everything."""


class Sweep:
    """One pass over all directories of data files.

    ``boot``: the running one. ``known(numbers)`` says for each whether a row refers to it, called in this thread.
    ``spared(number)``: somebody still reads it. ``step``: told each step that tests end the process at.
    ``stopped()``: the daemon is closing. ``keep_unknown()``, asked for each file: it moves to lost+found.
    """

    def __init__(
        self,
        layout: Layout,
        boot: int,
        known: Callable[[Sequence[int]], Sequence[bool]],
        *,
        keep_unknown: Callable[[], bool],
        spared: Callable[[int], bool],
        stopped: Callable[[], bool],
        step: Callable[[str], object],
    ) -> None:
        self._layout = layout
        self._boot = boot
        self._known = known
        self._keep_unknown = keep_unknown
        self._spared = spared
        self._stopped = stopped
        self._step = step
        self.report = SweepReport()

    def run(self) -> SweepReport:
        """Blocking; raises only what ``known`` does. A directory that cannot be read counts as failed."""
        self._remove_temporary()
        for directory in self._layout.shards():
            numbers = self._earlier(directory)
            while batch := list(islice(numbers, BATCH)):
                if self._stopped():
                    return self.report
                self._sweep(batch)
        self.report.complete = not self.report.failed
        return self.report

    def _names(self, directory: str | os.PathLike[str]) -> Iterator[str]:
        """Names of the regular files in it. Removing some of them meanwhile is safe (readdir, POSIX.1)."""
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name
                    elif os.fspath(directory) != os.fspath(self._layout.data):
                        self.report.foreign += 1
        except OSError as error:
            self._fail(error)

    def _earlier(self, directory: str) -> Iterator[int]:
        for name in self._names(directory):
            number = file_number(name)
            if number is None or self._layout.shard(number) != directory:
                self.report.foreign += 1
            elif number >> BOOT_SHIFT < self._boot:
                yield number

    def _sweep(self, numbers: list[int]) -> None:
        answers = self._known(numbers)
        if len(answers) != len(numbers):
            raise ValueError(f"{len(answers)} answers about {len(numbers)} files")
        for number, known in zip(numbers, answers, strict=True):
            if known:
                self.report.known += 1
            # Asked after ``known`` was: whoever reads a file that no row knows any more has pinned it before.
            elif not self._spared(number):
                try:
                    self._clear(number)
                except FileNotFoundError:
                    continue  # its last row has gone just now, and the file with it
                except OSError as error:
                    self._fail(error)

    def _clear(self, number: int) -> None:
        path = self._layout.file(number)
        size_bytes = os.stat(path).st_size
        if self._keep_unknown():
            self._step("store.salvaging")
            os.rename(path, self._free_name(number))
            self._step("store.salvaged")
            self.report.kept += 1
        else:
            self._step("store.sweeping")
            os.unlink(path)
            self._step("store.swept")
            self.report.removed += 1
        self.report.unknown_bytes += size_bytes

    def _free_name(self, number: int) -> str:
        """A path in lost+found that nothing has: only who holds the lock makes files there."""
        path = self._layout.lost(number)
        taken = 0
        while os.path.lexists(path):
            taken += 1
            path = f"{self._layout.lost(number)}.{taken}"
        return path

    def _remove_temporary(self) -> None:
        """Remove the names that bodies have while they come in, where files without a name are not to be had."""
        for name in self._names(self._layout.data):
            if not is_temporary(name):
                self.report.foreign += 1
            elif not name.startswith(TEMPORARY_PREFIX):
                try:
                    os.unlink(self._layout.data / name)
                    self.report.temporary += 1
                except OSError as error:
                    self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.report.failed += 1
        self.report.first_error = self.report.first_error or str(error)
