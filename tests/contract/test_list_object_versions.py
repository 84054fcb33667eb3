"""ListObjectVersions."""

from __future__ import annotations


def test_versions_and_markers(s3, direct, own_bucket):
    direct.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=own_bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=own_bucket, Key="k", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=own_bucket, Key="k")["VersionId"]
    answer = s3.list_object_versions(Bucket=own_bucket, Prefix="k")
    assert [one["VersionId"] for one in answer["Versions"]] == [second, first]
    assert [(one["VersionId"], one["IsLatest"]) for one in answer["DeleteMarkers"]] == [(marker, True)]


def test_bucket_without_versioning_has_null_versions(s3, direct, own_bucket):
    direct.put_object(Bucket=own_bucket, Key="k", Body=b"1")
    answer = s3.list_object_versions(Bucket=own_bucket)
    assert [(one["Key"], one["VersionId"]) for one in answer["Versions"]] == [("k", "null")]
