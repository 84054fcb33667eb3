"""CreateBucket."""

from __future__ import annotations

from contract.refusals import refused


def test_bucket_is_there_at_the_remote(s3, direct, new_bucket):
    s3.create_bucket(Bucket=new_bucket)
    assert direct.head_bucket(Bucket=new_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_location_names_the_bucket_and_not_the_remote(s3, remote, new_bucket):
    location = s3.create_bucket(Bucket=new_bucket)["Location"]
    assert remote.endpoint not in location
    assert location.rstrip("/").endswith(f"/{new_bucket}")


def test_bucket_that_is_ours_already(s3, own_bucket, remote):
    # In us-east-1 alone S3 answers 200 to an owner's second try, and so does moto.
    if remote.name in ("moto", "standalone"):
        assert s3.create_bucket(Bucket=own_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    else:
        with refused("BucketAlreadyOwnedByYou", 409):
            s3.create_bucket(Bucket=own_bucket)


def test_location_constraint_reaches_the_remote(s3, direct, new_bucket):
    s3.create_bucket(Bucket=new_bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert direct.get_bucket_location(Bucket=new_bucket)["LocationConstraint"] == "eu-central-1"


def test_invalid_name_is_refused(wire):
    assert wire.send("PUT", "/Not_A_Bucket").error_code == "InvalidBucketName"
