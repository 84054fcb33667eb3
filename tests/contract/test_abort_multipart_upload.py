"""AbortMultipartUpload."""

from __future__ import annotations

from contract.multipart import upload_parts
from contract.refusals import missing, refused


def test_upload_is_gone_at_the_remote(s3, direct, bucket, key):
    upload = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    upload_parts(direct, bucket, key, upload, [b"x"])
    answer = s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "Uploads" not in direct.list_multipart_uploads(Bucket=bucket, Prefix=key)
    assert missing(direct, bucket, key)


def test_unknown_upload(s3, bucket, key):
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId="0123456789abcdef")
