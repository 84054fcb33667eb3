"""Documents that go out, as AWS's own SDK reads them, and with keys that XML cannot carry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.listing import list_entries
from s3d.s3 import documents, list_documents
from s3d.s3.documents import ObjectParts
from s3d.s3.elements import Owner, owner_element
from s3d.s3.errors import S3Error
from s3d.s3.queries import parse_attributes

MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")
OWNER = Owner("id", "name")
AT_MS = 1_255_369_830_000
AT = datetime(2009, 10, 12, 17, 50, 30, tzinfo=UTC)


def read(operation: str, body: bytes) -> dict[str, Any]:
    """The body as botocore gives it to whoever called the operation."""
    shape = MODEL.operation_model(operation).output_shape
    got: dict[str, Any] = create_parser("rest-xml").parse({"body": body, "headers": {}, "status_code": 200}, shape)
    del got["ResponseMetadata"]
    return got


class Checksum(msgspec.Struct):
    algorithm: str = "CRC32"
    value: str = "AAAAAA=="
    kind: str = "FULL_OBJECT"


class Object(msgspec.Struct):
    size_bytes: int = 5
    etag: str = "abc"
    modified_ms: int = AT_MS + 999
    storage_class: str = "STANDARD"
    checksum: Checksum | None = None


class Upload(msgspec.Struct):
    key: bytes = b"key"
    upload_id: str = "u1"
    created_ms: int = AT_MS
    storage_class: str = "STANDARD"
    checksum_algorithm: str = "CRC32"
    checksum_kind: str = "COMPOSITE"


class Part(msgspec.Struct):
    number: int = 1
    size_bytes: int = 5
    etag: str = "abc"
    modified_ms: int = AT_MS
    checksum: Checksum | None = None


class Bucket(msgspec.Struct):
    name: str = "bucket"
    created_ms: int = AT_MS
    region: str = "here"


def test_objects_are_read_by_the_sdk() -> None:
    row = list_entries([(b'k<&">', Object(checksum=Checksum()))], owner=owner_element(OWNER).encode())
    got = read(
        "ListObjectsV2",
        list_documents.list_objects_v2(
            "bucket", rows=row + row, key_count=3, prefixes=[b"p/"], next_continuation_token="t", truncated=True
        ),
    )
    item = {
        "Key": 'k<&">', "LastModified": AT, "ETag": '"abc"', "Size": 5, "StorageClass": "STANDARD",
        "ChecksumAlgorithm": ["CRC32"], "ChecksumType": "FULL_OBJECT", "Owner": {"ID": "id", "DisplayName": "name"},
    }  # fmt: skip
    assert got == {
        "Name": "bucket", "Prefix": "", "KeyCount": 3, "MaxKeys": 1000, "IsTruncated": True,
        "NextContinuationToken": "t", "Contents": [item, item], "CommonPrefixes": [{"Prefix": "p/"}],
    }  # fmt: skip


def test_versions_are_read_by_the_sdk() -> None:
    row = list_entries([(b"key", Object())], owner=owner_element(OWNER).encode(), versions=True)
    got = read("ListObjectVersions", list_documents.list_object_versions("bucket", rows=row, next_key_marker=b"key"))
    assert got["Versions"][0]["VersionId"] == "null"
    assert got["Versions"][0]["IsLatest"] is True
    assert got["NextKeyMarker"] == "key"


def test_uploads_are_read_by_the_sdk() -> None:
    got = read(
        "ListMultipartUploads",
        list_documents.list_multipart_uploads(
            "bucket", rows=list_documents.upload_row(Upload(), owner=OWNER), max_uploads=7
        ),
    )
    assert got["MaxUploads"] == 7
    assert got["Uploads"] == [
        {
            "UploadId": "u1", "Key": "key", "Initiated": AT, "StorageClass": "STANDARD", "ChecksumAlgorithm": "CRC32",
            "ChecksumType": "COMPOSITE", "Owner": {"ID": "id", "DisplayName": "name"},
            "Initiator": {"ID": "id", "DisplayName": "name"},
        }
    ]  # fmt: skip


def test_parts_are_read_by_the_sdk() -> None:
    got = read("ListParts", list_documents.list_parts("bucket", Upload(), [Part(checksum=Checksum())], owner=OWNER))
    assert got["Parts"] == [
        {"PartNumber": 1, "LastModified": AT, "ETag": '"abc"', "Size": 5, "ChecksumCRC32": "AAAAAA=="}
    ]
    assert (got["PartNumberMarker"], got["NextPartNumberMarker"]) == (0, 1)


def test_buckets_are_read_by_the_sdk() -> None:
    got = read("ListBuckets", list_documents.list_buckets([Bucket()], OWNER, regions=True, continuation_token="t"))
    assert got["Buckets"] == [{"Name": "bucket", "CreationDate": AT, "BucketRegion": "here"}]
    assert (got["ContinuationToken"], got["Owner"]) == ("t", {"ID": "id", "DisplayName": "name"})


def test_attributes_are_read_by_the_sdk() -> None:
    body = documents.object_attributes(
        ["ETag", "Checksum", "ObjectParts", "ObjectSize"],
        Object(checksum=Checksum()),
        ObjectParts(2, [Part(2, checksum=Checksum())], marker=1, max_parts=1),
    )
    assert read("GetObjectAttributes", body) == {
        "ETag": "abc",
        "Checksum": {"ChecksumCRC32": "AAAAAA==", "ChecksumType": "FULL_OBJECT"},
        "ObjectParts": {
            "TotalPartsCount": 2, "PartNumberMarker": 1, "NextPartNumberMarker": 2, "MaxParts": 1,
            "IsTruncated": False, "Parts": [{"PartNumber": 2, "Size": 5, "ChecksumCRC32": "AAAAAA=="}],
        },
        "ObjectSize": 5,
    }  # fmt: skip


def test_a_copy_is_read_by_the_sdk() -> None:
    assert read("CopyObject", documents.copy_object("abc", AT_MS, Checksum())) == {
        "CopyObjectResult": {
            "ETag": '"abc"', "LastModified": AT, "ChecksumCRC32": "AAAAAA==", "ChecksumType": "FULL_OBJECT"
        }
    }  # fmt: skip


def test_deletes_are_read_by_the_sdk() -> None:
    body = documents.delete_result([(b"a", None, None), (b"b", "null", S3Error("PreconditionFailed"))])
    assert read("DeleteObjects", body) == {
        "Deleted": [{"Key": "a"}],
        "Errors": [
            {
                "Key": "b", "VersionId": "null", "Code": "PreconditionFailed",
                "Message": "At least one of the pre-conditions you specified did not hold",
            }
        ],
    }  # fmt: skip


def test_tags_are_read_by_the_sdk() -> None:
    assert read("GetObjectTagging", documents.tagging([("a", "<")])) == {"TagSet": [{"Key": "a", "Value": "<"}]}


@given(st.binary(min_size=1, max_size=30))
def test_any_key_leaves_the_page_well_formed(key: bytes) -> None:
    body = list_documents.list_objects("bucket", rows=list_entries([(key, Object())]), prefixes=[key], prefix=key)
    expat.ParserCreate().Parse(body, True)


@given(st.binary(min_size=1, max_size=30))
def test_a_key_in_url_encoding_comes_back_whole(key: bytes) -> None:

    body = list_documents.list_objects("bucket", rows=list_entries([(key, Object())], encode=True), encode=True)
    assert unquote_to_bytes(read("ListObjects", body)["Contents"][0]["Key"]) == key


def test_attributes_are_asked_for_by_name() -> None:
    headers = [(b"x-amz-object-attributes", b"ETag, ObjectSize"), (b"x-amz-object-attributes", b"Checksum")]
    assert parse_attributes(headers) == {"ETag", "ObjectSize", "Checksum"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "InvalidRequest"),
        ([(b"x-amz-object-attributes", b"ETag,Colour")], "InvalidArgument"),
        ([(b"x-amz-object-attributes", b"")], "InvalidArgument"),
    ],
)
def test_attributes_that_there_are_not_are_refused(headers: list[tuple[bytes, bytes]], code: str) -> None:
    with pytest.raises(S3Error) as error:
        parse_attributes(headers)
    assert error.value.code == code
