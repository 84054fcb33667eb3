"""GetBucketLocation."""

from __future__ import annotations

from contract.refusals import refused


def test_same_as_at_the_remote(s3, direct, bucket):
    assert s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") == direct.get_bucket_location(
        Bucket=bucket
    ).get("LocationConstraint")


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.get_bucket_location(Bucket=new_bucket)
