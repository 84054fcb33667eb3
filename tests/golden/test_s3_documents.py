"""Answers, byte for byte: the Amazon S3 API reference's examples, without the white space between their elements.

Where an example differs from what S3 sends today (quotes around an ETag, elements that came later), today's form
counts.
"""

from __future__ import annotations

import re

import msgspec
import pytest

from s3d._core.listing import list_entries
from s3d.s3 import documents, list_documents
from s3d.s3.documents import ObjectParts
from s3d.s3.elements import Owner, owner_element
from s3d.s3.errors import S3Error


class Checksum(msgspec.Struct):
    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"


class Object(msgspec.Struct):
    size_bytes: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"
    checksum: Checksum | None = None


class Bucket(msgspec.Struct):
    name: str
    created_ms: int
    region: str = ""


class Upload(msgspec.Struct):
    key: bytes
    upload_id: str
    created_ms: int = 0
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum_kind: str = ""


class Part(msgspec.Struct):
    number: int
    size_bytes: int
    etag: str = ""
    modified_ms: int = 0
    checksum: Checksum | None = None


OCTOBER_2009 = 1_255_369_830_000  # 2009-10-12T17:50:30Z
OWNER = Owner("75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a", "mtd@amazon.com")
OWNER_XML = f"<Owner><ID>{OWNER.id}</ID><DisplayName>mtd@amazon.com</DisplayName></Owner>"
ETAG = "fba9dede5f27731c9771645a39863328"
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def laid_out(xml: str) -> bytes:
    """The document that is written here over several lines."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + re.sub(r"\n\s*", "", xml).encode()


def test_list_buckets() -> None:
    expected = f"""
    <ListAllMyBucketsResult {XMLNS}>
      {OWNER_XML}
      <Buckets>
        <Bucket><Name>quotes</Name><CreationDate>2009-10-12T17:50:30.000Z</CreationDate>
          <BucketRegion>us-east-1</BucketRegion></Bucket>
      </Buckets>
      <Prefix>quo</Prefix>
      <ContinuationToken>next</ContinuationToken>
    </ListAllMyBucketsResult>"""
    got = list_documents.list_buckets(
        [Bucket("quotes", OCTOBER_2009, "us-east-1")], OWNER, regions=True, prefix="quo", continuation_token="next"
    )
    assert got == laid_out(expected)


def test_list_objects() -> None:
    # ListObjects, "Sample Response for general purpose buckets: List objects using max-keys, marker and prefix".
    expected = f"""
    <ListBucketResult {XMLNS}>
      <Name>quotes</Name><Prefix>N</Prefix><Marker>Ned</Marker><MaxKeys>40</MaxKeys><IsTruncated>false</IsTruncated>
      <Contents>
        <Key>Nelson</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>
        <ETag>&quot;{ETAG}&quot;</ETag>
        <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>
        <Size>5</Size>{OWNER_XML}<StorageClass>STANDARD</StorageClass>
      </Contents>
    </ListBucketResult>"""
    item = Object(5, ETAG, OCTOBER_2009, checksum=Checksum("CRC32", "AAAAAA=="))
    got = list_documents.list_objects(
        "quotes",
        rows=list_entries([(b"Nelson", item)], owner=owner_element(OWNER).encode()),
        prefix=b"N",
        marker=b"Ned",
        max_keys=40,
    )
    assert got == laid_out(expected)


def test_list_objects_with_a_delimiter() -> None:
    expected = f"""
    <ListBucketResult {XMLNS}>
      <Name>example-bucket</Name><Prefix></Prefix><Marker></Marker><NextMarker>photos/</NextMarker>
      <MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
      <Contents>
        <Key>a%20sample%2B%FF.jpg</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>
        <ETag>&quot;{ETAG}&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>
      </Contents>
      <CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes>
    </ListBucketResult>"""
    item = Object(5, ETAG, OCTOBER_2009)
    got = list_documents.list_objects(
        "example-bucket",
        rows=list_entries([(b"a sample+\xff.jpg", item)], encode=True),
        prefixes=[b"photos/"],
        next_marker=b"photos/",
        max_keys=2,
        delimiter=b"/",
        truncated=True,
        encode=True,
    )
    assert got == laid_out(expected)


def test_list_objects_v2() -> None:
    # ListObjectsV2, "Sample Request for general purpose buckets: Using a continuation token".
    expected = f"""
    <ListBucketResult {XMLNS}>
      <Name>bucket</Name><Prefix></Prefix>
      <ContinuationToken>1ueGcxLPRx1Tr</ContinuationToken><NextContinuationToken>1uerHx</NextContinuationToken>
      <StartAfter>ExampleGuide.pdf</StartAfter>
      <KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>
      <Contents>
        <Key>happyfacex.jpg</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified>
        <ETag>&quot;{ETAG}&quot;</ETag><Size>11</Size><StorageClass>STANDARD</StorageClass>
      </Contents>
    </ListBucketResult>"""
    got = list_documents.list_objects_v2(
        "bucket",
        rows=list_entries([(b"happyfacex.jpg", Object(11, ETAG, OCTOBER_2009))]),
        key_count=1,
        continuation_token="1ueGcxLPRx1Tr",
        next_continuation_token="1uerHx",
        start_after=b"ExampleGuide.pdf",
        truncated=True,
    )
    assert got == laid_out(expected)


def test_list_object_versions() -> None:
    expected = f"""
    <ListVersionsResult {XMLNS}>
      <Name>bucket</Name><Prefix>my</Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>
      <NextKeyMarker>my-image.jpg</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>
      <MaxKeys>5</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>
      <Version>
        <Key>my-image.jpg</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>
        <LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag>
        <Size>434234</Size>{OWNER_XML}<StorageClass>STANDARD</StorageClass>
      </Version>
      <CommonPrefixes><Prefix>my/</Prefix></CommonPrefixes>
    </ListVersionsResult>"""
    got = list_documents.list_object_versions(
        "bucket",
        rows=list_entries(
            [(b"my-image.jpg", Object(434234, ETAG, OCTOBER_2009))], owner=owner_element(OWNER).encode(), versions=True
        ),
        prefixes=[b"my/"],
        prefix=b"my",
        next_key_marker=b"my-image.jpg",
        next_version_id_marker="null",
        max_keys=5,
        delimiter=b"/",
        truncated=True,
    )
    assert got == laid_out(expected)


def test_list_multipart_uploads() -> None:
    expected = f"""
    <ListMultipartUploadsResult {XMLNS}>
      <Bucket>bucket</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>
      <NextKeyMarker>my-movie.m2ts</NextKeyMarker><NextUploadIdMarker>YW55</NextUploadIdMarker>
      <Delimiter>/</Delimiter><Prefix></Prefix><MaxUploads>3</MaxUploads><IsTruncated>true</IsTruncated>
      <Upload>
        <Key>my-movie.m2ts</Key><UploadId>YW55</UploadId>
        <Initiator><ID>{OWNER.id}</ID><DisplayName>mtd@amazon.com</DisplayName></Initiator>{OWNER_XML}
        <StorageClass>STANDARD</StorageClass><Initiated>2009-10-12T17:50:30.000Z</Initiated>
        <ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>
      </Upload>
      <CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes>
    </ListMultipartUploadsResult>"""
    upload = Upload(b"my-movie.m2ts", "YW55", OCTOBER_2009, checksum_algorithm="SHA256", checksum_kind="COMPOSITE")
    got = list_documents.list_multipart_uploads(
        "bucket",
        rows=list_documents.upload_row(upload, owner=OWNER),
        prefixes=[b"photos/"],
        next_key_marker=b"my-movie.m2ts",
        next_upload_id_marker="YW55",
        max_uploads=3,
        delimiter=b"/",
        truncated=True,
    )
    assert got == laid_out(expected)


def test_list_parts() -> None:
    expected = f"""
    <ListPartsResult {XMLNS}>
      <Bucket>example-bucket</Bucket><Key>example-object</Key><UploadId>XXBsb2Fk</UploadId>
      <PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>3</NextPartNumberMarker>
      <MaxParts>2</MaxParts><IsTruncated>true</IsTruncated>
      <Part>
        <PartNumber>2</PartNumber><LastModified>2009-10-12T17:50:30.000Z</LastModified>
        <ETag>&quot;7778aef83f66abc1fa1e8477f296d394&quot;</ETag><Size>10485760</Size>
        <ChecksumCRC32>AAAAAA==</ChecksumCRC32>
      </Part>
      <Part>
        <PartNumber>3</PartNumber><LastModified>2009-10-12T17:50:30.000Z</LastModified>
        <ETag>&quot;aaaa18db4cc2f85cedef654fccc4a4x8&quot;</ETag><Size>10485760</Size>
      </Part>
      <Initiator><ID>{OWNER.id}</ID><DisplayName>mtd@amazon.com</DisplayName></Initiator>{OWNER_XML}
      <StorageClass>STANDARD</StorageClass>
      <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>
    </ListPartsResult>"""
    parts = [
        Part(2, 10485760, "7778aef83f66abc1fa1e8477f296d394", OCTOBER_2009, Checksum("CRC32", "AAAAAA==")),
        Part(3, 10485760, "aaaa18db4cc2f85cedef654fccc4a4x8", OCTOBER_2009),
    ]
    upload = Upload(b"example-object", "XXBsb2Fk", checksum_algorithm="CRC32", checksum_kind="FULL_OBJECT")
    got = list_documents.list_parts(
        "example-bucket", upload, parts, owner=OWNER, part_number_marker=1, max_parts=2, truncated=True
    )
    assert got == laid_out(expected)


def test_create_multipart_upload() -> None:
    expected = f"""
    <InitiateMultipartUploadResult {XMLNS}>
      <Bucket>example-bucket</Bucket><Key>example-object</Key><UploadId>VXBsb2FkIElE</UploadId>
    </InitiateMultipartUploadResult>"""
    got = documents.initiate_multipart_upload("example-bucket", b"example-object", "VXBsb2FkIElE")
    assert got == laid_out(expected)


def test_complete_multipart_upload() -> None:
    expected = f"""
    <CompleteMultipartUploadResult {XMLNS}>
      <Location>http://Example-Bucket.s3.Region.amazonaws.com/Example-Object</Location>
      <Bucket>Example-Bucket</Bucket><Key>Example-Object</Key>
      <ETag>&quot;3858f62230ac3c915f300c664312c11f-9&quot;</ETag>
      <ChecksumSHA256>abc-9</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType>
    </CompleteMultipartUploadResult>"""
    got = documents.complete_multipart_upload(
        "http://Example-Bucket.s3.Region.amazonaws.com/Example-Object",
        "Example-Bucket",
        b"Example-Object",
        "3858f62230ac3c915f300c664312c11f-9",
        Checksum("SHA256", "abc-9", "COMPOSITE"),
    )
    assert got == laid_out(expected)


def test_copy_object() -> None:
    expected = f"""
    <CopyObjectResult {XMLNS}>
      <LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>
      <ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>
    </CopyObjectResult>"""
    got = documents.copy_object("9b2cf535f27731c974343645a3985328", OCTOBER_2009, Checksum("CRC64NVME", "AAAAAAAAAAA="))
    assert got == laid_out(expected)


def test_upload_part_copy() -> None:
    expected = f"""
    <CopyPartResult {XMLNS}>
      <LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>
      <ChecksumCRC32>AAAAAA==</ChecksumCRC32>
    </CopyPartResult>"""
    got = documents.copy_part("9b2cf535f27731c974343645a3985328", OCTOBER_2009, Checksum("CRC32", "AAAAAA=="))
    assert got == laid_out(expected)


RESULTS = [(b"sample1.txt", None, None), (b"sample2.txt", "null", S3Error("AccessDenied"))]


def test_delete_objects() -> None:
    # DeleteObjects, "Multi-object delete resulting in mixed success/error response".
    expected = f"""
    <DeleteResult {XMLNS}>
      <Deleted><Key>sample1.txt</Key></Deleted>
      <Error><Key>sample2.txt</Key><VersionId>null</VersionId><Code>AccessDenied</Code>
        <Message>Access Denied</Message></Error>
    </DeleteResult>"""
    assert documents.delete_result(RESULTS) == laid_out(expected)


def test_delete_objects_quietly() -> None:
    expected = f"""
    <DeleteResult {XMLNS}>
      <Error><Key>sample2.txt</Key><VersionId>null</VersionId><Code>AccessDenied</Code>
        <Message>Access Denied</Message></Error>
    </DeleteResult>"""
    assert documents.delete_result(RESULTS, quiet=True) == laid_out(expected)


def test_tagging() -> None:
    expected = f"""
    <Tagging {XMLNS}><TagSet>
      <Tag><Key>Project</Key><Value>Project One</Value></Tag><Tag><Key>User</Key><Value></Value></Tag>
    </TagSet></Tagging>"""
    assert documents.tagging([("Project", "Project One"), ("User", "")]) == laid_out(expected)


@pytest.mark.parametrize(("region", "said"), [("us-west-2", "us-west-2"), ("us-east-1", "")])
def test_get_bucket_location(region: str, said: str) -> None:
    expected = f"<LocationConstraint {XMLNS}>{said}</LocationConstraint>"
    assert documents.location_constraint(region) == laid_out(expected)


def test_get_object_attributes() -> None:
    expected = f"""
    <GetObjectAttributesResponse {XMLNS}>
      <ETag>{ETAG}</ETag>
      <Checksum><ChecksumSHA256>abc-4</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType></Checksum>
      <ObjectParts><PartsCount>4</PartsCount><PartNumberMarker>1</PartNumberMarker>
        <NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>
        <Part><PartNumber>2</PartNumber><Size>5</Size><ChecksumSHA256>def</ChecksumSHA256></Part></ObjectParts>
      <StorageClass>STANDARD</StorageClass><ObjectSize>20</ObjectSize>
    </GetObjectAttributesResponse>"""
    item = Object(20, ETAG, OCTOBER_2009, checksum=Checksum("SHA256", "abc-4", "COMPOSITE"))
    part = Part(2, 5, checksum=Checksum("SHA256", "def", "COMPOSITE"))
    got = documents.object_attributes(
        ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"],
        item,
        ObjectParts(4, [part], marker=1, max_parts=1, truncated=True),
    )
    assert got == laid_out(expected)


def test_get_object_attributes_says_what_is_asked() -> None:
    expected = f"<GetObjectAttributesResponse {XMLNS}><ObjectSize>20</ObjectSize></GetObjectAttributesResponse>"
    assert documents.object_attributes(["ObjectSize"], Object(20, ETAG, OCTOBER_2009)) == laid_out(expected)
