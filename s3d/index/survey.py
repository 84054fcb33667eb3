"""All rows of an index that nobody has open, read without changing anything: what a verification goes through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec
import xxhash
from rocksdict import AccessType, BlockBasedOptions, Cache, DBRecoveryMode, Options, Rdict

from s3d.index.errors import IndexDamaged, IndexTooNew, translated
from s3d.index.records import Bucket, DataFile, Extent, Generation, Upload, UploadedPart
from s3d.index.recovery import Floor, floor_of
from s3d.index.rows import Rows
from s3d.index.schema import (
    DETAILS_OF,
    FORMAT,
    Dropped,
    Family,
    Name,
    decode_bucket,
    decode_dropped,
    decode_extents,
    decode_file,
    decode_head,
    decode_part,
    decode_upload,
    is_detailed,
    number_key,
    number_of,
    with_details,
)
from s3d.index.wal import read_logs

_CACHE_BYTES = 32 << 20
_BEHIND_ALL = b"\xff" * 32
"""Behind every key: numbers and upload ids are shorter, and no bucket's name begins so."""


class _Reading(Rows):
    """A database open for reading alone: not even its log is taken into tables."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = Cache(_CACHE_BYTES)
        options = Options(raw_mode=True)
        options.create_if_missing(False)
        options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
        options.set_paranoid_checks(True)
        try:
            there = set(Rdict.list_cf(str(directory), options))
            families = {
                str(family): _family_options(self.cache)
                for family in Family
                if family is not Family.DEFAULT and family in there
            }
            database = Rdict(str(directory), options, families, AccessType.read_only(error_if_log_file_exist=False))
        except Exception as error:
            raise translated(directory, error) from error
        self._database = database
        self._families = {name: database.get_column_family(name) for name in families}
        self._families[Family.DEFAULT] = database
        self.handles = {}

    def has(self, family: Family) -> bool:
        """Whether there is such a column family: a later version may have added it."""
        return family in self._families


def _family_options(cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    return options


class Survey:
    """Every row of the index in ``directory``; made by `open`. Blocking, one thread.

    A row that cannot be read ends the iteration with `IndexDamaged`; a record that cannot be decoded is told as such,
    and the next one follows.
    """

    def __init__(self, directory: Path, rows: _Reading | None, losses: list[str]) -> None:
        self.directory = directory
        self._rows = rows
        self.losses = losses
        """What had been durable and is not there any more, in sentences that name the path."""

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open for reading alone. An index that is not there has no rows.

        Raises `IndexDamaged`, `IndexTooNew`, `IndexFailed`, or OSError when its files cannot be read.
        """
        database = directory / "rows"
        floor = Floor(floor_of(directory))
        if not (database / "CURRENT").exists():
            losses = [f"{directory}: it held objects, and is gone"] if floor.exists else []
            if any(database.glob("*.sst")):
                raise IndexDamaged(database / "CURRENT", "the file is missing beside others of RocksDB")
            return cls(directory, None, losses)
        logs = read_logs(database)
        rows = _Reading(database)
        try:
            form = rows.get(Family.DEFAULT, Name.FORMAT)
            if form is not None and number_of(form) > FORMAT:
                raise IndexTooNew(
                    database, f"its format is {number_of(form)} and this s3d reads up to {FORMAT}: install a newer s3d"
                )
            losses = []
            known = max(floor.sequence, logs.durable)
            if logs.last < known:
                where = database if logs.damage is None else f"{logs.damage.path}, byte {logs.damage.offset_bytes}"
                losses.append(f"{where}: changes {logs.last + 1} to {known} had been durable and are missing")
            if not floor.legible:
                losses.append(f"{floor.path}: not to be read, so nobody knows whether all is there that was durable")
        except BaseException:
            rows.close()
            raise
        return cls(directory, rows, losses)

    @property
    def is_missing(self) -> bool:
        """There is no index."""
        return self._rows is None

    def close(self) -> None:
        """Idempotent."""
        if self._rows is not None:
            self._rows.close()

    def _items(self, family: Family, lower: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        rows = self._rows
        if rows is None or not rows.has(family):
            return iter(())
        return rows.items(family, lower, _BEHIND_ALL)

    def _get(self, family: Family, key: bytes) -> bytes | None:
        rows = self._rows
        return None if rows is None or not rows.has(family) else rows.get(family, key)

    def buckets(self) -> Iterator[tuple[str, Bucket | None]]:
        """By name; None for a row that is no `Bucket`."""
        for key, row in self._items(Family.BUCKETS):
            name = key.decode("utf-8", "backslashreplace")
            try:
                yield name, decode_bucket(row)
            except msgspec.MsgspecError:
                yield name, None

    def objects(self) -> Iterator[tuple[str, bytes, Generation | None, str]]:
        """Bucket, key, current generation and, where it is not complete, what is wrong with its row."""
        for row_key, row in self._items(Family.HEADS):
            name, _, key = row_key.partition(b"\0")
            bucket = name.decode("utf-8", "backslashreplace")
            try:
                generation = decode_head(row)
                if is_detailed(row):
                    details = self._get(Family.DETAILS, number_key(generation.number))
                    if details is None:
                        yield bucket, key, None, "the row with its extents and parts is missing"
                        continue
                    generation = with_details(generation, details)
            except (msgspec.MsgspecError, IndexError):
                yield bucket, key, None, "its row is not to be read"
                continue
            yield bucket, key, generation, ""

    def body(self, generation: Generation) -> bytes | str:
        """The inline body of a generation, or what is wrong with it."""
        body = self._get(Family.BODIES, number_key(generation.number))
        if body is None:
            return "the row with its body is missing"
        if len(body) != generation.size_bytes or xxhash.xxh3_64_intdigest(body) != generation.xxh3:
            return "its body is not what was written"
        return body

    def uploads(self) -> Iterator[Upload | str]:
        """All uploads under way; text that names the row and says what is wrong with it in the place of one."""
        for key, row in self._items(Family.UPLOADS):
            try:
                yield decode_upload(row)
            except msgspec.MsgspecError:
                yield f"the row of upload {key[-16:].hex()} is not to be read"

    def parts(self) -> Iterator[tuple[str, int, UploadedPart | None]]:
        """Upload id, part number and part of all uploads; None for a row that is no part."""
        for key, row in self._items(Family.PARTS):
            try:
                yield key[:16].hex(), int.from_bytes(key[16:], "big"), decode_part(row)
            except msgspec.MsgspecError:
                yield key[:16].hex(), int.from_bytes(key[16:], "big"), None

    def garbage(self) -> tuple[dict[int, int], dict[str, frozenset[int]]]:
        """What was dropped and is counted still: by the numbers of generations, how many of their extents are not any
        more; by the ids of uploads, numbers of the parts whose extents an object has now."""
        generations: dict[int, int] = {}
        uploads: dict[str, frozenset[int]] = {}
        for key, row in self._items(Family.GARBAGE):
            try:
                dropped = decode_dropped(row)
            except msgspec.MsgspecError:
                dropped = Dropped()
            if key.startswith(DETAILS_OF):
                generations[number_of(key[1:])] = dropped.released
            else:
                uploads[key[1:].hex()] = frozenset(dropped.moved)
        return generations, uploads

    def dropped_extents(self, number: int, released: int) -> tuple[Extent, ...]:
        """Those of a generation in the garbage that are counted still; none where they cannot be read."""
        details = self._get(Family.DETAILS, number_key(number))
        try:
            return () if details is None else decode_extents(details)[0][released:]
        except msgspec.MsgspecError:
            return ()

    def files(self, first: int = 0) -> Iterator[tuple[int, DataFile | None]]:
        """Data files by number, from ``first`` on; None for a row that is no `DataFile`."""
        for key, row in self._items(Family.FILES, number_key(first)):
            try:
                yield number_of(key), decode_file(row)
            except msgspec.MsgspecError:
                yield number_of(key), None

    def knows_file(self, number: int) -> bool:
        """Whether there is a row of this data file."""
        return self._get(Family.FILES, number_key(number)) is not None
