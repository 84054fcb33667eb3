"""Documents that go out: the answers of operations as XML, UTF-8, in the order of S3's schemas.

XML 1.0 cannot carry every character of a key, nor bytes that are no UTF-8. With ``encoding-type=url`` keys are
percent-encoded and arrive whole; without it, what XML cannot carry is written as ``%XX`` (see `errors`), so that the
rest of a page can be read: S3's own ``&#x1;`` makes a parser give up all of it.

Sources: the operations' pages in the Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

import msgspec

from s3d.s3.checksums import ELEMENTS
from s3d.s3.dates import iso_date
from s3d.s3.errors import S3Error, xml_text

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Value = str | int | bool | bytes


class Owner(msgspec.Struct, frozen=True):
    """An account as listings show it."""

    id: str
    display_name: str = ""


class ChecksumLike(Protocol):
    """An additional checksum: algorithm, value, and ``FULL_OBJECT`` or ``COMPOSITE``."""

    @property
    def algorithm(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def kind(self) -> str: ...


class ObjectLike(Protocol):
    """What a listing shows of an object; a Generation is one."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def checksum(self) -> ChecksumLike | None: ...


class UploadLike(Protocol):
    """What a listing shows of a multipart upload; an Upload is one."""

    @property
    def key(self) -> bytes: ...
    @property
    def upload_id(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def checksum_algorithm(self) -> str: ...
    @property
    def checksum_kind(self) -> str: ...


class UploadedPartLike(Protocol):
    """What a listing shows of a part of an upload under way; an UploadedPart is one."""

    @property
    def number(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def checksum(self) -> ChecksumLike | None: ...


class PartLike(Protocol):
    """A part of an object, as GetObjectAttributes shows it; a Part is one."""

    @property
    def number(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def checksum(self) -> ChecksumLike | None: ...


class BucketLike(Protocol):
    """What ListBuckets shows of a bucket; a Bucket is one."""

    @property
    def name(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def region(self) -> str: ...


def element(name: str, value: Value) -> str:
    """``<name>value</name>``; truth is written as S3 does, in lower case."""
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    return f"<{name}>{xml_text(value)}</{name}>"


def document(name: str, content: str | bytes) -> bytes:
    """A whole document: the declaration, and element ``name`` in S3's namespace with the ready ``content``."""
    head = f'{_DECLARATION}<{name} xmlns="{_NAMESPACE}">'.encode()
    body = content if isinstance(content, bytes) else content.encode()
    return b"%b%b</%b>" % (head, body, name.encode())


def url_encoded(text: bytes | str) -> str:
    """As ``encoding-type=url`` has it: percent-encoded UTF-8, ``/`` as it is."""
    return quote(text, safe="/")


def in_listing(text: bytes | str, encode: bool) -> str | bytes:
    """A key, prefix, delimiter or marker as a listing shows it."""
    return url_encoded(text) if encode else text


def _plain(text: str) -> str:
    """`xml_text`, for what hardly ever has anything to escape, such as an ETag."""
    return text if text.isalnum() else xml_text(text)


def _quoted(etag: str) -> str:
    return f"<ETag>&quot;{_plain(etag)}&quot;</ETag>"


# Every row of a page has one, and mostly the same.
@lru_cache(maxsize=64)
def owner_element(owner: Owner, name: str = "Owner") -> str:
    """The Owner, or Initiator, of something."""
    return f"<{name}>{element('ID', owner.id)}{element('DisplayName', owner.display_name)}</{name}>"


def _checksum_value(checksum: ChecksumLike | None) -> str:
    return "" if checksum is None else element(ELEMENTS[checksum.algorithm], checksum.value)


def _checksum(checksum: ChecksumLike | None) -> str:
    return "" if checksum is None else _checksum_value(checksum) + element("ChecksumType", checksum.kind)


def list_buckets(
    buckets: Iterable[BucketLike],
    owner: Owner,
    *,
    regions: bool = False,
    prefix: str | None = None,
    continuation_token: str = "",
) -> bytes:
    """ListBuckets. ``regions``: each bucket's is told, as S3 does when the request has any parameter.

    ``continuation_token``: where the next page begins; empty on the last one.
    """
    rows = []
    for bucket in buckets:
        region = element("BucketRegion", bucket.region) if regions else ""
        rows.append(
            f"<Bucket>{element('Name', bucket.name)}{element('CreationDate', iso_date(bucket.created_ms))}"
            f"{region}</Bucket>"
        )
    content = f"{owner_element(owner)}<Buckets>{''.join(rows)}</Buckets>"
    if prefix is not None:
        content += element("Prefix", prefix)
    if continuation_token:
        content += element("ContinuationToken", continuation_token)
    return document("ListAllMyBucketsResult", content)


def object_row(key: bytes, item: ObjectLike, *, owner: Owner | None = None, encode: bool = False) -> bytes:
    """One ``Contents`` of ListObjects or ListObjectsV2."""
    return f"<Contents>{_object(key, item, owner, encode, '')}</Contents>".encode()


def version_row(key: bytes, item: ObjectLike, *, owner: Owner, encode: bool = False) -> bytes:
    """One ``Version`` of ListObjectVersions, of an object in an unversioned bucket."""
    version = "<VersionId>null</VersionId><IsLatest>true</IsLatest>"
    return f"<Version>{_object(key, item, owner, encode, version)}</Version>".encode()


def _object(key: bytes, item: ObjectLike, owner: Owner | None, encode: bool, version: str) -> str:
    checksum = ""
    if item.checksum is not None:
        checksum = element("ChecksumAlgorithm", item.checksum.algorithm) + element("ChecksumType", item.checksum.kind)
    shown = url_encoded(key) if encode else xml_text(key)
    return (
        f"<Key>{shown}</Key>{version}<LastModified>{iso_date(item.modified_ms)}</LastModified>{_quoted(item.etag)}"
        f"{checksum}<Size>{item.size_bytes}</Size>{'' if owner is None else owner_element(owner)}"
        f"<StorageClass>{_plain(item.storage_class)}</StorageClass>"
    )


def _listing(fields: Mapping[str, Value | None], rows: bytes, prefixes: Iterable[bytes], encode: bool) -> bytes:
    """The elements that are not None, then the rows, then the common prefixes."""
    head = "".join(element(name, value) for name, value in fields.items() if value is not None)
    common = "".join(
        f"<CommonPrefixes>{element('Prefix', in_listing(prefix, encode))}</CommonPrefixes>" for prefix in prefixes
    )
    return head.encode() + rows + common.encode()


def _shown(text: bytes | None, encode: bool) -> str | bytes | None:
    return None if text is None else in_listing(text, encode)


def list_objects(
    bucket: str,
    *,
    rows: bytes,
    prefixes: Iterable[bytes] = (),
    prefix: bytes = b"",
    marker: bytes = b"",
    next_marker: bytes = b"",
    max_keys: int = 1000,
    delimiter: bytes = b"",
    truncated: bool = False,
    encode: bool = False,
) -> bytes:
    """ListObjects, the first version. ``rows``: the page's `object_row` in a row."""
    fields: dict[str, Value | None] = {
        "Name": bucket,
        "Prefix": in_listing(prefix, encode),
        "Marker": in_listing(marker, encode),
        "NextMarker": _shown(next_marker or None, encode),
        "MaxKeys": max_keys,
        "Delimiter": _shown(delimiter or None, encode),
        "EncodingType": "url" if encode else None,
        "IsTruncated": truncated,
    }
    return document("ListBucketResult", _listing(fields, rows, prefixes, encode))


def list_objects_v2(
    bucket: str,
    *,
    rows: bytes,
    key_count: int,
    prefixes: Iterable[bytes] = (),
    prefix: bytes = b"",
    continuation_token: str | None = None,
    next_continuation_token: str = "",
    start_after: bytes | None = None,
    max_keys: int = 1000,
    delimiter: bytes = b"",
    truncated: bool = False,
    encode: bool = False,
) -> bytes:
    """ListObjectsV2. ``rows``: the page's `object_row` in a row; ``key_count`` counts them and the prefixes.

    ``continuation_token`` and ``start_after`` as the request had them, None where it had none.
    """
    fields: dict[str, Value | None] = {
        "Name": bucket,
        "Prefix": in_listing(prefix, encode),
        "ContinuationToken": continuation_token,
        "NextContinuationToken": next_continuation_token or None,
        "StartAfter": _shown(start_after, encode),
        "KeyCount": key_count,
        "MaxKeys": max_keys,
        "Delimiter": _shown(delimiter or None, encode),
        "EncodingType": "url" if encode else None,
        "IsTruncated": truncated,
    }
    return document("ListBucketResult", _listing(fields, rows, prefixes, encode))


def list_object_versions(
    bucket: str,
    *,
    rows: bytes,
    prefixes: Iterable[bytes] = (),
    prefix: bytes = b"",
    key_marker: bytes = b"",
    version_id_marker: str = "",
    next_key_marker: bytes = b"",
    next_version_id_marker: str = "",
    max_keys: int = 1000,
    delimiter: bytes = b"",
    truncated: bool = False,
    encode: bool = False,
) -> bytes:
    """ListObjectVersions. ``rows``: the page's `version_row` in a row."""
    fields: dict[str, Value | None] = {
        "Name": bucket,
        "Prefix": in_listing(prefix, encode),
        "KeyMarker": in_listing(key_marker, encode),
        "VersionIdMarker": version_id_marker,
        "NextKeyMarker": _shown(next_key_marker or None, encode),
        "NextVersionIdMarker": next_version_id_marker or None,
        "MaxKeys": max_keys,
        "Delimiter": _shown(delimiter or None, encode),
        "EncodingType": "url" if encode else None,
        "IsTruncated": truncated,
    }
    return document("ListVersionsResult", _listing(fields, rows, prefixes, encode))


def upload_row(upload: UploadLike, *, owner: Owner, initiator: Owner | None = None, encode: bool = False) -> bytes:
    """One ``Upload`` of ListMultipartUploads."""
    return (
        f"<Upload>{element('Key', in_listing(upload.key, encode))}{element('UploadId', upload.upload_id)}"
        f"{owner_element(initiator or owner, 'Initiator')}{owner_element(owner)}"
        f"{element('StorageClass', upload.storage_class)}{element('Initiated', iso_date(upload.created_ms))}"
        f"{_chosen(upload)}</Upload>"
    ).encode()


def _chosen(upload: UploadLike) -> str:
    if not upload.checksum_algorithm:
        return ""
    return element("ChecksumAlgorithm", upload.checksum_algorithm) + element("ChecksumType", upload.checksum_kind)


def list_multipart_uploads(
    bucket: str,
    *,
    rows: bytes,
    prefixes: Iterable[bytes] = (),
    prefix: bytes = b"",
    key_marker: bytes = b"",
    upload_id_marker: str = "",
    next_key_marker: bytes = b"",
    next_upload_id_marker: str = "",
    max_uploads: int = 1000,
    delimiter: bytes = b"",
    truncated: bool = False,
    encode: bool = False,
) -> bytes:
    """ListMultipartUploads. ``rows``: the page's `upload_row` in a row."""
    fields: dict[str, Value | None] = {
        "Bucket": bucket,
        "KeyMarker": in_listing(key_marker, encode),
        "UploadIdMarker": upload_id_marker,
        "NextKeyMarker": in_listing(next_key_marker, encode),
        "NextUploadIdMarker": next_upload_id_marker,
        "Delimiter": _shown(delimiter or None, encode),
        "Prefix": in_listing(prefix, encode),
        "EncodingType": "url" if encode else None,
        "MaxUploads": max_uploads,
        "IsTruncated": truncated,
    }
    return document("ListMultipartUploadsResult", _listing(fields, rows, prefixes, encode))


def list_parts(
    bucket: str,
    upload: UploadLike,
    parts: Sequence[UploadedPartLike],
    *,
    owner: Owner,
    initiator: Owner | None = None,
    part_number_marker: int = 0,
    max_parts: int = 1000,
    truncated: bool = False,
) -> bytes:
    """ListParts. ``parts``: the page's."""
    rows = "".join(
        f"<Part>{element('PartNumber', part.number)}{element('LastModified', iso_date(part.modified_ms))}"
        f"{_quoted(part.etag)}{element('Size', part.size_bytes)}{_checksum_value(part.checksum)}</Part>"
        for part in parts
    )
    last = parts[-1].number if parts else part_number_marker
    return document(
        "ListPartsResult",
        f"{element('Bucket', bucket)}{element('Key', upload.key)}{element('UploadId', upload.upload_id)}"
        f"{element('PartNumberMarker', part_number_marker)}{element('NextPartNumberMarker', last)}"
        f"{element('MaxParts', max_parts)}{element('IsTruncated', truncated)}{rows}"
        f"{owner_element(initiator or owner, 'Initiator')}{owner_element(owner)}"
        f"{element('StorageClass', upload.storage_class)}{_chosen(upload)}",
    )


def initiate_multipart_upload(bucket: str, key: bytes, upload_id: str) -> bytes:
    """CreateMultipartUpload."""
    return document(
        "InitiateMultipartUploadResult",
        f"{element('Bucket', bucket)}{element('Key', key)}{element('UploadId', upload_id)}",
    )


def complete_multipart_upload(
    location: str, bucket: str, key: bytes, etag: str, checksum: ChecksumLike | None = None
) -> bytes:
    """CompleteMultipartUpload. ``location``: the object's URL as the client addresses it."""
    return document(
        "CompleteMultipartUploadResult",
        f"{element('Location', location)}{element('Bucket', bucket)}{element('Key', key)}{_quoted(etag)}"
        f"{_checksum(checksum)}",
    )


def copy_object(etag: str, modified_ms: int, checksum: ChecksumLike | None = None) -> bytes:
    """CopyObject."""
    return document(
        "CopyObjectResult", f"{element('LastModified', iso_date(modified_ms))}{_quoted(etag)}{_checksum(checksum)}"
    )


def copy_part(etag: str, modified_ms: int, checksum: ChecksumLike | None = None) -> bytes:
    """UploadPartCopy."""
    return document(
        "CopyPartResult",
        f"{element('LastModified', iso_date(modified_ms))}{_quoted(etag)}{_checksum_value(checksum)}",
    )


def delete_result(results: Iterable[tuple[bytes, str | None, S3Error | None]], *, quiet: bool = False) -> bytes:
    """DeleteObjects. ``results``: key and version as the request had them, and what went wrong or None.

    ``quiet`` leaves out what went well.
    """
    rows = []
    for key, version, error in results:
        named = element("Key", key) + ("" if version is None else element("VersionId", version))
        if error is not None:
            rows.append(f"<Error>{named}{element('Code', error.code)}{element('Message', error.message)}</Error>")
        elif not quiet:
            rows.append(f"<Deleted>{named}</Deleted>")
    return document("DeleteResult", "".join(rows))


def tagging(tags: Iterable[tuple[str, str]]) -> bytes:
    """GetObjectTagging, GetBucketTagging."""
    rows = "".join(f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in tags)
    return document("Tagging", f"<TagSet>{rows}</TagSet>")


def location_constraint(region: str) -> bytes:
    """GetBucketLocation; us-east-1 is said by saying nothing."""
    return document("LocationConstraint", "" if region == "us-east-1" else xml_text(region))


class ObjectParts(msgspec.Struct, frozen=True):
    """The page of an object's parts that GetObjectAttributes shows."""

    total: int
    parts: Sequence[PartLike] = ()
    marker: int = 0
    max_parts: int = 1000
    truncated: bool = False


def object_attributes(attributes: Iterable[str], item: ObjectLike, parts: ObjectParts | None = None) -> bytes:
    """GetObjectAttributes. ``attributes``: those asked for (`parse_attributes`); ``parts``: of a multipart object.

    The ETag has no quotes here, unlike everywhere else.
    """
    asked = frozenset(attributes)
    content = ""
    if "ETag" in asked:
        content += element("ETag", item.etag)
    if "Checksum" in asked and item.checksum is not None:
        content += f"<Checksum>{_checksum(item.checksum)}</Checksum>"
    if "ObjectParts" in asked and parts is not None:
        rows = "".join(
            f"<Part>{element('PartNumber', part.number)}{element('Size', part.size_bytes)}"
            f"{_checksum_value(part.checksum)}</Part>"
            for part in parts.parts
        )
        last = parts.parts[-1].number if parts.parts else parts.marker
        content += (
            f"<ObjectParts>{element('PartsCount', parts.total)}{element('PartNumberMarker', parts.marker)}"
            f"{element('NextPartNumberMarker', last)}{element('MaxParts', parts.max_parts)}"
            f"{element('IsTruncated', parts.truncated)}{rows}</ObjectParts>"
        )
    if "StorageClass" in asked:
        content += element("StorageClass", item.storage_class)
    if "ObjectSize" in asked:
        content += element("ObjectSize", item.size_bytes)
    return document("GetObjectAttributesResponse", content)


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
