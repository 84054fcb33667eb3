"""What is known to be durable, and whether an index that is to be opened still has it.

Two things tell: the floor, and the marks in the log (`s3d.index.wal`), which each flush writes about the one before.
What is lost above both is what a power cut may take from the end of the log; what is lost below is damage.

The floor is a file of two slots of 512 bytes, written in turn, each synced before the other is touched again, so that
a torn write leaves the other:

======  ====  =============================================
offset  size  field
======  ====  =============================================
0       8     ``S3DFLOOR``
8       4     format, little-endian: 1
12      4     zero
16      8     sequence number that was durable, little-endian
24      8     XXH3 (64 bits) of the 24 bytes before, little-endian
======  ====  =============================================
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

import xxhash

from s3d.crash_point import crash_point
from s3d.index.errors import IndexDamaged
from s3d.index.wal import read_logs

_SLOT: Final = struct.Struct("<8sII Q")
_MAGIC: Final = b"S3DFLOOR"
_SLOT_BYTES: Final = 512


def floor_of(directory: Path) -> Path:
    """The file with the floor of the index in ``directory``: beside it, so as not to go back in time together with it
    when somebody puts an older copy of the index in its place."""
    return directory.with_name(directory.name + ".floor")


class Floor:
    """The durable floor: a sequence number at or above which the index must be when it is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 0
        """As it was found."""
        self.legible = True
        """False: there is a file, and neither slot of it can be read."""
        self.exists = True
        self._next = 0
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            self.exists = False
            return
        slots = [_read(found[: _SLOT.size + 8]), _read(found[_SLOT_BYTES : _SLOT_BYTES + _SLOT.size + 8])]
        self.legible = slots != [None, None]
        self.sequence = max(slots[0] or 0, slots[1] or 0)
        self._next = 1 if (slots[0] or 0) >= (slots[1] or 0) else 0

    def write(self, sequence: int) -> None:
        """Raise the floor, and return when that is durable. One thread. OSError when the disk refuses."""
        head = _SLOT.pack(_MAGIC, 1, 0, sequence)
        slot = head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head))
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, slot, self._next * _SLOT_BYTES)
            crash_point("index.floor_staged")
            os.fdatasync(fd)
        finally:
            os.close(fd)
        crash_point("index.floor_written")
        self._next = 1 - self._next
        if not self.exists:
            self.exists = True
            sync_directory(self.path.parent)


def _read(slot: bytes) -> int | None:
    if len(slot) != _SLOT.size + 8:
        return None
    magic, form, _, sequence = _SLOT.unpack_from(slot)
    (digest,) = struct.unpack_from("<Q", slot, _SLOT.size)
    if magic != _MAGIC or form != 1 or digest != xxhash.xxh3_64_intdigest(slot[: _SLOT.size]):
        return None
    return int(sequence)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lost(database: Path, floor: Floor, accept_loss: bool) -> bool:
    """Whether rows of a database that nobody has open are lost, though they had been durable. Changes nothing in it.

    With ``accept_loss``, damage that the database can be opened in spite of is such a loss; without, it is
    `IndexDamaged`. Before RocksDB opens a database with a loss, and deletes what it takes for leftovers, its files are
    linked into a directory beside it, if none is there from an earlier loss. OSError when the disk refuses.
    """
    logs = read_logs(database)
    known = max(floor.sequence, logs.durable)
    if logs.last >= known:
        # Without a floor that can be read, nobody knows what else there was.
        return not floor.legible
    if logs.damage is not None and not accept_loss:
        raise IndexDamaged(
            logs.damage.path,
            f"damaged at byte {logs.damage.offset_bytes}: changes {logs.last + 1} to {known} were durable and cannot be"
            ' read; restore the index from a backup, or see docs/index.md, "Recovery"',
        )
    _keep(database)
    return True


def _keep(database: Path) -> None:
    kept = database.with_name(database.name + ".kept")
    if kept.exists():
        return
    making = database.with_name(database.name + ".keeping")
    making.mkdir(mode=0o700, exist_ok=True)
    for path in database.iterdir():
        # The lock, and RocksDB's own text log and options, tell nothing.
        if path.name in ("LOCK", "LOG") or path.name.startswith(("LOG.", "OPTIONS-")):
            continue
        target = making / path.name
        target.unlink(missing_ok=True)
        # Tables never change; the others go on being written to.
        if path.suffix == ".sst":
            target.hardlink_to(path)
        else:
            target.write_bytes(path.read_bytes())
            _sync(target, os.O_RDONLY)
    # Durable before RocksDB deletes what it was made from.
    sync_directory(making)
    making.rename(kept)
    sync_directory(kept.parent)
