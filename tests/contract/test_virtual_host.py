"""Virtual-host-style addresses: the bucket stands in the host name, before `localhost`."""

from __future__ import annotations

import socket

import pytest

from contract.multipart import upload_parts
from servers.process import HOST
from servers.remotes import REMOTE_CREDENTIALS, client

pytestmark = pytest.mark.s3d


@pytest.fixture
def virtual(setup, monkeypatch):
    """A boto3 client that addresses buckets by host name; names below localhost resolve to loopback."""
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: resolve(HOST if str(host).endswith("localhost") else host, *rest, **options),
    )
    port = setup.endpoint.rpartition(":")[2]
    connection = client(f"http://localhost:{port}", setup.credentials, s3={"addressing_style": "virtual"})
    yield connection
    connection.close()


def test_object_is_put_got_and_listed(virtual, direct, bucket, key):
    virtual.put_object(Bucket=bucket, Key=f"{key}/a b/c+ü", Body=b"x")
    assert direct.get_object(Bucket=bucket, Key=f"{key}/a b/c+ü")["Body"].read() == b"x"
    assert virtual.get_object(Bucket=bucket, Key=f"{key}/a b/c+ü")["Body"].read() == b"x"
    listed = virtual.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    assert [one["Key"] for one in listed] == [f"{key}/a b/c+ü"]


def test_bucket_is_made_and_removed(virtual, direct, new_bucket):
    virtual.create_bucket(Bucket=new_bucket)
    assert new_bucket in [one["Name"] for one in direct.list_buckets()["Buckets"]]
    virtual.delete_bucket(Bucket=new_bucket)
    assert new_bucket not in [one["Name"] for one in direct.list_buckets()["Buckets"]]


def test_location_of_a_multipart_upload_has_the_bucket_in_the_host(virtual, setup, bucket, key):
    upload = virtual.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(virtual, bucket, key, upload, [b"x"])
    answer = virtual.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    port = setup.endpoint.rpartition(":")[2]
    assert answer["Location"] == f"http://{bucket}.localhost:{port}/{key}"


@pytest.mark.parametrize("path", ["//x", "/", "/a//b/", "/%2E%2E/x"])
def test_key_is_the_whole_path(recorded, path):
    recorded.wire.send("GET", path, host="my.bucket.localhost:1234")
    request = recorded.recorder.take()
    assert request.path.replace("%2E", ".") in (f"/my.bucket{path}".replace("%2E", "."), "/my.bucket")
    if path != "/":
        assert request.path != "/my.bucket"
    request.assert_signed(REMOTE_CREDENTIALS)


def test_unknown_host_is_refused(recorded):
    answer = recorded.wire.send("GET", "/key", host="bucket.example.com")
    assert answer.status == 421
    assert recorded.recorder.nothing_came()
