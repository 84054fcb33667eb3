"""Bytes of objects as ranges of data files: cutting a range out."""

from __future__ import annotations

from collections.abc import Sequence

from s3d.index.records import Extent


def cut(extents: Sequence[Extent], start: int, end: int) -> list[Extent]:
    """What of ``extents`` lies between the bytes ``start`` and ``end`` of their concatenation."""
    found = []
    position = 0
    for extent in extents:
        first = max(start - position, 0)
        last = min(end - position, extent.size_bytes)
        if first < last:
            whole = first == 0 and last == extent.size_bytes
            found.append(extent if whole else Extent(extent.file, extent.offset_bytes + first, last - first))
        position += extent.size_bytes
        if position >= end:
            break
    return found
