"""DeleteBucket."""

from __future__ import annotations

from contract.refusals import refused


def test_bucket_is_gone_at_the_remote(s3, direct, own_bucket):
    assert s3.delete_bucket(Bucket=own_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("404", 404):
        direct.head_bucket(Bucket=own_bucket)


def test_bucket_with_an_object_stays(s3, direct, own_bucket):
    direct.put_object(Bucket=own_bucket, Key="k", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=own_bucket)
    direct.head_bucket(Bucket=own_bucket)


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.delete_bucket(Bucket=new_bucket)
