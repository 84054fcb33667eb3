"""Pages of listings as XML, UTF-8, in the order of S3's schemas.

The rows of objects come ready (`s3d._core.listing`): there are up to a thousand of them on each page.

Sources: the list operations' pages in the Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from s3d.s3.dates import iso_date
from s3d.s3.elements import (
    ChecksumLike,
    Owner,
    Value,
    checksum_value,
    document,
    element,
    etag_element,
    in_listing,
    owner_element,
)


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


class BucketLike(Protocol):
    """What ListBuckets shows of a bucket; a Bucket is one."""

    @property
    def name(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def region(self) -> str: ...


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
    """ListObjects, the first version. ``rows``: the page's `list_entries`."""
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
    """ListObjectsV2. ``rows``: the page's `list_entries`; ``key_count`` counts them and the prefixes.

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
    """ListObjectVersions. ``rows``: the page's `list_entries` of versions."""
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


def upload_row(upload: UploadLike, *, owner: Owner, encode: bool = False) -> bytes:
    """One ``Upload`` of ListMultipartUploads; its owner is who began it."""
    return (
        f"<Upload>{element('Key', in_listing(upload.key, encode))}{element('UploadId', upload.upload_id)}"
        f"{owner_element(owner, 'Initiator')}{owner_element(owner)}"
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
    part_number_marker: int = 0,
    max_parts: int = 1000,
    truncated: bool = False,
) -> bytes:
    """ListParts. ``parts``: the page's."""
    rows = "".join(
        f"<Part>{element('PartNumber', part.number)}{element('LastModified', iso_date(part.modified_ms))}"
        f"{etag_element(part.etag)}{element('Size', part.size_bytes)}{checksum_value(part.checksum)}</Part>"
        for part in parts
    )
    last = parts[-1].number if parts else part_number_marker
    return document(
        "ListPartsResult",
        f"{element('Bucket', bucket)}{element('Key', upload.key)}{element('UploadId', upload.upload_id)}"
        f"{element('PartNumberMarker', part_number_marker)}{element('NextPartNumberMarker', last)}"
        f"{element('MaxParts', max_parts)}{element('IsTruncated', truncated)}{rows}"
        f"{owner_element(owner, 'Initiator')}{owner_element(owner)}"
        f"{element('StorageClass', upload.storage_class)}{_chosen(upload)}",
    )
