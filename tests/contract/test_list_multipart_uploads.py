"""ListMultipartUploads."""

from __future__ import annotations


def test_shows_open_uploads(s3, direct, bucket, key):
    uploads = {
        f"{key}/{name}": direct.create_multipart_upload(Bucket=bucket, Key=f"{key}/{name}")["UploadId"]
        for name in ("a", "b c", "d/e")
    }
    answer = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{key}/")
    assert {one["Key"]: one["UploadId"] for one in answer["Uploads"]} == uploads


def test_delimiter(s3, direct, bucket, key):
    for name in ("a", "d/e", "d/f"):
        direct.create_multipart_upload(Bucket=bucket, Key=f"{key}/{name}")
    answer = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{key}/", Delimiter="/")
    assert [one["Key"] for one in answer["Uploads"]] == [f"{key}/a"]
    assert [one["Prefix"] for one in answer["CommonPrefixes"]] == [f"{key}/d/"]


def test_pages(s3, direct, bucket, key):
    for name in "abc":
        direct.create_multipart_upload(Bucket=bucket, Key=f"{key}/{name}")
    first = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{key}/", MaxUploads=2)
    assert first["IsTruncated"] is True
    second = s3.list_multipart_uploads(
        Bucket=bucket, Prefix=f"{key}/", KeyMarker=first["NextKeyMarker"], UploadIdMarker=first["NextUploadIdMarker"]
    )
    listed = [one["Key"] for one in first["Uploads"] + second["Uploads"]]
    assert listed == [f"{key}/{name}" for name in "abc"]


def test_none(s3, bucket, key):
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{key}-none")
