"""CreateMultipartUpload."""

from __future__ import annotations

from contract.multipart import upload_parts
from contract.refusals import refused


def test_upload_is_open_at_the_remote(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)
    assert (upload["Bucket"], upload["Key"]) == (bucket, key)
    open_uploads = direct.list_multipart_uploads(Bucket=bucket, Prefix=key)["Uploads"]
    assert [(one["Key"], one["UploadId"]) for one in open_uploads] == [(key, upload["UploadId"])]


def test_metadata_type_and_tags_are_those_of_the_object(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key=key, Metadata={"who": "me"}, ContentType="x/y", Tagging="a=1"
    )["UploadId"]
    done = upload_parts(s3, bucket, key, upload, [b"only"])
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    stored = direct.head_object(Bucket=bucket, Key=key)
    assert (stored["Metadata"], stored["ContentType"]) == ({"who": "me"}, "x/y")
    assert direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.create_multipart_upload(Bucket=new_bucket, Key="k")
