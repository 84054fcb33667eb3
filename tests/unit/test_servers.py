"""The servers that the other tests lean on are there and answer boto3."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from servers.remotes import Credentials, Remote, client


def test_remote_gives_back_what_was_put(remote: Remote) -> None:
    s3 = remote.client()
    s3.create_bucket(Bucket="servers-put")
    s3.put_object(Bucket="servers-put", Key="a/b c+d", Body=b"bytes")
    assert s3.get_object(Bucket="servers-put", Key="a/b c+d")["Body"].read() == b"bytes"
    s3.delete_object(Bucket="servers-put", Key="a/b c+d")
    s3.delete_bucket(Bucket="servers-put")


def test_seaweedfs_refuses_a_wrong_secret(seaweedfs: Remote) -> None:
    wrong = Credentials(seaweedfs.credentials.access_key_id, "not the secret")
    with pytest.raises(ClientError) as refused:
        client(seaweedfs.endpoint, wrong).list_buckets()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_seaweedfs_refuses_an_unknown_bucket(seaweedfs: Remote) -> None:
    with pytest.raises(ClientError) as refused:
        seaweedfs.client().put_object(Bucket="nobody-made-this", Key="k", Body=b"x")
    assert refused.value.response["Error"]["Code"] == "NoSuchBucket"


def test_bucket_is_cleaned_up_whatever_lies_in_it(bucket: str, direct) -> None:  # type: ignore[no-untyped-def]
    direct.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    direct.put_object(Bucket=bucket, Key="a//b", Body=b"1")
    direct.put_object(Bucket=bucket, Key="a//b", Body=b"2")
    direct.delete_object(Bucket=bucket, Key="a//b")
    direct.create_multipart_upload(Bucket=bucket, Key="unfinished")
