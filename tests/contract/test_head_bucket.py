"""HeadBucket."""

from __future__ import annotations

from contract.refusals import refused


def test_existing_bucket(s3, bucket):
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_unknown_bucket_is_404_without_a_body(s3, new_bucket, wire):
    with refused("404", 404):
        s3.head_bucket(Bucket=new_bucket)
    # The reader finds no byte after the head that is not another answer's.
    assert wire.send("HEAD", f"/{new_bucket}").body == b""
