"""Pages of listings, read from a cursor in key order; what is asked for stands in `queries`.

Keys are bytes and sort as bytes. A page is read in time proportional to itself: a common prefix costs one seek, past
everything below it, however much that is. Whether more follows is found out by looking, so IsTruncated is exact.

Sources: ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads, ListParts and ListBuckets in the Amazon
S3 API reference.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from s3d.s3.names import invalid_argument

Item = TypeVar("Item")


class Cursor(Protocol[Item]):
    """Rows of a bucket in the order of their keys, as they were at one moment."""

    def seek(self, key: bytes) -> None:
        """Go to the first row whose key is ``key`` or follows it."""

    def read(self, limit: int) -> list[tuple[bytes, Item]]:
        """The next rows, with their keys; fewer than ``limit`` only at the end."""


class _Upload(Protocol):
    @property
    def upload_id(self) -> str: ...


UploadItem = TypeVar("UploadItem", bound=_Upload)


class UploadCursor(Protocol[UploadItem]):
    """Uploads of a bucket by key, then by upload id."""

    def seek(self, key: bytes, upload_id: str = "") -> None:
        """Go to the first upload that is (``key``, ``upload_id``) or follows it."""

    def read(self, limit: int) -> list[tuple[bytes, UploadItem]]:
        """The next uploads, with their keys; fewer than ``limit`` only at the end."""


class Page(msgspec.Struct, Generic[Item]):
    """One page of a listing. Items and prefixes are each in order of key; together they are at most what was asked."""

    items: list[tuple[bytes, Item]]
    prefixes: list[bytes]
    truncated: bool = False
    """More follows."""
    last: bytes = b""
    """The last item's key, or the last prefix if that sorts behind it: where the next page goes on."""
    ends_in_prefix: bool = False
    """`last` is a prefix."""
    resume: bytes = b""
    """What a continuation token holds: the least key that the next page can have."""


def successor(prefix: bytes) -> bytes | None:
    """The least key that sorts behind every key that begins with ``prefix``; None where nothing does.

    A trailing 0xff cannot grow, so it gives way to its predecessor.
    """
    kept = prefix.rstrip(b"\xff")
    if not kept:
        return None
    return kept[:-1] + bytes((kept[-1] + 1,))


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """What ``key``, which begins with ``prefix``, is rolled up into: up to and with the first delimiter behind it."""
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if end < 0 else key[: end + len(delimiter)]


def behind(marker: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """Where a page begins that follows ``marker``: its least possible key, None if there can be none.

    A marker that is a common prefix, or lies below one, has had all of it.
    """
    if not marker:
        return b""
    group = common_prefix(marker, prefix, delimiter) if marker.startswith(prefix) else None
    return marker + b"\0" if group is None else successor(group)


# A batch is short where the next row may be the first of a common prefix, whose further rows would be read in vain.
_FIRST_BATCH = 32
_BATCH_BEHIND_PREFIX = 2


def _collect(cursor: Cursor[Item], prefix: bytes, delimiter: bytes, limit: int) -> Page[Item]:
    """Read a page of ``limit`` > 0 from where ``cursor`` stands, which is at or behind ``prefix``."""
    page: Page[Item] = Page([], [])
    items, prefixes = page.items, page.prefixes
    left = limit
    group: bytes | None = None
    batch = min(limit + 1, _FIRST_BATCH) if delimiter else limit + 1
    while True:
        rows = cursor.read(batch)
        for row in rows:
            key = row[0]
            if group is not None and key.startswith(group):
                continue
            if not key.startswith(prefix):
                return _ended(page, group)
            if not left:
                page.truncated = True
                return _ended(page, group)
            left -= 1
            group = common_prefix(key, prefix, delimiter)
            if group is None:
                items.append(row)
            else:
                prefixes.append(group)
        if len(rows) < batch:
            return _ended(page, group)
        if group is not None and rows[-1][0].startswith(group):
            beyond = successor(group)
            if beyond is None:
                return _ended(page, group)
            cursor.seek(beyond)
            batch = _BATCH_BEHIND_PREFIX
        else:
            batch = min(batch * 2, left + 1)


def _ended(page: Page[Item], group: bytes | None) -> Page[Item]:
    """Note where a page ended. ``group``: the prefix that was its last entry, None if that was an item, or nothing."""
    if group is not None:
        page.last, page.ends_in_prefix = group, True
        # None: nothing can follow, and nothing asks then.
        page.resume = successor(group) or b""
    elif page.items:
        page.last = page.items[-1][0]
        page.resume = page.last + b"\0"
    return page


def list_page(
    cursor: Cursor[Item], *, prefix: bytes = b"", delimiter: bytes = b"", start: bytes | None = b"", limit: int
) -> Page[Item]:
    """A page of at most ``limit`` items and common prefixes, from key ``start`` on (`behind`; None: nothing)."""
    if limit <= 0 or start is None:
        return Page([], [])
    cursor.seek(max(start, prefix))
    return _collect(cursor, prefix, delimiter, limit)


class _FromUpload(Generic[UploadItem]):
    """An upload cursor that leaves out the marker itself."""

    def __init__(self, cursor: UploadCursor[UploadItem], key: bytes, upload_id: str) -> None:
        self._cursor = cursor
        self._marker: tuple[bytes, str] | None = (key, upload_id)
        cursor.seek(key, upload_id)

    def seek(self, key: bytes) -> None:
        self._marker = None
        self._cursor.seek(key)

    def read(self, limit: int) -> list[tuple[bytes, UploadItem]]:
        rows = self._cursor.read(limit)
        marker, self._marker = self._marker, None
        if marker is not None and rows and (rows[0][0], rows[0][1].upload_id) == marker:
            return rows[1:] + self._cursor.read(1)
        return rows


def list_uploads(
    cursor: UploadCursor[UploadItem],
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    key_marker: bytes = b"",
    upload_id_marker: str = "",
    limit: int,
) -> Page[UploadItem]:
    """A page of ListMultipartUploads: by key, then by upload id, which is by time."""
    if limit <= 0:
        return Page([], [])
    group = common_prefix(key_marker, prefix, delimiter) if key_marker.startswith(prefix) else None
    if upload_id_marker and key_marker >= prefix and group is None:
        return _collect(_FromUpload(cursor, key_marker, upload_id_marker), prefix, delimiter, limit)
    start = behind(key_marker, prefix, delimiter)
    return list_page(cursor, prefix=prefix, delimiter=delimiter, start=start, limit=limit)


# Tokens.

_TOKEN_VERSION = b"\x01"
# The longest key and what resuming adds to it, the check and the version; base64 makes four characters of three bytes.
_MAX_TOKEN_CHARACTERS = (1024 + 1 + 4 + 1 + 2) // 3 * 4 + 4


def make_token(resume: bytes) -> str:
    """A continuation token: opaque to clients, and safe in a query and in XML."""
    return urlsafe_b64encode(_TOKEN_VERSION + zlib.crc32(resume).to_bytes(4, "big") + resume).decode()


def read_token(token: bytes) -> bytes:
    """The key that `make_token` put into ``token``; raises InvalidArgument for anything that it did not make.

    The check keeps mistakes out, not forgers: a token says only where to go on, and that a client may ask anyway.
    """
    try:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise ValueError
        held = urlsafe_b64decode(token)
        # b64decode skips what is no base64; only what comes out the same was ours.
        if urlsafe_b64encode(held) != token or held[:1] != _TOKEN_VERSION:
            raise ValueError
        resume = held[5:]
        if zlib.crc32(resume).to_bytes(4, "big") != held[1:5]:
            raise ValueError
    except ValueError:
        raise invalid_argument("continuation-token", token, "The continuation token provided is incorrect") from None
    return resume


# Pages of what is at hand as a whole.


def page_of_parts(found: Sequence[Item], limit: int) -> tuple[Sequence[Item], bool]:
    """The page that ``found``, read one further than ``limit``, makes, and whether more follows.

    A page of no parts is the last: its marker could not move on, and whoever follows it would ask for ever.
    """
    return found[:limit], 0 < limit < len(found)


class _Bucket(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def region(self) -> str: ...


BucketItem = TypeVar("BucketItem", bound=_Bucket)


def page_of_buckets(
    buckets: Sequence[BucketItem], *, prefix: str = "", region: str = "", after: str = "", limit: int
) -> tuple[list[BucketItem], str]:
    """The page of ListBuckets, from all ``buckets`` in order of name, and the token of the next one or "".

    It begins behind the bucket ``after`` and has those with ``prefix`` in ``region``, "" for any.
    """
    first = bisect_left(buckets, (after, 1), key=lambda bucket: (bucket.name, 0)) if after else 0
    page: list[BucketItem] = []
    for bucket in buckets[first:]:
        if not bucket.name.startswith(prefix) or (region and bucket.region != region):
            continue
        if len(page) == limit:
            return page, make_token(page[-1].name.encode())
        page.append(bucket)
    return page, ""
