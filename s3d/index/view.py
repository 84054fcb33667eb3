"""The durable view: what is written, with every row that changed since the last finished flush put back.

RocksDB shows a write at once, long before it is durable, and the iterators of rocksdict's snapshots see the newest
rows. So each change notes what its rows were before (the writers read them anyway), in the group that is gathering.
When a flush begins, the gathering group becomes the one that is being flushed; when it has succeeded, its notes are
dropped, and with that alone all its changes are visible. An older group's note stands before a newer one's.

Bodies and details go by the number of their generation, which comes only once: snapshots serve them, taken when the
flush began, so that nobody has to read a body in order to delete it.
"""

from __future__ import annotations

from rocksdict import Snapshot

from s3d.index.errors import IndexError_
from s3d.index.rows import Rows, damaged
from s3d.index.schema import Family

Before = dict[bytes, bytes | None]
"""Rows as they were: by key, None where there was none."""


class Notes:
    """What one group changed."""

    __slots__ = ("buckets", "by_family", "garbage", "heads", "parts", "released", "uploads")

    def __init__(self) -> None:
        self.buckets: Before = {}
        self.heads: Before = {}
        self.uploads: Before = {}
        self.parts: Before = {}
        self.released: set[int] = set()
        """Data files whose last reference went; they are known until that is durable."""
        self.garbage: set[bytes] = set()
        """Keys of rows of garbage that came; until their change is durable, what they are about is read."""
        self.by_family: dict[Family, Before] = {
            Family.BUCKETS: self.buckets,
            Family.HEADS: self.heads,
            Family.UPLOADS: self.uploads,
            Family.PARTS: self.parts,
        }


class View:
    """Reads of the durable state. One thread."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.gathering = Notes()
        self.flushing: Notes | None = None
        self._bodies: Snapshot | None = rows.snapshot(Family.BODIES)
        self._details: Snapshot | None = rows.snapshot(Family.DETAILS)
        self._next: tuple[Snapshot, Snapshot] | None = None

    def begin(self) -> None:
        """A flush begins, of all that is written by now."""
        self.flushing = self.gathering
        self.gathering = Notes()
        self._next = self.rows.snapshot(Family.BODIES), self.rows.snapshot(Family.DETAILS)

    def publish(self) -> Notes:
        """The flush has succeeded: what it covered is visible. Returns what changed by it."""
        notes = self.flushing
        assert notes is not None
        assert self._next is not None
        self.flushing = None
        self._bodies, self._details = self._next
        self._next = None
        return notes

    def get(self, family: Family, key: bytes) -> bytes | None:
        """A row of a family that `Notes` has."""
        older = self.flushing
        if older is not None:
            before = older.by_family[family]
            if key in before:
                return before[key]
        before = self.gathering.by_family[family]
        if key in before:
            return before[key]
        return self.rows.get(family, key)

    def before(self, family: Family, lower: bytes, upper: bytes) -> Before:
        """The rows to put back between two keys."""
        older = self.flushing
        newer = self.gathering.by_family[family]
        noted = {**newer, **older.by_family[family]} if older is not None else newer
        return {key: row for key, row in noted.items() if lower <= key < upper} if noted else {}

    def is_leaving(self, number: int) -> bool:
        """Any thread: a change that is not durable yet has taken a data file's last reference."""
        # In this order: what has left the newer group by now is in the older one until its flush has succeeded.
        newer = self.gathering
        older = self.flushing
        return number in newer.released or (older is not None and number in older.released)

    def is_needed(self, garbage: bytes) -> bool:
        """The change that left this row of garbage is not visible yet."""
        older = self.flushing
        return garbage in self.gathering.garbage or (older is not None and garbage in older.garbage)

    def body(self, number_key: bytes) -> bytes:
        return self._by_number(self._bodies, number_key, "body")

    def details(self, number_key: bytes) -> bytes:
        return self._by_number(self._details, number_key, "details")

    def _by_number(self, snapshot: Snapshot | None, number_key: bytes, what: str) -> bytes:
        directory = self.rows.directory
        if snapshot is None:
            raise self.rows.closed()
        problem: IndexError_
        try:
            row: bytes = snapshot[number_key]
        except Exception as error:  # noqa: BLE001 - rocksdict raises no other class
            if str(error) == "key not found":
                problem = damaged(directory, f"the {what} of generation {number_key.hex()} cannot be found")
            else:
                problem = self.rows.translated(error)
        else:
            return row
        # A traceback keeps what its frames hold, and the database cannot close as long as there is a snapshot.
        del snapshot
        raise problem

    def close(self) -> None:
        """Let go of the snapshots: the database cannot close before."""
        self._bodies = self._details = self._next = None
