"""RocksDB as the index uses it: how it is set up, opened and closed, and its errors as ours.

The database settings that rocksdict has no call for come through an options file, which RocksDB reads itself:

- ``manual_wal_flush``: a write goes to a buffer of the log, and reaches the kernel with the flush of its group, in the
  flusher's thread. It saves the event loop one write() for each change.
- ``track_and_verify_wals_in_manifest``: a log that was synced and is missing or too short at the next open is an error.

Memory is bounded by `CACHE_BYTES` (blocks, index and filter blocks), and `WRITE_BUFFERS_BYTES` for all families
together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    ChecksumType,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    ReadOptions,
    Snapshot,
    WriteBatch,
    WriteOptions,
)

from s3d.index.errors import IndexDamaged, IndexError_, IndexFailed, translated
from s3d.index.schema import Family

log = logging.getLogger(__name__)

MIB: Final = 1 << 20
CACHE_BYTES: Final = 96 * MIB
WRITE_BUFFERS_BYTES: Final = 48 * MIB
WRITE_BUFFER_BYTES: Final = 16 * MIB
LOG_BYTES: Final = 64 * MIB
"""Of RocksDB's write-ahead log: what a start after a crash reads at most, or so."""

_OPTIONS_FILE: Final = """\
[Version]
  rocksdb_version=9.8.4
  options_file_version=1.1

[DBOptions]
  manual_wal_flush=true
  track_and_verify_wals_in_manifest=true

[CFOptions "default"]

[TableOptions/BlockBasedTable "default"]
"""


def _database_options(beside: Path) -> Options:
    """``beside``: a directory for the options file. OSError when it cannot be written."""
    beside.mkdir(mode=0o700, exist_ok=True)
    # RocksDB names its options files so, and rocksdict keeps its own mode beside them.
    (beside / "OPTIONS-000001").write_text(_OPTIONS_FILE, "utf-8")
    (beside / "rocksdict-config.json").write_text(json.dumps({"raw_mode": True, "prefix_extractors": {}}), "utf-8")
    options, _ = Options.load_latest(str(beside))
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES)
    options.set_max_total_wal_size(LOG_BYTES)
    options.set_bytes_per_sync(MIB)
    options.set_max_open_files(512)
    options.set_max_background_jobs(2)
    options.set_paranoid_checks(True)
    # RocksDB's own text log: four files of 1 MiB, and no statistics in it.
    options.set_max_log_file_size(MIB)
    options.set_keep_log_file_num(4)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_max_manifest_file_size(16 * MIB)
    options.set_skip_stats_update_on_db_open(True)
    return options


def _family_options(options: Options, family: Family, cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_format_version(5)
    table.set_checksum_type(ChecksumType.xxh3())
    if family is Family.BODIES:
        # Most are compressed already, or too small to gain, and nobody reads one after the other. They stay in tables:
        # as blob files, 128 MB of 8 KiB bodies took 285 MB of writes instead of 401 and 1.3 s of CPU instead of 1.7,
        # but 102 MB of disk instead of 89, and 12 us for each read instead of 3 from the block cache.
        table.set_block_size(4 * 1024)
        options.set_compression_type(DBCompressionType.none())
    else:
        table.set_block_size(8 * 1024)
        options.set_compression_type(DBCompressionType.lz4())
        # Tables full of deletes are merged soon: a cursor steps over each of them, with the event loop waiting.
        options.add_compact_on_deletion_collector_factory(1024, 512, 0.5)
    if family is not Family.QUEUE:
        # Ten bits: one look-up in a hundred of what is not there reads a block.
        table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_level_compaction_dynamic_level_bytes(True)
    return options


class Rows:
    """An open database. Its methods hold the GIL, `flush_log` and `flush_tables` excepted.

    Errors are those of `s3d.index.errors`, with the database's directory as path.
    """

    def __init__(self, directory: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        """Open, or create where nothing is. A damaged end of the log is dropped: `recovery` looks at it before."""
        self.directory = directory
        self.cache = Cache(cache_bytes)
        try:
            options = _database_options(directory.with_name("options"))
        except OSError as error:
            raise IndexFailed(directory.with_name("options"), f"cannot be written ({error.strerror})") from error
        except Exception as error:
            raise translated(directory.with_name("options"), error) from error
        options.create_if_missing(True)
        options.create_missing_column_families(True)
        options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
        families = {
            str(family): _family_options(Options(raw_mode=True), family, self.cache)
            for family in Family
            if family is not Family.DEFAULT
        }
        try:
            self._database: Rdict | None = Rdict(str(directory), options, families)
        except Exception as error:
            raise translated(directory, error) from error
        database = self._database
        self._families: dict[str, Rdict] = {name: database.get_column_family(name) for name in families}
        self._families[Family.DEFAULT] = database
        self.handles: dict[Family, ColumnFamily] = {
            Family(name): database.get_column_family_handle(name) for name in families
        }
        self.handles[Family.DEFAULT] = database.get_column_family_handle(Family.DEFAULT)
        self._write_options = WriteOptions()
        # A change that RocksDB would make wait is refused instead: waiting would stop the event loop.
        self._write_options.no_slowdown = True

    def family(self, family: Family) -> Rdict:
        return self._families[family]

    def get(self, family: Family, key: bytes) -> bytes | None:
        try:
            row: bytes | None = self._families[family].get(key)
        except KeyError:
            raise self.closed() from None
        except Exception as error:
            raise translated(self.directory, error) from error
        return row

    def write(self, batch: WriteBatch) -> None:
        """All of ``batch`` or nothing of it, not yet durable."""
        database = self._database
        if database is None:
            raise self.closed()
        try:
            database.write(batch, self._write_options)
        except Exception as error:
            raise translated(self.directory, error) from error

    def flush_log(self, sync: bool) -> None:
        """Any thread: hand the log to the kernel, and to the disk if ``sync``."""
        database = self._database
        if database is None:
            raise self.closed()
        try:
            database.flush_wal(sync)
        except Exception as error:
            raise translated(self.directory, error) from error

    def flush_tables(self) -> None:
        """Any thread: write what is in memory to tables, so that the next open has no log to read."""
        try:
            for family in self._families.values():
                family.flush()
        except Exception as error:
            raise translated(self.directory, error) from error

    def flush_heads(self) -> None:
        """Any thread: as `flush_tables`, of the heads alone."""
        try:
            self._families[Family.HEADS].flush()
        except KeyError:
            raise self.closed() from None
        except Exception as error:
            raise translated(self.directory, error) from error

    @property
    def is_closed(self) -> bool:
        return self._database is None

    def sequence(self) -> int:
        """Of the last change that was written."""
        if self._database is None:
            raise self.closed()
        return self._database.latest_sequence_number()

    def snapshot(self, family: Family) -> Snapshot:
        """For reads by key alone: an iterator of it sees the newest rows (rocksdict 0.3.29)."""
        return self._families[family].snapshot()

    def iterator(self, family: Family, upper: bytes, most_skipped: int = 0) -> RdictIter:
        """Over the rows below ``upper`` as they are now; it keeps them as they are until it goes. Seek first.

        The caller keeps ``upper`` alive as long as the iterator: rocksdict 0.3.29 hands RocksDB the address of its
        bytes, and with them gone the iterator ends anywhere. Once it has stepped over ``most_skipped`` deleted rows, if
        that is not 0, it ends with a `problem` ("internal keys skipped").
        """
        if self._database is None:
            raise self.closed()
        options = ReadOptions()
        options.set_iterate_upper_bound(upper)
        options.set_max_skippable_internal_keys(most_skipped)
        try:
            return self._families[family].iter(options)
        except Exception as error:
            raise translated(self.directory, error) from error

    def items(self, family: Family, lower: bytes, upper: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows in order, as they were at the first one."""
        rows = self.iterator(family, upper)
        rows.seek(lower)
        while rows.valid():
            yield rows.key(), rows.value()
            rows.next()
        problem = self.problem(rows)
        del rows
        if problem is not None:
            raise problem

    def problem(self, rows: RdictIter) -> IndexError_ | None:
        """What made an iterator end before its end. Who raises it lets go of the iterator first: a traceback keeps
        what its frames hold, and the database cannot close as long as there is an iterator."""
        try:
            rows.status()
        except Exception as error:  # noqa: BLE001
            return translated(self.directory, error)
        return None

    def directory_bytes(self) -> int:
        """What the index and filter blocks of all tables take in the block cache."""
        total = 0
        for family in self._families.values():
            found = family.property_value("rocksdb.aggregated-table-properties") or ""
            for pair in found.split(";"):
                name, _, value = pair.strip().partition("=")
                if name.startswith(("index block size", "filter block size")):
                    total += int(value)
        return total

    def close(self) -> None:
        """Idempotent. Snapshots and iterators must be gone: RocksDB's lock lives as long as they do.

        Raises what the last flush of a family met, when everything is closed all the same.
        """
        database, self._database = self._database, None
        if database is None:
            return
        families = [family for family in self._families.values() if family is not database]
        self._families.clear()
        self.handles.clear()
        failure: Exception | None = None
        for family in [*families, database]:
            try:
                family.close()
            except Exception as error:  # noqa: BLE001
                failure = failure or error
        # The lock goes with the last handle, and an exception's traceback may hold one.
        del families, family, database
        if failure is not None:
            raise translated(self.directory, failure)

    def translated(self, error: Exception) -> IndexError_:
        return translated(self.directory, error)

    def closed(self) -> IndexFailed:
        return IndexFailed(self.directory, "the index is closed")


def damaged(path: Path, what: str) -> IndexDamaged:
    return IndexDamaged(path, f'{what}; restore it from a backup, or see docs/index.md, "Recovery"')
