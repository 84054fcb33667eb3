"""CompleteMultipartUpload."""

from __future__ import annotations

import hashlib
import io
import re

import pytest
from boto3.s3.transfer import TransferConfig

from contract.multipart import MIN_PART_BYTES, upload_parts
from contract.refusals import missing, refused
from contract.wire import checksum

PARTS = [b"a" * MIN_PART_BYTES, b"b" * (MIN_PART_BYTES + 1), b"the end"]


def test_parts_become_the_object(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(s3, bucket, key, upload, PARTS)
    answer = s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in PARTS)).hexdigest()
    assert answer["ETag"] == f'"{digest}-3"'
    assert (answer["Bucket"], answer["Key"]) == (bucket, key)
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"".join(PARTS)


@pytest.mark.s3d
def test_location_names_what_the_client_addressed(s3, setup, bucket, key):
    name = f"{key}/ü &+b"
    upload = s3.create_multipart_upload(Bucket=bucket, Key=name)["UploadId"]
    done = upload_parts(s3, bucket, name, upload, [b"x"])
    answer = s3.complete_multipart_upload(Bucket=bucket, Key=name, UploadId=upload, MultipartUpload={"Parts": done})
    # S3 encodes the slash as well, here and nowhere else.
    assert answer["Location"] == f"{setup.endpoint}/{bucket}/{key}%2F%C3%BC%20%26%2Bb"


def test_managed_upload_of_a_large_object(s3, direct, bucket, key):
    body = bytes(range(256)) * 4 * 11_000
    config = TransferConfig(multipart_threshold=MIN_PART_BYTES, multipart_chunksize=MIN_PART_BYTES, use_threads=False)
    s3.upload_fileobj(io.BytesIO(body), bucket, key, Config=config)
    stored = direct.get_object(Bucket=bucket, Key=key)
    assert stored["Body"].read() == body
    assert stored["ETag"].endswith('-3"')


def test_only_the_parts_that_are_named(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(s3, bucket, key, upload, [b"a" * MIN_PART_BYTES, b"left out", b"the end"])
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": [done[0], done[2]]})
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"a" * MIN_PART_BYTES + b"the end"


def test_part_that_was_never_uploaded(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    upload_parts(s3, bucket, key, upload, [b"a"])
    with refused("InvalidPart", 400):
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": '"0cc175b9c0f1b6a831c399e269772661"'}]},
        )
    assert missing(direct, bucket, key)


def test_parts_out_of_order(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(s3, bucket, key, upload, [b"a" * MIN_PART_BYTES, b"b"])
    with refused("InvalidPartOrder", 400):
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done[::-1]})
    assert missing(direct, bucket, key)


def test_part_that_is_too_small(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(s3, bucket, key, upload, [b"a", b"b"])
    with refused("EntityTooSmall", 400):
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    assert missing(direct, bucket, key)


def test_unknown_upload(s3, bucket, key):
    with refused("NoSuchUpload", 404):
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId="0123456789abcdef",
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "e"}]},
        )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
def test_checksum_of_the_whole_object(s3, direct, bucket, key, algorithm):
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
    )["UploadId"]
    done = upload_parts(s3, bucket, key, upload, PARTS, ChecksumAlgorithm=algorithm)
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": done},
        ChecksumType="FULL_OBJECT",
        **{f"Checksum{algorithm}": checksum(algorithm, b"".join(PARTS))},
    )
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"".join(PARTS)


@pytest.mark.s3d
def test_answer_is_a_document_with_one_location(wire, direct, bucket, key):
    upload = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    [done] = upload_parts(direct, bucket, key, upload, [b"x"])
    body = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{done['ETag']}</ETag></Part></CompleteMultipartUpload>"
    )
    answer = wire.send("POST", f"/{bucket}/{key}?uploadId={upload}", body=body.encode())
    assert answer.status == 200
    [location] = re.findall(rb"<Location>([^<]*)</Location>", answer.body)
    assert location == f"{wire.endpoint}/{bucket}/{key}".encode()
