"""Encryption with the store's own keys, which a standalone s3d does not do: it is never claimed."""

from __future__ import annotations

import pytest

from contract.refusals import missing, refused
from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon
from servers.remotes import Remote

pytestmark = pytest.mark.s3d
alone = pytest.mark.parametrize("setup", ["standalone"], indirect=True)

AES256 = {"ServerSideEncryption": "AES256"}


@pytest.fixture(autouse=True)
def _warned(standalone_daemon):
    """The log says so once, in whichever test comes first."""
    standalone_daemon.expect_log(" WARNING s3d.gateway: a client asks for encryption at rest")


@alone
def test_an_object_is_stored_and_no_answer_says_that_it_is_encrypted(s3, bucket, key):
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key=key, Body=b"x", **AES256)
    assert "ServerSideEncryption" not in s3.head_object(Bucket=bucket, Key=key)
    answer = s3.get_object(Bucket=bucket, Key=key)
    assert (answer["Body"].read(), "ServerSideEncryption" in answer) == (b"x", False)


@alone
def test_an_upload_by_parts_is_taken(s3, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **AES256)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"


@alone
def test_an_object_is_copied_to_itself_to_be_encrypted(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key}, **AES256)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"


@alone
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_cannot_ask_for_it(wire, direct, bucket, key, method):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = wire.send(method, f"/{bucket}/{key}", [("x-amz-server-side-encryption", "AES256")])
    assert answer.status == 400


@alone
def test_a_part_cannot_ask_for_it(wire, direct, bucket, key):
    upload = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    path = f"/{bucket}/{key}?partNumber=1&uploadId={upload}"
    answer = wire.send("PUT", path, [("x-amz-server-side-encryption", "AES256")], b"x")
    assert (answer.status, answer.error_code) == (400, "InvalidArgument")


@alone
@pytest.mark.parametrize("algorithm", ["aws:kms", "aws:kms:dsse"])
def test_keys_of_kms_are_refused(s3, direct, bucket, key, algorithm):
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", ServerSideEncryption=algorithm)
    assert missing(direct, bucket, key)


def test_it_can_be_refused(tmp_path):
    daemon = S3dDaemon(tmp_path, standalone=True, env={"S3D_STANDALONE_SSE_S3": "refuse"})
    daemon.start()
    s3 = Remote("standalone", daemon.endpoint, LOCAL_CREDENTIALS, daemon.process).client()
    s3.create_bucket(Bucket="bucket")
    with refused("NotImplemented", 501):
        s3.put_object(Bucket="bucket", Key="k", Body=b"x", **AES256)
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    s3.close()
    daemon.stop()
