"""UploadPart."""

from __future__ import annotations

import hashlib

import pytest

from contract.refusals import refused
from contract.wire import UNSIGNED_PAYLOAD, checksum, md5, wrong


@pytest.fixture
def upload(direct, bucket, key):
    """An open upload at the remote, as arguments."""
    upload_id = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    yield {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    direct.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def test_part_arrives_at_the_remote(s3, direct, upload):
    body = b"part" * 50_000
    etag = s3.upload_part(PartNumber=7, Body=body, **upload)["ETag"]
    [part] = direct.list_parts(**upload)["Parts"]
    assert (part["PartNumber"], part["Size"]) == (7, len(body))
    assert part["ETag"] == etag == f'"{hashlib.md5(body).hexdigest()}"'


def test_part_is_replaced(s3, direct, upload):
    s3.upload_part(PartNumber=1, Body=b"first", **upload)
    s3.upload_part(PartNumber=1, Body=b"second!", **upload)
    assert [part["Size"] for part in direct.list_parts(**upload)["Parts"]] == [7]


def test_unknown_upload(s3, bucket, key):
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key=key, UploadId="0123456789abcdef", PartNumber=1, Body=b"x")


@pytest.mark.parametrize("number", ["0", "10001"])
def test_part_number_out_of_range(wire, upload, number):
    target = f"/{upload['Bucket']}/{upload['Key']}?partNumber={number}&uploadId={upload['UploadId']}"
    answer = wire.send("PUT", target, body=b"x")
    assert (answer.status, answer.error_code) == (400, "InvalidArgument")


@pytest.mark.s3d
@pytest.mark.parametrize("what", ["md5", "crc32", "sha256"])
def test_part_with_a_wrong_digest_is_not_stored(wire, direct, upload, what):
    body = b"part" * 10_000
    if what == "md5":
        header = ("Content-MD5", wrong(md5(body)))
    else:
        header = (f"x-amz-checksum-{what}", wrong(checksum(what, body)))
    target = f"/{upload['Bucket']}/{upload['Key']}?partNumber=1&uploadId={upload['UploadId']}"
    answer = wire.send("PUT", target, [header], body, payload=UNSIGNED_PAYLOAD)
    assert (answer.status, answer.error_code) == (400, "BadDigest")
    assert "Parts" not in direct.list_parts(**upload)
