"""Data files of earlier boots are proved before their bytes are used: block by block, at the first touch (invariant 8).

A disk may give back other bytes than it was given and say nothing. Each block of `HASHED_SIZE` has an XXH3 in the
trailer of its file (docs/data-files.md); it is compared when the first byte of the block is asked for, and what proved
right is remembered until the process ends, as far as there is room: what was forgotten is proved again. Files of the
running boot were hashed as they came and are not asked about. A file of an older format, without hashes of its blocks,
is proved as a whole.

The hashes are as good as the trailer they stand in, and that is sealed by itself: it would pass in a file that lies
under another one's name as well. So the first look at a trailer holds it against what the index knows of the file.

What is wrong is never remembered as a refusal: every read looks again, so that putting the right file back is enough.

Threads: `known` and `verified` touch no disk and may be asked on the loop's thread; `verify` runs in any other, also
for the same block in two of them, which costs a second reading and no more. `_lock` guards what changes, never across
a read.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

import xxhash

from s3d._core.spool import HASHED_SIZE
from s3d.store import trailer
from s3d.store.check import contradiction
from s3d.store.layout import BOOT_SHIFT, Layout
from s3d.store.trailer import TrailerError

EVERYTHING = 2**63 - 1
"""An offset behind any byte of a file."""
MAX_BLOCK_BYTES = 32 << 20
"""Of hashes and marks of files that are proved in part: a part of 5 GiB takes 46 KB."""
ENTRY_BYTES = 320
"""Around those of one file, as tracemalloc counts them."""
MAX_GROUPS = 1 << 16
"""Of `GROUP` files each of which some are proved wholly, 290 bytes each: 19 MB. 67 million files in a row fit."""
GROUP = 1024
MAX_DAMAGED = 10_000
READ_BYTES = 1 << 20

_log = logging.getLogger(__name__)


class _Blocks:
    """A file that is proved in part; what its trailer says of its data, and how far that was compared."""

    __slots__ = ("hashes", "left", "marks", "size_bytes", "xxh3")

    def __init__(self, size_bytes: int, xxh3: int, hashes: bytes) -> None:
        self.size_bytes = size_bytes
        self.xxh3 = xxh3
        self.hashes = hashes
        """8 bytes each; empty: none, the file is proved as a whole."""
        self.left = max(1, len(hashes) // 8)
        """Blocks not proved yet."""
        self.marks = bytearray(self.left)
        """1 for a block that is."""

    @property
    def cost_bytes(self) -> int:
        return ENTRY_BYTES + len(self.hashes) + len(self.marks)


def _no_row(_number: int) -> None:
    """Nobody has said what the files are."""


class Touch:
    """What is known of the bytes of data files of earlier boots; see the module. Serves `FileBody` as its verifier.

    ``stopped`` says that nobody waits any more: a long proof ends then. `boot` is the running one; until it is said, no
    file is trusted.
    """

    def __init__(self, layout: Layout, *, stopped: Callable[[], bool]) -> None:
        self.boot = -1
        self.expected: Callable[[int], tuple[int, int] | None] = _no_row
        """Called in any thread: size and XXH3 that the data of a file must have, None where nothing refers to it any
        more (a reader may outlive the row: its file is pinned). Whoever knows sets it."""
        self.mismatches = 0
        """Blocks, or trailers, that were not what was written, each time they were looked at."""
        self.checked_bytes = 0
        """Read and compared."""
        self._layout = layout
        self._stopped = stopped
        self._lock = threading.Lock()
        self._whole: OrderedDict[int, bytearray] = OrderedDict()
        self._blocks: OrderedDict[int, _Blocks] = OrderedDict()
        self._block_bytes = 0
        self._damaged: dict[int, tuple[int, str]] = {}

    # What is known.

    def known(self, number: int) -> bool:
        """Whether all of a file may go out unasked."""
        if number >> BOOT_SHIFT == self.boot:
            return True
        group = self._whole.get(number // GROUP)
        return group is not None and bool(group[number % GROUP >> 3] >> (number & 7) & 1)

    def verified(self, number: int, offset: int) -> int:
        """The offset up to which a file is proved from ``offset`` on; ``offset`` itself if its first byte is not."""
        if self.known(number):
            return EVERYTHING
        with self._lock:
            found = self._blocks.get(number)
            if found is None or not found.hashes:
                return offset
            self._blocks.move_to_end(number)
            unproved = found.marks.find(0, offset // HASHED_SIZE)
            # Behind the last block is the trailer; nobody has a reason to read there.
            end = found.size_bytes if unproved < 0 else unproved * HASHED_SIZE
            return max(offset, end)

    def damage(self) -> dict[str, str]:
        """What was wrong when it was last looked at, by path; of up to `MAX_DAMAGED` files that are still there."""
        with self._lock:
            found = list(self._damaged.items())
        return {self._layout.file(number): what for number, (_, what) in found}

    def forget(self, numbers: Iterable[int]) -> None:
        """These files are gone; any thread."""
        with self._lock:
            for number in numbers:
                self._damaged.pop(number, None)
                self._drop(number)

    # Proving.

    def verify(self, number: int, fd: int, offset: int, size: int) -> int:
        """Prove the blocks of an open file that ``size`` bytes from ``offset`` on touch; blocking, any thread.

        Returns the offset up to which they are proved: the end of the last of them, of the data, or of the last one
        before another that is proved already. All of them have been read. Raises OSError with the path for data that is
        not what was written, or cannot be read.
        """
        found = self._open(number, fd)
        if offset + size > found.size_bytes:
            raise self._refusal(number, -1, f"its {found.size_bytes} bytes of data end before the object in it does")
        view = memoryview(bytearray(min(found.size_bytes, READ_BYTES)))
        if not found.hashes:
            self._compare(number, fd, view, 0, found.size_bytes, found.xxh3, 0)
            self._mark(number, found, 0)
            return found.size_bytes
        first = offset // HASHED_SIZE
        count = (offset + max(size, 1) - 1) // HASHED_SIZE + 1 - first
        # The disk works on what comes next while this is compared and sent.
        os.posix_fadvise(fd, first * HASHED_SIZE, 2 * count * HASHED_SIZE, os.POSIX_FADV_WILLNEED)
        for block in range(first, first + count):
            if block > first and found.marks[block]:
                return block * HASHED_SIZE
            start = block * HASHED_SIZE
            expected = int.from_bytes(found.hashes[8 * block : 8 * block + 8], "little")
            self._compare(number, fd, view, start, min(HASHED_SIZE, found.size_bytes - start), expected, block)
            self._mark(number, found, block)
        return min((first + count) * HASHED_SIZE, found.size_bytes)

    def _open(self, number: int, fd: int) -> _Blocks:
        """What the trailer says of the blocks of a file, from memory if it is there."""
        with self._lock:
            found = self._blocks.get(number)
            if found is not None:
                return found
        try:
            read = trailer.read(fd)
        except TrailerError as error:
            raise self._refusal(number, -1, str(error)) from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._layout.file(number)) from None
        row = self.expected(number)
        if row is not None and (what := contradiction(read, number, *row)):
            raise self._refusal(number, -1, what)
        made = _Blocks(read.size_bytes, read.xxh3, read.hashes)
        with self._lock:
            if self._damaged.get(number, (0, ""))[0] < 0:
                del self._damaged[number]
            # Two threads may have come here; the marks of the one that was first count.
            found = self._blocks.setdefault(number, made)
            if found is made:
                self._block_bytes += made.cost_bytes
                while self._block_bytes > MAX_BLOCK_BYTES and len(self._blocks) > 1:
                    self._drop(next(iter(self._blocks)))
        return found

    def _compare(
        self, number: int, fd: int, view: memoryview, start: int, size: int, expected: int, block: int
    ) -> None:
        """Read ``size`` bytes from ``start`` through ``view``; OSError unless their XXH3 is ``expected``."""
        hasher = xxhash.xxh3_64()
        end = start + size
        while start < end:
            if self._stopped():
                raise ConnectionAbortedError("the server is shutting down")
            try:
                count = os.preadv(fd, [view[: min(end - start, READ_BYTES)]], start)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self._layout.file(number)) from None
            if not count:
                raise self._refusal(number, block, f"it ends after {start} bytes")
            hasher.update(view[:count])
            start += count
        found = hasher.intdigest()
        with self._lock:
            self.checked_bytes += size
        if found != expected:
            raise self._refusal(
                number, block, f"{size} bytes from {end - size} on have XXH3 {found:016x}, not {expected:016x}"
            )

    def _mark(self, number: int, found: _Blocks, block: int) -> None:
        """A block of a file is right."""
        with self._lock:
            if self._damaged.get(number, (-1, ""))[0] == block:
                del self._damaged[number]
            if not found.marks[block]:
                found.marks[block] = 1
                found.left -= 1
            if found.left == 0:
                self._drop(number)
                group = self._whole.get(number // GROUP)
                if group is None:
                    group = self._whole[number // GROUP] = bytearray(GROUP // 8)
                    if len(self._whole) > MAX_GROUPS:
                        self._whole.popitem(last=False)
                group[number % GROUP >> 3] |= 1 << (number & 7)

    def _drop(self, number: int) -> None:
        """Forget the blocks of a file; under `_lock`."""
        found = self._blocks.pop(number, None)
        if found is not None:
            self._block_bytes -= found.cost_bytes

    def _refusal(self, number: int, block: int, what: str) -> OSError:
        """Note what is wrong with a file; -1 for its trailer. The error for whoever wanted its bytes."""
        path = self._layout.file(number)
        with self._lock:
            self.mismatches += 1
            new = self._damaged.get(number) != (block, what)
            if new and (number in self._damaged or len(self._damaged) < MAX_DAMAGED):
                self._damaged[number] = (block, what)
        if new:
            # An answer that is cut short says nothing; once is enough for the one who reads this.
            _log.error("%s is not what was written: %s", path, what)
        return OSError(errno.EIO, f"a data file is not what was written: {what}", path)
