"""What changes have dropped and not taken apart: its references are given back here, a little at a time.

To drop an object of 10,000 parts, with a row of each of its files, would hold the event loop for a tenth of a second;
so the change only says that it is dropped (`s3d.index.schema`, ``garbage``). Each step here is an atomic change of its
own, and keeps the count of what is left to do with what it has done: a crash between two of them loses nothing and
releases nothing twice. Garbage whose own change is not visible yet is left alone, because readers see what was before.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from itertools import islice
from typing import Final

from rocksdict import WriteBatch

from s3d.index.errors import IndexDamaged
from s3d.index.records import Extent
from s3d.index.rows import damaged
from s3d.index.schema import DETAILS_OF, PARTS_OF, Dropped, Family, decode_dropped, decode_extents, decode_part, encode
from s3d.index.transitions import Counts, Transitions

log = logging.getLogger(__name__)

STEP: Final = 64
"""Extents of one change: less than 1 ms, and as much while RocksDB merges tables beside it."""


class _Pile:
    """One row of garbage that is being gone through."""

    __slots__ = ("extents", "key", "moved", "next_part", "released")

    def __init__(self, key: bytes, row: bytes) -> None:
        dropped = decode_dropped(row)
        self.key = key
        self.released = dropped.released
        self.moved: Collection[int] = frozenset(dropped.moved)
        self.extents: tuple[Extent, ...] | None = None
        """Of a generation; None before they were read."""
        self.next_part = 0


class Collecting(Transitions):
    """The transitions, and the collection of what they leave."""

    _pile: _Pile | None
    _illegible: set[bytes]

    def _look_for_garbage(self) -> None:
        """The database was opened: what there is of it, nobody knows yet."""
        self._pile = None
        self._illegible = set()
        self.has_garbage = True

    def collect(self) -> list[int]:
        """Give back some references; returns the data files that were the last of. Call it as long as `has_garbage`.

        It may find nothing that can be done yet. Raises as every change does; a row that cannot be read is passed over
        until the next start.
        """
        self._check()
        pile = self._pile or self._next_pile()
        if pile is None:
            return []
        try:
            return self._collect_parts(pile) if pile.key.startswith(PARTS_OF) else self._collect_details(pile)
        except IndexDamaged as error:
            log.error("what a deleted object or upload left cannot be released: %s", error)
            self._illegible.add(pile.key)
            self._pile = None
            return []

    def _next_pile(self) -> _Pile | None:
        waiting = False
        for key, row in self._rows.items(Family.GARBAGE, b"", b"\xff"):
            if key in self._illegible:
                continue
            if self._view.is_needed(key):
                waiting = True
                continue
            self._pile = _Pile(key, row)
            return self._pile
        self.has_garbage = waiting
        return None

    def _collect_parts(self, pile: _Pile) -> list[int]:
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        rows = list(islice(self._parts(pile.key[1:], pile.next_part), STEP))
        number = pile.next_part
        for key, row in rows:
            number = int.from_bytes(key[16:], "big")
            batch.delete(key, self._rows.handles[Family.PARTS])
            if number not in pile.moved:
                counts.add(decode_part(row).extents, -1)
        ended = len(rows) < STEP
        if ended:
            batch.delete(pile.key, self._rows.handles[Family.GARBAGE])
        released = counts.write(self._rows, batch, ())
        self._write(batch, released)
        pile.next_part = number + 1
        if ended:
            self._pile = None
        return released

    def _collect_details(self, pile: _Pile) -> list[int]:
        key = pile.key[len(DETAILS_OF) :]
        if pile.extents is None:
            details = self._rows.get(Family.DETAILS, key)
            if details is None:
                raise damaged(self._rows.directory, f"the details of the dropped generation {key.hex()} are missing")
            pile.extents, _ = decode_extents(details)
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        until = pile.released + STEP
        counts.add(pile.extents[pile.released : until], -1)
        ended = until >= len(pile.extents)
        garbage = self._rows.handles[Family.GARBAGE]
        if ended:
            batch.delete(key, self._rows.handles[Family.DETAILS])
            batch.delete(pile.key, garbage)
        else:
            batch.put(pile.key, encode(Dropped(released=until)), garbage)
        released = counts.write(self._rows, batch, ())
        self._write(batch, released)
        pile.released = until
        if ended:
            self._pile = None
        return released
