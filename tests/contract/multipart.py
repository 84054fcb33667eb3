"""Multipart uploads made at the remote for tests that need one."""

from __future__ import annotations

MIN_PART_BYTES = 5 << 20


def upload_parts(s3, bucket: str, key: str, upload: str, parts: list[bytes], **extra: object):  # type: ignore[no-untyped-def]
    """Uploads `parts` and returns what CompleteMultipartUpload wants to know of them."""
    return [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part, **extra)[
                "ETag"
            ],
        }
        for number, part in enumerate(parts, 1)
    ]


def put_in_parts(s3, bucket: str, key: str, parts: list[bytes]) -> str:  # type: ignore[no-untyped-def]
    """Puts an object in parts; returns its ETag."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(s3, bucket, key, upload, parts)
    answer = s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    return answer["ETag"]
