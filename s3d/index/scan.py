"""Cursors over durable rows in key order."""

from __future__ import annotations

from bisect import bisect_left
from typing import Generic, TypeVar

from rocksdict import RdictIter

from s3d.index.records import Generation, Listed, Upload
from s3d.index.rows import Rows
from s3d.index.schema import (
    Family,
    bucket_end,
    bucket_prefix,
    decode_head,
    decode_listed,
    decode_upload,
    escaped,
    upload_id_bytes,
)
from s3d.index.view import View

Row = tuple[bytes, bytes]


class RowScan:
    """Raw rows of ``lower`` <= key < ``upper``, as they were durable when the cursor was made."""

    def __init__(self, view: View, family: Family, lower: bytes, upper: bytes) -> None:
        self._rows: Rows = view.rows
        self._lower = lower
        # Kept for the iterator, which knows no more of it than its address.
        self._upper = upper
        # The iterator pins the rows of this moment; what is not durable of them is put back from the notes.
        self._iterator: RdictIter | None = view.rows.iterator(family, upper)
        self._before = view.before(family, lower, upper)
        self._keys = sorted(self._before)
        self._position = 0
        self._iterator.seek(lower)

    def seek(self, key: bytes) -> None:
        """Go to the first row at or behind ``key``, forwards or backwards."""
        key = max(key, self._lower)
        self._open().seek(key)
        self._position = bisect_left(self._keys, key)

    def read(self, limit: int) -> list[Row]:
        """At most ``limit`` rows from here on; fewer only at the end."""
        iterator = self._open()
        found: list[Row] = []
        if self._position < len(self._keys):
            self._merge(iterator, found, limit)
        left = limit - len(found)
        valid, key, value, following = iterator.valid, iterator.key, iterator.value, iterator.next
        while left > 0 and valid():
            found.append((key(), value()))
            following()
            left -= 1
        if left > 0:
            problem = self._rows.problem(iterator)
            if problem is not None:
                self.close()
                del iterator, valid, key, value, following
                raise problem
        return found

    def _merge(self, iterator: RdictIter, found: list[Row], limit: int) -> None:
        """Rows with the noted ones among them, until these are used up."""
        keys = self._keys
        while len(found) < limit and self._position < len(keys):
            noted = keys[self._position]
            if iterator.valid():
                key: bytes = iterator.key()
                if key < noted:
                    found.append((key, iterator.value()))
                    iterator.next()
                    continue
                if key == noted:
                    iterator.next()
            self._position += 1
            row = self._before[noted]
            if row is not None:
                found.append((noted, row))

    def _open(self) -> RdictIter:
        iterator = self._iterator
        if iterator is None:
            raise self._rows.closed()
        return iterator

    def close(self) -> None:
        """Let the database go; idempotent. Also when the index closes or opens anew."""
        self._iterator = None


Item = TypeVar("Item")


class _BucketScan(Generic[Item]):
    """A cursor over the rows of one bucket."""

    def __init__(self, view: View, family: Family, bucket: str) -> None:
        self._prefix = bucket_prefix(bucket)
        self._scan = self.rows = RowScan(view, family, self._prefix, bucket_end(bucket))

    def read(self, limit: int) -> list[tuple[bytes, Item]]:
        raise NotImplementedError

    def next(self) -> tuple[bytes, Item] | None:
        """One row, None at the end."""
        found = self.read(1)
        return found[0] if found else None

    def close(self) -> None:
        """Let go of the rows that the cursor pins; idempotent."""
        self._scan.close()


class HeadScan(_BucketScan[Generation]):
    """The objects of one bucket in key order, as they were durable when the cursor was made.

    Generations come without extents and parts where these lie in details. Close it soon: it pins deleted rows.
    """

    def __init__(self, view: View, bucket: str) -> None:
        super().__init__(view, Family.HEADS, bucket)

    def seek(self, key: bytes) -> None:
        """Go to the first object at or behind ``key``."""
        self._scan.seek(self._prefix + key)

    def read(self, limit: int) -> list[tuple[bytes, Generation]]:
        """At most ``limit`` objects; fewer only at the end."""
        skip = len(self._prefix)
        return [(key[skip:], decode_head(row)) for key, row in self._scan.read(limit)]

    def page(self, limit: int) -> list[tuple[bytes, Listed]]:
        """As `read`, with what a listing needs of each object, in half the time."""
        skip = len(self._prefix)
        return [(key[skip:], decode_listed(row)) for key, row in self._scan.read(limit)]


class UploadScan(_BucketScan[Upload]):
    """The multipart uploads of one bucket by key, then by upload id; each item is the key and the upload."""

    def __init__(self, view: View, bucket: str) -> None:
        super().__init__(view, Family.UPLOADS, bucket)

    def seek(self, key: bytes, upload_id: str = "") -> None:
        """Go to the first upload at or behind (``key``, ``upload_id``); an impossible id is as none."""
        self._scan.seek(self._prefix + escaped(key) + (upload_id_bytes(upload_id) or b""))

    def read(self, limit: int) -> list[tuple[bytes, Upload]]:
        """At most ``limit`` uploads; fewer only at the end."""
        uploads = [decode_upload(row) for _, row in self._scan.read(limit)]
        return [(upload.key, upload) for upload in uploads]
