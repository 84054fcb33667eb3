"""GetObject."""

from __future__ import annotations

import datetime
import gzip

import pytest

from contract.refusals import refused

BODY = bytes(range(256)) * 40


@pytest.fixture
def stored(direct, bucket, key):
    """An object put at the remote, with its ETag and time."""
    answer = direct.put_object(Bucket=bucket, Key=key, Body=BODY, ContentType="x/y", Metadata={"who": "me"})
    modified = direct.head_object(Bucket=bucket, Key=key)["LastModified"]
    return {"Bucket": bucket, "Key": key, "ETag": answer["ETag"], "LastModified": modified}


@pytest.fixture
def where(stored):
    return {"Bucket": stored["Bucket"], "Key": stored["Key"]}


def test_whole_object(s3, where, stored):
    answer = s3.get_object(**where)
    assert answer["Body"].read() == BODY
    assert answer["ContentLength"] == len(BODY)
    assert answer["ETag"] == stored["ETag"]
    assert answer["LastModified"] == stored["LastModified"]
    assert answer["ContentType"] == "x/y"
    assert answer["Metadata"] == {"who": "me"}
    assert answer["AcceptRanges"] == "bytes"


def test_empty_object(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = s3.get_object(Bucket=bucket, Key=key)
    assert answer["ContentLength"] == 0
    assert answer["Body"].read() == b""


def test_large_object(s3, direct, bucket, key):
    body = BODY * 800
    direct.put_object(Bucket=bucket, Key=key, Body=body)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=10000-", 10000, 10239),
        ("bytes=-5", 10235, 10239),
        ("bytes=10000-99999", 10000, 10239),
        ("bytes=-99999", 0, 10239),
    ],
)
def test_range(s3, where, asked, first, last):
    answer = s3.get_object(Range=asked, **where)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == f"bytes {first}-{last}/{len(BODY)}"
    assert answer["ContentLength"] == last - first + 1
    assert answer["Body"].read() == BODY[first : last + 1]


def test_range_behind_the_end(s3, where):
    with refused("InvalidRange", 416):
        s3.get_object(Range=f"bytes={len(BODY)}-", **where)


@pytest.mark.parametrize("asked", ["bytes=5-2", "lines=1-2", "bytes=a-b"])
def test_range_that_is_none_gives_the_whole_object(s3, where, asked):
    answer = s3.get_object(Range=asked, **where)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["Body"].read() == BODY


def test_if_match(s3, where, stored):
    assert s3.get_object(IfMatch=stored["ETag"], **where)["Body"].read() == BODY


def test_if_match_of_another(s3, where):
    with refused("PreconditionFailed", 412):
        s3.get_object(IfMatch='"00000000000000000000000000000000"', **where)


def test_if_none_match(s3, where):
    assert s3.get_object(IfNoneMatch='"0000"', **where)["Body"].read() == BODY


def test_if_none_match_of_this_one_is_304(s3, where, stored):
    with refused("304", 304):
        s3.get_object(IfNoneMatch=stored["ETag"], **where)


def test_304_has_the_etag_and_no_body(wire, stored):
    answer = wire.send("GET", f"/{stored['Bucket']}/{stored['Key']}", [("If-None-Match", stored["ETag"])])
    assert (answer.status, answer.body) == (304, b"")
    assert answer.header(b"etag") == stored["ETag"].encode()


def test_if_modified_since(s3, where, stored):
    before = stored["LastModified"] - datetime.timedelta(hours=1)
    assert s3.get_object(IfModifiedSince=before, **where)["Body"].read() == BODY
    with refused("304", 304):
        s3.get_object(IfModifiedSince=stored["LastModified"], **where)


def test_if_unmodified_since(s3, where, stored):
    assert s3.get_object(IfUnmodifiedSince=stored["LastModified"], **where)["Body"].read() == BODY
    with refused("PreconditionFailed", 412):
        s3.get_object(IfUnmodifiedSince=stored["LastModified"] - datetime.timedelta(hours=1), **where)


OVERRIDES = {
    "ResponseContentType": "text/plain; charset=utf-8",
    "ResponseContentDisposition": 'attachment; filename="ä b.txt"',
    "ResponseContentLanguage": "mi, en",
    "ResponseCacheControl": "no-cache",
    "ResponseContentEncoding": "identity",
}


@pytest.mark.parametrize("option", [name for name in OVERRIDES if name != "ResponseContentDisposition"])
def test_response_header_is_overridden(s3, where, option):
    answer = s3.get_object(**{option: OVERRIDES[option]}, **where)
    assert answer[option.removeprefix("Response")] == OVERRIDES[option]


def test_content_disposition_is_overridden(s3, where):
    answer = s3.get_object(ResponseContentDisposition='attachment; filename="a b+c.txt"', **where)
    assert answer["ContentDisposition"] == 'attachment; filename="a b+c.txt"'


def test_expires_is_overridden(s3, where):
    moment = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    answer = s3.get_object(ResponseExpires=moment, **where)
    assert answer["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT"


def test_compressed_object_is_not_unpacked(s3, direct, bucket, key):
    packed = gzip.compress(b"text " * 1000)
    direct.put_object(Bucket=bucket, Key=key, Body=packed, ContentEncoding="gzip")
    answer = s3.get_object(Bucket=bucket, Key=key)
    assert answer["ContentEncoding"] == "gzip"
    assert answer["Body"].read() == packed


def test_part_number(s3, direct, bucket, key):
    parts = [b"a" * (5 << 20), b"b" * 1000]
    upload = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = [
        {
            "PartNumber": number,
            "ETag": direct.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, 1)
    ]
    direct.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    answer = s3.get_object(Bucket=bucket, Key=key, PartNumber=2)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["PartsCount"] == 2
    assert answer["Body"].read() == parts[1]


def test_version_id(s3, direct, own_bucket):
    direct.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=own_bucket, Key="k", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=own_bucket, Key="k", Body=b"second")["VersionId"]
    assert s3.get_object(Bucket=own_bucket, Key="k", VersionId=first)["Body"].read() == b"first"
    assert s3.get_object(Bucket=own_bucket, Key="k")["VersionId"] == second


def test_unknown_key(s3, bucket, key):
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key=key)


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket=new_bucket, Key="k")


def test_error_carries_a_request_id(wire, bucket, key):
    answer = wire.send("GET", f"/{bucket}/{key}")
    assert answer.status == 404
    assert answer.header(b"x-amz-request-id")
    assert answer.header(b"content-type") in (b"application/xml", b"text/xml", b"application/xml; charset=utf-8")
