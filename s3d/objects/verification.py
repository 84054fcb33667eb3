"""Every record against its bytes: what `s3d store verify` does, on a directory that no daemon has.

Nothing is changed. Memory is bounded: references are counted for `COUNTED_FILES` data files at a time, so that a
directory with more of them has its records read several times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from s3d.index.errors import IndexDamaged, IndexError_
from s3d.index.records import Extent, Generation, State, Upload, UploadedPart
from s3d.index.survey import Survey
from s3d.objects.local import LocalDamaged, LocalError, one_line, open_store
from s3d.store.check import VerifyReport
from s3d.store.layout import file_number, is_temporary
from s3d.store.store import Store

COUNTED_FILES = 500_000
_NAMED_FILES = 100_000
"""Bad files that are remembered, to name the objects in them; further ones are told by their path alone."""
_LOOK_EVERY = 1000


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is not as it should be."""

    what: str
    path: str = ""
    bucket: str = ""
    key: bytes = b""
    upload_id: str = ""
    part: int = 0


class Verified(msgspec.Struct):
    """How much was looked at."""

    buckets: int = 0
    objects: int = 0
    bodies: int = 0
    """Inline ones, in the index."""
    uploads: int = 0
    parts: int = 0
    files: int = 0
    file_bytes: int = 0
    """Read and hashed."""
    unknown_files: int = 0
    """Data files that no row refers to, as a crash leaves them: the sweep of the next start removes them."""
    doubtful: bool = False
    """The index may have lost rows: that sweep keeps them in lost+found."""
    foreign_files: int = 0
    """Not s3d's by their names."""
    lost_files: int = 0
    """In lost+found."""
    problems: int = 0


Told = Callable[[Problem], object]
Progress = Callable[[Verified, int], object]
"""Told of the state and of the bytes that there are to read; what it raises ends the run."""


def verify(directory: Path, tell: Told, progress: Progress) -> Verified:
    """Check everything in ``directory``, telling each problem; blocking. Raises `LocalError` when it cannot begin."""
    store = open_store(directory)
    try:
        survey = _survey(directory / "index")
        try:
            return _Run(store, survey, tell, progress).run()
        finally:
            survey.close()
    finally:
        store.close()


def _survey(directory: Path) -> Survey:
    try:
        return Survey.open(directory)
    except IndexDamaged as error:
        raise LocalDamaged(f"{one_line(error)}; `s3d store repair` opens what can be opened") from error
    except IndexError_ as error:
        raise LocalError(one_line(error)) from error
    except FileNotFoundError as error:
        what = f"{error.filename}: the file is missing; `s3d store repair` opens what can be opened"
        raise LocalDamaged(what) from error
    except OSError as error:
        raise LocalError(f"{error.filename or directory}: {error.strerror}") from error


class _Run:
    """One verification."""

    def __init__(self, store: Store, survey: Survey, tell: Told, progress: Progress) -> None:
        self._store = store
        self._survey = survey
        self._tell = tell
        self._progress = progress
        self._bad: dict[int, str] = {}
        self._buckets: set[str] = set()
        self._uploads: dict[str, Upload] = {}
        self._total_bytes = 0
        self.state = Verified()

    def run(self) -> Verified:
        losses = list(self._survey.losses)
        if self._survey.is_missing and self._store.highest_boot and not losses:
            losses.append(f"{self._survey.directory}: the index is gone; s3d has run here before")
        for loss in losses:
            self._found(Problem(loss))
        self.state.doubtful = bool(losses) or self._store.doubtful
        for step in (self._look_at_buckets, self._look_at_files, self._look_at_records, self._look_around):
            try:
                step()
            except IndexError_ as error:
                # The rest of those rows is out of reach; the others are not.
                self._found(Problem(one_line(error), path=str(error.path)))
        return self.state

    def _found(self, problem: Problem) -> None:
        self.state.problems += 1
        self._tell(problem)

    def _moved(self) -> None:
        self._progress(self.state, self._total_bytes)

    def _look_at_buckets(self) -> None:
        for name, bucket in self._survey.buckets():
            self.state.buckets += 1
            self._buckets.add(name)
            if bucket is None:
                self._found(Problem("its row is not to be read", bucket=name))

    # Data files.

    def _look_at_files(self) -> None:
        for _, file in self._survey.files():
            if file is not None:
                self._total_bytes += file.size_bytes
        self._moved()

        def expected() -> Iterator[tuple[int, int, int]]:
            for number, file in self._survey.files():
                if file is None:
                    self._bad_file(number, self._store.layout.file(number), "its row is not to be read")
                else:
                    yield number, file.size_bytes, file.xxh3

        def progress(report: VerifyReport) -> None:
            self.state.files, self.state.file_bytes = report.files, report.bytes
            self._moved()

        self._store.verify(expected(), self._bad_file, progress)

    def _bad_file(self, number: int, path: str, what: str) -> None:
        if len(self._bad) < _NAMED_FILES:
            self._bad[number] = what
        else:
            self._found(Problem(what, path=path))

    # Records.

    def _look_at_records(self) -> None:
        first: int | None = 0
        once = True
        named: set[int] = set()
        while first is not None:
            chunk, following = self._chunk(first)
            end = following if following is not None else 1 << 64
            found = dict.fromkeys(chunk, 0)
            for where, extents in self._references(check=once):
                for extent in extents:
                    if first <= extent.file < end:
                        self._count(where, extent, chunk, found)
                    if once and extent.file in self._bad:
                        named.add(extent.file)
                        path = self._store.layout.file(extent.file)
                        self._found(msgspec.structs.replace(where, what=self._bad[extent.file], path=path))
            for number, (_, references) in chunk.items():
                if found[number] != references:
                    path = self._store.layout.file(number)
                    self._found(Problem(f"{found[number]} extents lie in it, and its row counts {references}", path))
            first, once = following, False
        for number in self._bad.keys() - named:
            self._found(Problem(self._bad[number], path=self._store.layout.file(number)))

    def _chunk(self, first: int) -> tuple[dict[int, tuple[int, int]], int | None]:
        """Size and count of references of the files from ``first`` on, and the number of the first file behind them."""
        chunk: dict[int, tuple[int, int]] = {}
        for number, file in self._survey.files(first):
            if len(chunk) == COUNTED_FILES:
                return chunk, number
            if file is not None:
                chunk[number] = (file.size_bytes, file.references)
        return chunk, None

    def _count(self, where: Problem, extent: Extent, chunk: dict[int, tuple[int, int]], found: dict[int, int]) -> None:
        path = self._store.layout.file(extent.file)
        row = chunk.get(extent.file)
        if row is None:
            if extent.file not in self._bad:
                what = "it refers to a data file that the index has no row of"
                self._found(msgspec.structs.replace(where, what=what, path=path))
            return
        found[extent.file] += 1
        if not 0 <= extent.offset_bytes <= extent.offset_bytes + extent.size_bytes <= row[0]:
            last = extent.offset_bytes + extent.size_bytes
            what = f"its bytes {extent.offset_bytes} to {last} lie outside the {row[0]} of the file"
            self._found(msgspec.structs.replace(where, what=what, path=path))

    def _references(self, *, check: bool) -> Iterator[tuple[Problem, Iterable[Extent]]]:
        """Whatever has extents, and who it is; with ``check``, what else can be wrong with it is told."""
        for bucket, key, generation, illegible in self._survey.objects():
            where = Problem("", bucket=bucket, key=key)
            if check:
                self.state.objects += 1
                if self.state.objects % _LOOK_EVERY == 0:
                    self._moved()
                what = illegible if generation is None else self._wrong_with(generation)
                if bucket not in self._buckets:
                    what = what or "there is no such bucket"
                if what:
                    self._found(msgspec.structs.replace(where, what=what))
            if generation is not None:
                yield where, generation.extents
        if check:
            self._look_at_uploads()
        # Deleted, and counted still: what is wrong there concerns nobody but the sums.
        generations, dropped = self._survey.garbage()
        for number, released in generations.items():
            yield Problem(""), self._survey.dropped_extents(number, released)
        for upload_id, number, part in self._survey.parts():
            if upload_id in dropped:
                if part is not None and number not in dropped[upload_id]:
                    yield Problem("", upload_id=upload_id, part=number), part.extents
                continue
            upload = self._uploads.get(upload_id)
            where = Problem("", upload_id=upload_id, part=number)
            if upload is not None:
                where = msgspec.structs.replace(where, bucket=upload.bucket, key=upload.key)
            if check:
                self.state.parts += 1
                what = "there is no such upload" if upload is None else _wrong_with_part(part)
                if what:
                    self._found(msgspec.structs.replace(where, what=what))
            if part is not None:
                yield where, part.extents

    def _wrong_with(self, generation: Generation) -> str:
        """What is wrong with an object itself, empty if nothing is."""
        if generation.state & State.INLINE:
            self.state.bodies += 1
            body = self._survey.body(generation)
            if isinstance(body, str):
                return body
            if _is_md5(generation.etag) and hashlib.md5(body, usedforsecurity=False).hexdigest() != generation.etag:
                return "its body has another MD5 than its ETag says"
            return ""
        size = sum(extent.size_bytes for extent in generation.extents)
        if size != generation.size_bytes:
            return f"its extents have {size} bytes, and it {generation.size_bytes}"
        if generation.parts and sum(part.size_bytes for part in generation.parts) != size:
            return "its parts have other sizes than its bytes"
        return ""

    def _look_at_uploads(self) -> None:
        for upload in self._survey.uploads():
            self.state.uploads += 1
            if isinstance(upload, str):
                self._found(Problem(upload, path=str(self._survey.directory)))
                continue
            self._uploads[upload.upload_id] = upload
            if upload.bucket not in self._buckets:
                where = Problem("there is no such bucket", "", upload.bucket, upload.key, upload.upload_id)
                self._found(where)

    # What nothing refers to.

    def _look_around(self) -> None:
        layout = self._store.layout
        for directory in (*layout.shards(), os.fspath(layout.data), os.fspath(layout.lost_and_found)):
            lost = directory == os.fspath(layout.lost_and_found)
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if not entry.is_file(follow_symlinks=False):
                            continue
                        number = file_number(entry.name[:16] if lost else entry.name)
                        if lost and number is not None:
                            self.state.lost_files += 1
                        elif number is not None and layout.shard(number) == directory:
                            self.state.unknown_files += not self._survey.knows_file(number)
                        elif is_temporary(entry.name) and directory == os.fspath(layout.data):
                            self.state.unknown_files += 1
                        else:
                            self.state.foreign_files += 1
            except OSError as error:
                self._found(Problem(f"it cannot be read: {error.strerror}", path=directory))
        self._moved()


def _is_md5(etag: str) -> bool:
    return len(etag) == 32 and "-" not in etag


def _wrong_with_part(part: UploadedPart | None) -> str:
    if part is None:
        return "its row is not to be read"
    size = sum(extent.size_bytes for extent in part.extents)
    return "" if size == part.size_bytes else f"its extents have {size} bytes, and it {part.size_bytes}"
