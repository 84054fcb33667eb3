"""Data files against what is known of them: `verify`, and what lies in lost+found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

import msgspec
import xxhash

from s3d.store import trailer
from s3d.store.layout import BOOT_SHIFT, Layout, file_number
from s3d.store.trailer import Trailer, TrailerError

CHUNK_BYTES = 1 << 20


class VerifyReport(msgspec.Struct):
    files: int = 0
    """Looked at."""
    bytes: int = 0
    """Of data, read and hashed."""
    missing: int = 0
    damaged: int = 0
    """Not the bytes that were written, or not to be read."""

    @property
    def ok(self) -> bool:
        return not self.missing and not self.damaged


class Lost(msgspec.Struct, frozen=True):
    """A file in lost+found."""

    path: str
    trailer: Trailer | None
    problem: str
    """Why it has no trailer, else empty."""


def hash_file(fd: int, size_bytes: int, advance: Callable[[int], object] | None = None) -> tuple[int, int]:
    """(XXH3, bytes) of the first ``size_bytes`` of an open file; fewer bytes if it is shorter.

    The page cache is left as found as far as the kernel takes hints: this may read more than it holds.
    ``advance(bytes)`` is told of progress.
    """
    hasher = xxhash.xxh3_64()
    buffer = bytearray(min(CHUNK_BYTES, max(size_bytes, 1)))
    view = memoryview(buffer)
    os.posix_fadvise(fd, 0, size_bytes, os.POSIX_FADV_SEQUENTIAL)
    done = 0
    while done < size_bytes:
        count = os.preadv(fd, [view[: min(CHUNK_BYTES, size_bytes - done)]], done)
        if count == 0:
            break
        hasher.update(view[:count])
        done += count
        if advance is not None:
            advance(count)
    return hasher.intdigest(), done


def verify(
    layout: Layout,
    expected: Iterable[tuple[int, int, int]],
    problem: Callable[[int, str, str], object],
    progress: Callable[[VerifyReport], object] | None = None,
) -> VerifyReport:
    """Read every file of ``expected``, (number, size_bytes, xxh3) of each, and compare; blocking.

    ``problem(number, path, what)`` is called for each file that is not as expected. ``progress(report)`` is called
    after at most `CHUNK_BYTES`; what it raises ends the run. A file that went while it was looked for, because its
    last row did, is for the caller to look up again.
    """
    report = VerifyReport()

    def advance(count: int) -> None:
        report.bytes += count
        if progress is not None:
            progress(report)

    for number, size_bytes, xxh3 in expected:
        path = layout.file(number)
        report.files += 1
        try:
            what = _compare(path, number, size_bytes, xxh3, advance)
        except FileNotFoundError:
            report.missing += 1
            problem(number, path, "it is missing")
            continue
        except OSError as error:
            what = f"it cannot be read: {error.strerror}"
        if what:
            report.damaged += 1
            problem(number, path, what)
        if progress is not None:
            progress(report)
    return report


def _compare(path: str, number: int, size_bytes: int, xxh3: int, advance: Callable[[int], object]) -> str:
    """What is wrong with a file, empty if nothing is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        digest, count = hash_file(fd, size_bytes, advance)
        if count != size_bytes:
            return f"it has {count} bytes of data, not {size_bytes}"
        if digest != xxh3:
            return f"its data has XXH3 {digest:016x}, not {xxh3:016x}"
        try:
            found = trailer.read(fd)
        except TrailerError as error:
            return str(error)
        return contradiction(found, number, size_bytes, xxh3)
    finally:
        os.close(fd)


def contradiction(found: Trailer, number: int, size_bytes: int, xxh3: int) -> str:
    """What a trailer says that its file, known to be ``number`` with this data, cannot be; empty if nothing.

    An earlier boot's number is that of a file that was adopted: it keeps its trailer under the new name.
    """
    if found.size_bytes != size_bytes or found.xxh3 != xxh3:
        return (
            f"its trailer describes {found.size_bytes} bytes with XXH3 {found.xxh3:016x}, and the index has "
            f"{size_bytes} with {xxh3:016x}"
        )
    if found.number != number and found.number >> BOOT_SHIFT >= number >> BOOT_SHIFT:
        return f"its trailer is that of data file {found.number:016x}"
    return ""


def lost_files(layout: Layout) -> Iterator[Lost]:
    """What lies in lost+found, in no order; other names than ours are passed over. Blocking; OSError with the path."""
    with os.scandir(layout.lost_and_found) as entries:
        for entry in entries:
            if file_number(entry.name[:16]) is None or not entry.is_file(follow_symlinks=False):
                continue
            try:
                found, problem = read_trailer(entry.path), ""
            except FileNotFoundError:
                continue
            except TrailerError as error:
                found, problem = None, str(error)
            except OSError as error:
                found, problem = None, f"it cannot be read: {error.strerror}"
            yield Lost(path=entry.path, trailer=found, problem=problem)


def read_trailer(path: str) -> Trailer:
    """The trailer of the file at ``path``; TrailerError, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return trailer.read(fd)
    finally:
        os.close(fd)


def check_data(path: str) -> Trailer:
    """The trailer of a file whose data is proved to be what it says; TrailerError, OSError. Reads it all."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = trailer.read(fd)
        digest, count = hash_file(fd, found.size_bytes)
        if count != found.size_bytes or digest != found.xxh3:
            raise TrailerError("its data is not what its trailer says")
        return found
    finally:
        os.close(fd)
