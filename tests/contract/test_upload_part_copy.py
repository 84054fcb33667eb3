"""UploadPartCopy."""

from __future__ import annotations

import pytest
from boto3.s3.transfer import TransferConfig

from contract.multipart import MIN_PART_BYTES
from contract.refusals import refused


@pytest.fixture
def upload(direct, bucket, key):
    """An open upload at the remote, as arguments, with a source beside it."""
    direct.put_object(Bucket=bucket, Key=f"{key}-from", Body=b"0123456789" * 100)
    upload_id = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    return {"Bucket": bucket, "Key": key, "UploadId": upload_id}


def test_part_is_a_copy(s3, direct, upload):
    source = {"Bucket": upload["Bucket"], "Key": f"{upload['Key']}-from"}
    etag = s3.upload_part_copy(CopySource=source, PartNumber=1, **upload)["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **upload)
    stored = direct.get_object(Bucket=upload["Bucket"], Key=upload["Key"])["Body"].read()
    assert stored == b"0123456789" * 100


def test_part_is_a_range_of_the_source(s3, direct, upload):
    source = {"Bucket": upload["Bucket"], "Key": f"{upload['Key']}-from"}
    etag = s3.upload_part_copy(CopySource=source, CopySourceRange="bytes=5-14", PartNumber=1, **upload)[
        "CopyPartResult"
    ]["ETag"]
    s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}, **upload)
    assert direct.get_object(Bucket=upload["Bucket"], Key=upload["Key"])["Body"].read() == b"5678901234"


def test_managed_copy_of_a_large_object(s3, direct, bucket, key):
    body = b"0123456789abcdef" * (MIN_PART_BYTES // 16) * 2 + b"end"
    direct.put_object(Bucket=bucket, Key=f"{key}-from", Body=body)
    config = TransferConfig(multipart_threshold=MIN_PART_BYTES, multipart_chunksize=MIN_PART_BYTES, use_threads=False)
    s3.copy({"Bucket": bucket, "Key": f"{key}-from"}, bucket, key, Config=config)
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_unknown_source(s3, upload):
    source = {"Bucket": upload["Bucket"], "Key": f"{upload['Key']}-none"}
    with refused("NoSuchKey", 404):
        s3.upload_part_copy(CopySource=source, PartNumber=1, **upload)
