"""GetObjectAttributes."""

from __future__ import annotations

from contract.multipart import MIN_PART_BYTES, put_in_parts
from contract.refusals import refused

EVERYTHING = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]


def test_size_and_etag(s3, direct, bucket, key):
    etag = direct.put_object(Bucket=bucket, Key=key, Body=b"12345")["ETag"]
    answer = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["ETag", "ObjectSize"])
    assert (answer["ETag"], answer["ObjectSize"]) == (etag.strip('"'), 5)


def test_same_as_at_the_remote(s3, direct, bucket, key):
    put_in_parts(direct, bucket, key, [b"a" * MIN_PART_BYTES, b"b"])
    answers = [one.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=EVERYTHING) for one in (s3, direct)]
    for one in answers:
        del one["ResponseMetadata"]
    assert answers[0] == answers[1]
    assert answers[0]["ObjectSize"] == MIN_PART_BYTES + 1


def test_unknown_key(s3, bucket, key):
    with refused("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["ETag"])
