"""Listings: what the query parameters ask for, and the page that answers them, read from a cursor in key order.

Keys are bytes and sort as bytes. A page is read in time proportional to itself: a common prefix costs one seek, past
everything below it, however much that is. Whether more follows is found out by looking, so IsTruncated is exact.

Sources: ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads, ListParts and ListBuckets in the Amazon
S3 API reference.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from s3d.s3.names import invalid_argument

Params = Iterable[tuple[bytes, bytes]] | None
"""Decoded query parameters; the first of a name counts."""

MAX_KEYS = 1000
MAX_BUCKETS = 10_000
MAX_PARTS = 10_000
_MAX_INT = 2**31 - 1

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


def list_uploads(cursor: UploadCursor[UploadItem], query: UploadsQuery) -> Page[UploadItem]:
    """A page of ListMultipartUploads: by key, then by upload id, which is by time."""
    if query.limit <= 0:
        return Page([], [])
    marker, prefix = query.key_marker, query.prefix
    group = common_prefix(marker, prefix, query.delimiter) if marker.startswith(prefix) else None
    if query.upload_id_marker and marker >= prefix and group is None:
        return _collect(_FromUpload(cursor, marker, query.upload_id_marker), prefix, query.delimiter, query.limit)
    return list_page(
        cursor,
        prefix=prefix,
        delimiter=query.delimiter,
        start=behind(marker, prefix, query.delimiter),
        limit=query.limit,
    )


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


# Parameters.


class _Given:
    """The parameters by name."""

    def __init__(self, params: Params) -> None:
        self._values: dict[bytes, bytes] = {}
        for name, value in params or ():
            self._values.setdefault(name, value)

    def get(self, name: bytes) -> bytes:
        """Its value, b"" if there is none."""
        return self._values.get(name, b"")

    def has(self, name: bytes) -> bool:
        return name in self._values

    def limit(self, name: bytes, most: int, argument: str = "") -> int:
        """A limit on the size of a page, ``most`` by default and at most."""
        value = self.get(name)
        if not value:
            return most
        shown = name.decode()
        digits = value[1:] if value[:1] in (b"-", b"+") else value
        if not digits.isdigit() or len(digits) > 10 or not -_MAX_INT - 1 <= int(value) <= _MAX_INT:
            raise invalid_argument(shown, value, f"Provided {shown} not an integer or within integer range")
        number = int(value)
        if number < 0:
            argument = argument or shown
            raise invalid_argument(argument, value, f"Argument {argument} must be an integer between 0 and {_MAX_INT}")
        return min(number, most)

    def encode(self) -> bool:
        value = self.get(b"encoding-type")
        if value and value != b"url":
            raise invalid_argument("encoding-type", value, "Invalid Encoding Method specified in Request")
        return bool(value)


class ObjectsQuery(msgspec.Struct, frozen=True):
    """What ListObjects, ListObjectsV2 or ListObjectVersions asks for."""

    prefix: bytes
    delimiter: bytes
    limit: int
    """max-keys, from 0 to 1,000."""
    encode: bool
    """encoding-type=url."""
    start: bytes | None
    """The least key of the page (`list_page`)."""
    marker: bytes = b""
    """marker, start-after or key-marker, as sent; an answer repeats it."""
    marker_given: bool = False
    token: str | None = None
    """continuation-token, as sent; an answer repeats it."""
    version_id_marker: str = ""
    fetch_owner: bool = False

    def page(self, cursor: Cursor[Item]) -> Page[Item]:
        """Read the page from ``cursor``."""
        return list_page(cursor, prefix=self.prefix, delimiter=self.delimiter, start=self.start, limit=self.limit)


def parse_list_objects(params: Params) -> ObjectsQuery:
    """The parameters of ListObjects, the first version; raises InvalidArgument."""
    given = _Given(params)
    prefix, delimiter, marker = given.get(b"prefix"), given.get(b"delimiter"), given.get(b"marker")
    return ObjectsQuery(
        prefix=prefix,
        delimiter=delimiter,
        limit=given.limit(b"max-keys", MAX_KEYS, "maxKeys"),
        encode=given.encode(),
        start=behind(marker, prefix, delimiter),
        marker=marker,
        marker_given=given.has(b"marker"),
        fetch_owner=True,
    )


def parse_list_objects_v2(params: Params) -> ObjectsQuery:
    """The parameters of ListObjectsV2; raises InvalidArgument.

    A continuation token outweighs ``start-after``. Unlike a marker, a start-after below a common prefix leaves that in
    the listing if anything below it follows. An empty token is none.
    """
    given = _Given(params)
    after, token = given.get(b"start-after"), given.get(b"continuation-token")
    if token:
        start = read_token(token)
    else:
        start = after + b"\0" if after else b""
    return ObjectsQuery(
        prefix=given.get(b"prefix"),
        delimiter=given.get(b"delimiter"),
        limit=given.limit(b"max-keys", MAX_KEYS, "maxKeys"),
        encode=given.encode(),
        start=start,
        marker=after,
        marker_given=given.has(b"start-after"),
        token=token.decode("latin-1") if given.has(b"continuation-token") else None,
        fetch_owner=given.get(b"fetch-owner").lower() == b"true",
    )


def parse_list_versions(params: Params) -> ObjectsQuery:
    """The parameters of ListObjectVersions, for a bucket without versions: each object's one version is ``null``.

    Whatever version-id-marker says, then, the page begins behind key-marker. Raises InvalidArgument.
    """
    given = _Given(params)
    prefix, delimiter, marker = given.get(b"prefix"), given.get(b"delimiter"), given.get(b"key-marker")
    version = given.get(b"version-id-marker")
    if version and not marker:
        raise invalid_argument(
            "version-id-marker", version, "A version-id marker cannot be specified without a key marker."
        )
    return ObjectsQuery(
        prefix=prefix,
        delimiter=delimiter,
        limit=given.limit(b"max-keys", MAX_KEYS, "maxKeys"),
        encode=given.encode(),
        start=behind(marker, prefix, delimiter),
        marker=marker,
        marker_given=given.has(b"key-marker"),
        version_id_marker=version.decode("latin-1"),
        fetch_owner=True,
    )


class UploadsQuery(msgspec.Struct, frozen=True):
    """What ListMultipartUploads asks for."""

    prefix: bytes
    delimiter: bytes
    limit: int
    """max-uploads, from 0 to 1,000."""
    encode: bool
    key_marker: bytes
    upload_id_marker: str
    """Of no effect without a key marker."""


_HEX = frozenset(b"0123456789abcdef")


def parse_list_uploads(params: Params) -> UploadsQuery:
    """The parameters of ListMultipartUploads; raises InvalidArgument."""
    given = _Given(params)
    marker, upload_id = given.get(b"key-marker"), given.get(b"upload-id-marker")
    if marker and upload_id and not (len(upload_id) == 32 and _HEX.issuperset(upload_id)):
        raise invalid_argument("upload-id-marker", upload_id, "Invalid uploadId marker")
    return UploadsQuery(
        prefix=given.get(b"prefix"),
        delimiter=given.get(b"delimiter"),
        limit=given.limit(b"max-uploads", MAX_KEYS),
        encode=given.encode(),
        key_marker=marker,
        upload_id_marker=upload_id.decode("latin-1") if marker else "",
    )


def parse_list_parts(params: Params) -> tuple[int, int]:
    """Of ListParts: the part number behind which the page begins (0 to 10,000), and how many parts it may have (0 to
    1,000).

    Raises InvalidArgument.
    """
    given = _Given(params)
    # Nothing follows the last number there can be.
    marker = given.limit(b"part-number-marker", MAX_PARTS) if given.get(b"part-number-marker") else 0
    return marker, given.limit(b"max-parts", MAX_KEYS)


def parse_attribute_parts(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, int]:
    """The same of GetObjectAttributes, which has them as headers x-amz-part-number-marker and x-amz-max-parts."""
    wanted = (b"x-amz-part-number-marker", b"x-amz-max-parts")
    return parse_list_parts([(name.removeprefix(b"x-amz-"), value) for name, value in headers if name in wanted])


def page_of_parts(found: Sequence[Item], limit: int) -> tuple[Sequence[Item], bool]:
    """The page that ``found``, read one further than ``limit``, makes, and whether more follows.

    A page of no parts is the last: its marker could not move on, and whoever follows it would ask for ever.
    """
    return found[:limit], 0 < limit < len(found)


class BucketsQuery(msgspec.Struct, frozen=True):
    """What ListBuckets asks for."""

    prefix: str
    region: str
    """Only buckets of this region; empty: of any."""
    limit: int
    after: str
    """The bucket behind which the page begins; empty: at the first."""
    prefix_given: bool
    any_given: bool
    """The request has a parameter, so that the answer tells each bucket's region."""


def parse_list_buckets(params: Params) -> BucketsQuery:
    """The parameters of ListBuckets; raises InvalidArgument."""
    given = _Given(params)
    limit = given.limit(b"max-buckets", _MAX_INT)
    if given.get(b"max-buckets") and not 1 <= limit <= MAX_BUCKETS:
        raise invalid_argument(
            "max-buckets",
            given.get(b"max-buckets"),
            f"Argument max-buckets must be an integer between 1 and {MAX_BUCKETS}.",
        )
    token = given.get(b"continuation-token")
    names = (b"prefix", b"bucket-region", b"max-buckets", b"continuation-token")
    return BucketsQuery(
        prefix=given.get(b"prefix").decode("utf-8", "replace"),
        region=given.get(b"bucket-region").decode("utf-8", "replace"),
        limit=min(limit, MAX_BUCKETS),
        after=read_token(token).decode("utf-8", "replace") if token else "",
        prefix_given=given.has(b"prefix"),
        any_given=any(given.has(name) for name in names),
    )


class _Bucket(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def region(self) -> str: ...


BucketItem = TypeVar("BucketItem", bound=_Bucket)


def page_of_buckets(buckets: Sequence[BucketItem], query: BucketsQuery) -> tuple[list[BucketItem], str]:
    """The page of ListBuckets, from all ``buckets`` in order of name, and the token of the next one or ""."""
    first = bisect_left(buckets, (query.after, 1), key=lambda bucket: (bucket.name, 0)) if query.after else 0
    page: list[BucketItem] = []
    for bucket in buckets[first:]:
        if not bucket.name.startswith(query.prefix) or (query.region and bucket.region != query.region):
            continue
        if len(page) == query.limit:
            return page, make_token(page[-1].name.encode())
        page.append(bucket)
    return page, ""
