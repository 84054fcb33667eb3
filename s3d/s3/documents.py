"""Documents that go out: the answers of operations as XML, UTF-8, in the order of S3's schemas.

Those of listings stand in `list_documents`.

Sources: the operations' pages in the Amazon S3 API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from s3d.s3.dates import iso_date
from s3d.s3.elements import ChecksumLike, checksum_elements, checksum_value, document, element, etag_element
from s3d.s3.errors import S3Error, xml_text


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


class PartLike(Protocol):
    """A part of an object, as GetObjectAttributes shows it; a Part is one."""

    @property
    def number(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def checksum(self) -> ChecksumLike | None: ...


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
        f"{element('Location', location)}{element('Bucket', bucket)}{element('Key', key)}{etag_element(etag)}"
        f"{checksum_elements(checksum)}",
    )


def copy_object(etag: str, modified_ms: int, checksum: ChecksumLike | None = None) -> bytes:
    """CopyObject."""
    return document(
        "CopyObjectResult",
        f"{element('LastModified', iso_date(modified_ms))}{etag_element(etag)}{checksum_elements(checksum)}",
    )


def copy_part(etag: str, modified_ms: int, checksum: ChecksumLike | None = None) -> bytes:
    """UploadPartCopy."""
    return document(
        "CopyPartResult",
        f"{element('LastModified', iso_date(modified_ms))}{etag_element(etag)}{checksum_value(checksum)}",
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
        content += f"<Checksum>{checksum_elements(item.checksum)}</Checksum>"
    if "ObjectParts" in asked and parts is not None:
        rows = "".join(
            f"<Part>{element('PartNumber', part.number)}{element('Size', part.size_bytes)}"
            f"{checksum_value(part.checksum)}</Part>"
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
