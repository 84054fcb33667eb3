"""The servers that the other tests lean on are there and answer boto3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from servers.clients import ProgramClient
from servers.daemon import S3dDaemon
from servers.process import free_ports
from servers.raw import exchange
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


def test_gateway_gives_back_what_was_put(s3, bucket: str, direct) -> None:  # type: ignore[no-untyped-def]
    s3.put_object(Bucket=bucket, Key="a/b c+d", Body=b"bytes")
    assert s3.get_object(Bucket=bucket, Key="a/b c+d")["Body"].read() == b"bytes"
    assert direct.get_object(Bucket=bucket, Key="a/b c+d")["Body"].read() == b"bytes"


def test_daemon_of_a_tests_own_answers_plain_sockets(start_daemon: Callable[..., S3dDaemon]) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    daemon = start_daemon(nobody, until="live", expect_log=("the remote is offline",))
    answer = exchange(daemon.endpoint, b"GET /_s3d/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status == 200


def test_daemon_listens_on_more_addresses(
    seaweedfs: Remote, start_daemon: Callable[..., S3dDaemon], tmp_path: Path
) -> None:
    start_daemon(seaweedfs, also_listen=(f"unix://{tmp_path}/s3d.sock",))
    answer = exchange(tmp_path / "s3d.sock", b"GET /_s3d/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status == 200


def test_aws_cli_lists_the_bucket(aws_cli: ProgramClient, bucket: str) -> None:
    assert bucket in aws_cli("s3", "ls").stdout.decode()


def test_s3cmd_lists_the_bucket(s3cmd: ProgramClient, bucket: str) -> None:
    assert bucket in s3cmd("ls").stdout.decode()


def test_javascript_sdk_lists_the_bucket(node: ProgramClient, bucket: str) -> None:
    program = """
        const { S3Client, ListBucketsCommand } = require("@aws-sdk/client-s3");
        const s3 = new S3Client({ endpoint: process.env.S3D_TEST_ENDPOINT, forcePathStyle: true });
        s3.send(new ListBucketsCommand({})).then((answer) => console.log(answer.Buckets.map((one) => one.Name).join()));
    """
    assert bucket in node("-e", program).stdout.decode()
