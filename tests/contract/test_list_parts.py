"""ListParts."""

from __future__ import annotations

import pytest

from contract.multipart import upload_parts
from contract.refusals import refused


@pytest.fixture
def upload(direct, bucket, key):
    """An open upload of three small parts at the remote, as arguments."""
    upload_id = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    upload_parts(direct, bucket, key, upload_id, [b"1", b"22", b"333"])
    return {"Bucket": bucket, "Key": key, "UploadId": upload_id}


def test_shows_the_parts(s3, upload):
    answer = s3.list_parts(**upload)
    assert [(part["PartNumber"], part["Size"]) for part in answer["Parts"]] == [(1, 1), (2, 2), (3, 3)]
    assert (answer["Bucket"], answer["Key"], answer["UploadId"]) == tuple(upload.values())


def test_pages(s3, upload):
    pages = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2})
    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 2], [3]]


def test_unknown_upload(s3, bucket, key):
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key=key, UploadId="0123456789abcdef")
