"""What listings are asked for: the query parameters, and for GetObjectAttributes the headers.

Sources: ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads, ListParts, ListBuckets and
GetObjectAttributes in the Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from s3d.s3.errors import S3Error
from s3d.s3.listing import (
    BucketItem,
    Cursor,
    Page,
    UploadCursor,
    UploadItem,
    behind,
    list_page,
    list_uploads,
    page_of_buckets,
    read_token,
)
from s3d.s3.names import invalid_argument

Params = Iterable[tuple[bytes, bytes]] | None
"""Decoded query parameters; the first of a name counts."""

MAX_KEYS = 1000
MAX_BUCKETS = 10_000
MAX_PARTS = 10_000
_MAX_INT = 2**31 - 1

Item = TypeVar("Item")


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
    """Of ListObjectsV2: the request has a start-after, if only an empty one, which the answer repeats."""
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

    def page(self, cursor: UploadCursor[UploadItem]) -> Page[UploadItem]:
        """Read the page from ``cursor``."""
        return list_uploads(
            cursor, prefix=self.prefix, delimiter=self.delimiter, key_marker=self.key_marker,
            upload_id_marker=self.upload_id_marker, limit=self.limit,
        )  # fmt: skip


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

    def page(self, buckets: Sequence[BucketItem]) -> tuple[list[BucketItem], str]:
        """Cut the page out of all ``buckets``; see `page_of_buckets`."""
        return page_of_buckets(buckets, prefix=self.prefix, region=self.region, after=self.after, limit=self.limit)


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


_ATTRIBUTES = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


def parse_attributes(headers: Sequence[tuple[bytes, bytes]]) -> frozenset[str]:
    """What ``x-amz-object-attributes`` asks for; raises InvalidArgument or, where there is none, InvalidRequest."""
    asked: set[str] = set()
    for name, value in headers:
        if name == b"x-amz-object-attributes":
            for attribute in value.decode("latin-1").split(","):
                if attribute.strip() not in _ATTRIBUTES:
                    raise S3Error(
                        "InvalidArgument",
                        "Invalid attribute name specified.",
                        extra={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": value},
                    )
                asked.add(attribute.strip())
    if not asked:
        raise S3Error(
            "InvalidRequest",
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        )
    return frozenset(asked)
