"""DeleteObject."""

from __future__ import annotations

from contract.refusals import missing, refused


def test_object_is_gone_at_the_remote(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert missing(direct, bucket, key)


def test_unknown_key_is_no_error(s3, bucket, key):
    assert s3.delete_object(Bucket=bucket, Key=key)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.delete_object(Bucket=new_bucket, Key="k")


def test_other_objects_stay(s3, direct, bucket, key):
    for name in (key, f"{key}/", f"{key}/below", f"{key}x"):
        direct.put_object(Bucket=bucket, Key=name, Body=b"x")
    s3.delete_object(Bucket=bucket, Key=f"{key}/below")
    listed = [one["Key"] for one in direct.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]]
    assert listed == [key, f"{key}/", f"{key}x"]


def test_delete_marker_and_version(s3, direct, own_bucket):
    direct.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    version = direct.put_object(Bucket=own_bucket, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=own_bucket, Key="k")
    assert marker["DeleteMarker"] is True
    assert missing(direct, own_bucket, "k")
    s3.delete_object(Bucket=own_bucket, Key="k", VersionId=marker["VersionId"])
    assert direct.get_object(Bucket=own_bucket, Key="k")["VersionId"] == version
