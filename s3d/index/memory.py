"""Objects in memory: what a GET of a small hot object needs, without RocksDB, decoding or checking."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from s3d._core.hot import Entry
from s3d.index.records import Generation

ENTRY_BYTES: Final = 1500
"""Of an entry beside its row and body: the objects around it, and the caller's memo of a response head."""


class Memory:
    """Entries by head row key, within ``limit_bytes``.

    Second chance: the oldest entry goes, unless it was used since it became old. A use costs one attribute, no
    reordering.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        """For look-ups; `add` and `drop` alone change it."""
        self.get = self.entries.get

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, key: bytes, generation: Generation, body: bytes | None, row_bytes: int) -> Entry:
        """A new entry for a key that has none. One that would fill a good part of the memory is not kept."""
        # Decoded, a row takes about three times its length.
        size = ENTRY_BYTES + len(key) + 3 * row_bytes + (0 if body is None else len(body))
        entry = Entry(generation, body, size)
        if size * 16 > self.limit_bytes:
            return entry
        entries = self.entries
        entries[key] = entry
        self.used_bytes += size
        while self.used_bytes > self.limit_bytes:
            old_key, old = entries.popitem(last=False)
            if old.seen:
                old.seen = False
                entries[old_key] = old
            else:
                self.used_bytes -= old.size_bytes
        return entry

    def drop(self, key: bytes) -> None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.used_bytes -= entry.size_bytes
