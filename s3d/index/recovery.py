"""What is known to be durable, and whether an index that is opened still has it.

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

_SLOT: Final = struct.Struct("<8sII Q")
_MAGIC: Final = b"S3DFLOOR"
_SLOT_BYTES: Final = 512


class Floor:
    """The durable floor: a sequence number at or above which the index must be when it is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 0
        """As it was found."""
        self.legible = True
        """False: there is a file, and neither slot of it can be read."""
        self._next = 0
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            return
        slots = [_read(found[: _SLOT.size + 8]), _read(found[_SLOT_BYTES : _SLOT_BYTES + _SLOT.size + 8])]
        self.legible = slots != [None, None]
        self.sequence = max(slots[0] or 0, slots[1] or 0)
        self._next = 1 if (slots[0] or 0) >= (slots[1] or 0) else 0

    def write(self, sequence: int) -> None:
        """Raise the floor, and return when that is durable. One thread. OSError when the disk refuses."""
        head = _SLOT.pack(_MAGIC, 1, 0, sequence)
        slot = head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head))
        new = not self.path.exists()
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, slot, self._next * _SLOT_BYTES)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        self._next = 1 - self._next
        if new:
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
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
