"""Checksums of every kind: given by the client, kept by the remote, shown again."""

from __future__ import annotations

import pytest

from contract.multipart import MIN_PART_BYTES, upload_parts
from contract.wire import UNSIGNED_PAYLOAD, checksum

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
BODY = b"checksummed " * 5000


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_sdk_computes_it(s3, direct, bucket, key, algorithm):
    answer = s3.put_object(Bucket=bucket, Key=key, Body=BODY, ChecksumAlgorithm=algorithm)
    assert answer[f"Checksum{algorithm}"] == checksum(algorithm, BODY)
    shown = direct.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert shown[f"Checksum{algorithm}"] == checksum(algorithm, BODY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_client_gives_it(s3, direct, bucket, key, algorithm):
    value = checksum(algorithm, BODY)
    s3.put_object(Bucket=bucket, Key=key, Body=BODY, **{f"Checksum{algorithm}": value})
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
    assert direct.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")[f"Checksum{algorithm}"] == value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_header_goes_on_to_the_remote(recorded, algorithm):
    name, value = f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, BODY)
    answer = recorded.wire.send("PUT", "/bucket/key", [(name, value)], BODY, payload=UNSIGNED_PAYLOAD)
    assert answer.status == 200
    request = recorded.recorder.take()
    assert request.header(name) == value
    assert request.body == BODY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_get_shows_it_when_asked(s3, direct, bucket, key, algorithm):
    direct.put_object(Bucket=bucket, Key=key, Body=BODY, ChecksumAlgorithm=algorithm)
    answer = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert answer[f"Checksum{algorithm}"] == checksum(algorithm, BODY)
    # botocore compares as it reads.
    assert answer["Body"].read() == BODY


def test_head_shows_it_when_asked(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=BODY, ChecksumAlgorithm="SHA256")
    answer = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert answer["ChecksumSHA256"] == checksum("SHA256", BODY)


def test_default_of_the_sdk_is_kept(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=BODY)
    shown = direct.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert shown["ChecksumCRC32"] == checksum("CRC32", BODY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_parts_have_theirs(s3, direct, bucket, key, algorithm):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm)["UploadId"]
    answer = s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=BODY, ChecksumAlgorithm=algorithm
    )
    assert answer[f"Checksum{algorithm}"] == checksum(algorithm, BODY)


def test_composite_checksum_of_a_multipart_upload(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")["UploadId"]
    parts = [b"a" * MIN_PART_BYTES, b"b"]
    done = upload_parts(s3, bucket, key, upload, parts, ChecksumAlgorithm="SHA256")
    for entry, part in zip(done, parts, strict=True):
        entry["ChecksumSHA256"] = checksum("SHA256", part)
    answer = s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    assert answer["ChecksumSHA256"].endswith("-2")
