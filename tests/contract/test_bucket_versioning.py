"""PutBucketVersioning, GetBucketVersioning."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_state_is_set_and_read(s3, direct, own_bucket, status):
    s3.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": status})
    assert direct.get_bucket_versioning(Bucket=own_bucket)["Status"] == status
    assert s3.get_bucket_versioning(Bucket=own_bucket)["Status"] == status


def test_fresh_bucket_has_no_state(s3, own_bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=own_bucket)
