"""What RocksDB's write-ahead logs and manifest hold, read without RocksDB and without changing anything.

RocksDB, asked to survive a torn log, drops a damaged one from the damage on, and says nothing; asked to survive
nothing, it refuses the tail that each power cut tears. The difference is whether what is lost had been synced, and
that only we know. So we read the logs first.

A log consists of blocks of 32 KiB; a block of fragments, each with a header: CRC-32C of what follows it (masked),
length, type; a record is one fragment, or several up to one that ends it (``db/log_format.h``). A record is a batch:
its first sequence number, its count, its changes (``db/write_batch.cc``). The manifest has the form of a log; its
records are edits of the set of tables (``db/version_edit.cc``).

Opening the database read-only instead would tell the same, but RocksDB 9.8 ends the process by a segmentation fault
where a table is ahead of a damaged log.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from awscrt.checksums import crc32c

from s3d.index.schema import Name

_BLOCK: Final = 32 * 1024
_HEADER: Final = struct.Struct("<IHB")
_BATCH: Final = struct.Struct("<QI")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# A batch with the one row `Name.DURABLE`: kTypeValue of the default family, length and key, length of the row.
_DURABLE: Final = bytes([1, len(Name.DURABLE)]) + Name.DURABLE + b"\x08"
_MARK_BYTES: Final = _BATCH.size + len(_DURABLE) + 8
# Tags of an edit: those with a number, and those with a text, which come before the tables in it.
_LAST_SEQUENCE, _FIRST_LOG = 4, 10
_NUMBERS: Final = frozenset({2, 3, _LAST_SEQUENCE, 9, _FIRST_LOG, 203})
_TEXTS: Final = frozenset({1, 8193})
_EDIT_BYTES: Final = 256


@dataclass(frozen=True)
class Damage:
    """The first place where a log is not what was written, or one is missing."""

    path: Path
    offset_bytes: int
    reached: int
    """Sequence number of the last change before it."""


@dataclass
class Logs:
    """What the logs of a database say."""

    damage: Damage | None = None
    last: int = 0
    """Sequence number of the last change before any damage, in the logs or, if that is later, in tables."""
    durable: int = 0
    """The greatest number that some record, before or behind the damage, says had been synced."""


def read_logs(directory: Path) -> Logs:
    """Read the manifest and all logs of a database that nobody has open. OSError when one cannot be read.

    A log that ends in the middle of a record counts as damaged there, as does one whose end was never written. Logs
    whose changes are all in tables, and which RocksDB has not removed yet, do not count.
    """
    tables, keep = _read_manifest(directory)
    found = Logs()
    for path in sorted(directory.glob("*.log"), key=_number):
        if _number(path) < keep:
            continue
        for offset, record in _records(path, _MARK_BYTES + 1):
            if record is None or len(record) < _BATCH.size:
                found.damage = found.damage or Damage(path, offset, found.last)
                continue
            first, count = _BATCH.unpack_from(record)
            if len(record) == _MARK_BYTES and record.startswith(_DURABLE, _BATCH.size):
                found.durable = max(found.durable, int.from_bytes(record[-8:], "big"))
            if found.damage is not None:
                continue
            if found.last and first > found.last + 1:
                found.damage = Damage(path, offset, found.last)
                continue
            found.last = max(found.last, first + count - 1)
    if found.damage is None:
        found.last = max(found.last, tables)
    return found


def _number(path: Path) -> int:
    return int(path.stem) if path.stem.isdigit() else 0


def _read_manifest(directory: Path) -> tuple[int, int]:
    """The last sequence number that the manifest knows, and the number of the first log that still counts."""
    name = (directory / "CURRENT").read_text("ascii", "replace").strip()
    last = keep = 0
    if not name.startswith("MANIFEST-"):
        # RocksDB will say so.
        return last, keep
    for _, record in _records(directory / name, _EDIT_BYTES):
        for tag, value in _edit(record or b""):
            if tag == _LAST_SEQUENCE:
                last = max(last, value)
            elif tag == _FIRST_LOG:
                keep = max(keep, value)
    return last, keep


def _edit(record: bytes) -> Iterator[tuple[int, int]]:
    """Tags and numbers at the beginning of an edit of the manifest, up to the first tag of another kind."""
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = record[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    try:
        while True:
            tag = number()
            if tag in _NUMBERS:
                yield tag, number()
            elif tag in _TEXTS:
                position += number()
            else:
                return
    except IndexError:
        # The end of the record, or of what was kept of it.
        return


def _records(path: Path, keep_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """Offset and beginning of each whole record; None in the place of what cannot be read.

    Of each, up to about ``keep_bytes`` are kept, enough to tell what it is. Behind damage, reading goes on at the next
    fragment if the length before it can be believed, and otherwise at the next block, which always begins with a
    fragment.
    """
    with path.open("rb") as file:
        base = 0
        start = 0
        pending: bytes | None = None
        while block := file.read(_BLOCK):
            offset = 0
            # What is left at the end of a block and too short for a header is padding.
            while offset + _HEADER.size <= len(block):
                checksum, size, kind = _HEADER.unpack_from(block, offset)
                at = base + offset
                end = offset + _HEADER.size + size
                if kind == 0 and size == 0 and not any(block[offset:]):
                    # Room that was made and never written to, up to the end of the block.
                    if pending is not None:
                        yield start, None
                        pending = None
                    break
                if end > len(block) or checksum != _masked(block, offset + 6, end):
                    yield at, None
                    pending = None
                    if end > len(block):
                        break
                    offset = end
                    continue
                data = block[offset + _HEADER.size : min(end, offset + _HEADER.size + keep_bytes)]
                offset = end
                if kind in (_FULL, _FIRST):
                    if pending is not None:
                        yield start, None
                    start, pending = at, data
                elif kind in (_MIDDLE, _LAST):
                    if pending is None:
                        # The rest of a record whose beginning is damaged, and was told.
                        continue
                    if len(pending) < keep_bytes:
                        pending += data
                else:
                    # Settings of the log, of a kind that has no changes in it.
                    continue
                if kind in (_FULL, _LAST):
                    record, pending = pending, None
                    yield start, record
            else:
                # A block that ends before its length, in the middle of a header: the end of a torn log.
                if len(block) < _BLOCK and offset < len(block) and any(block[offset:]):
                    yield base + offset, None
                    pending = None
            base += len(block)
        if pending is not None:
            yield start, None


def _masked(block: bytes, start: int, end: int) -> int:
    """RocksDB's CRC of a fragment: over its type and data, rotated and shifted (``util/crc32c.h``)."""
    crc = int(crc32c(block[start:end]))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
