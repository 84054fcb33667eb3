"""Other people's clients, unchanged: the AWS CLI, s3cmd, the AWS SDK for JavaScript, pyarrow and DuckDB."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest

from contract.multipart import MIN_PART_BYTES
from contract.refusals import missing, refused
from contract.wire import fetch
from servers import clients

# Starting a client takes longer than what it does: one remote will do, a real one, and checked signatures; and none.
pytestmark = [pytest.mark.s3d, pytest.mark.parametrize("setup", ["seaweedfs", "standalone"], indirect=True)]

SCRIPTS = Path(__file__).parent / "clients"
LARGE = b"0123456789abcdef" * (MIN_PART_BYTES // 16) * 2 + b"end"


@pytest.fixture
def stored(direct, bucket, key):
    """An object put at the remote: its key."""
    direct.put_object(Bucket=bucket, Key=f"{key}/a b+ü", Body=b"0123456789", ContentType="x/y", Metadata={"who": "me"})
    return f"{key}/a b+ü"


def _body(direct, bucket, key):
    return direct.get_object(Bucket=bucket, Key=key)["Body"].read()


def _tags(direct, bucket, key):
    return {tag["Key"]: tag["Value"] for tag in direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


class TestAwsCli:
    def test_create(self, aws_cli, direct, new_bucket):
        aws_cli("s3", "mb", f"s3://{new_bucket}")
        direct.head_bucket(Bucket=new_bucket)

    def test_put(self, aws_cli, direct, bucket, key):
        aws_cli("s3", "cp", "-", f"s3://{bucket}/{key}/a b+ü", stdin=b"piped")
        assert _body(direct, bucket, f"{key}/a b+ü") == b"piped"

    def test_multipart(self, aws_cli, direct, bucket, key):
        (aws_cli.directory / "large").write_bytes(LARGE)
        aws_cli("s3", "cp", "large", f"s3://{bucket}/{key}")
        answer = direct.get_object(Bucket=bucket, Key=key)
        assert answer["Body"].read() == LARGE
        assert answer["ETag"].endswith('-2"')

    def test_get(self, aws_cli, bucket, stored):
        aws_cli("s3", "cp", f"s3://{bucket}/{stored}", "here")
        assert (aws_cli.directory / "here").read_bytes() == b"0123456789"

    def test_get_of_a_large_object(self, aws_cli, direct, bucket, key):
        direct.put_object(Bucket=bucket, Key=key, Body=LARGE)
        # Above 8 MiB it gets ranges, several at a time.
        aws_cli("s3", "cp", f"s3://{bucket}/{key}", "here")
        assert (aws_cli.directory / "here").read_bytes() == LARGE

    def test_range(self, aws_cli, bucket, stored):
        aws_cli("s3api", "get-object", "--bucket", bucket, "--key", stored, "--range", "bytes=2-4", "here")
        assert (aws_cli.directory / "here").read_bytes() == b"234"

    def test_head(self, aws_cli, bucket, stored):
        answer = json.loads(aws_cli("s3api", "head-object", "--bucket", bucket, "--key", stored).stdout)
        assert (answer["ContentLength"], answer["Metadata"]) == (10, {"who": "me"})

    def test_list(self, aws_cli, bucket, stored):
        shown = aws_cli("s3", "ls", "--recursive", f"s3://{bucket}/{stored[:-4]}").stdout.decode()
        assert stored in shown

    def test_copy(self, aws_cli, direct, bucket, stored, key):
        aws_cli("s3", "cp", f"s3://{bucket}/{stored}", f"s3://{bucket}/{key}-to")
        assert _body(direct, bucket, f"{key}-to") == b"0123456789"

    def test_tag(self, aws_cli, direct, bucket, stored):
        tags = json.dumps({"TagSet": [{"Key": "a b", "Value": "1+2"}]})
        aws_cli("s3api", "put-object-tagging", "--bucket", bucket, "--key", stored, "--tagging", tags)
        assert _tags(direct, bucket, stored) == {"a b": "1+2"}

    def test_presign(self, aws_cli, bucket, stored):
        # Without this it still signs URLs with Signature Version 2.
        (aws_cli.directory / "config").write_text("[default]\ns3 =\n    signature_version = s3v4\n")
        aws_cli.env["AWS_CONFIG_FILE"] = str(aws_cli.directory / "config")
        url = aws_cli("s3", "presign", f"s3://{bucket}/{stored}").stdout.decode().strip()
        status, _, body = fetch("GET", url)
        assert (status, body) == (200, b"0123456789")

    def test_delete(self, aws_cli, direct, bucket, stored):
        aws_cli("s3", "rm", f"s3://{bucket}/{stored}")
        assert missing(direct, bucket, stored)

    def test_sync(self, aws_cli, direct, bucket, key):
        tree = aws_cli.directory / "tree"
        (tree / "deep" / "er").mkdir(parents=True)
        (tree / "one").write_bytes(b"1")
        (tree / "deep" / "er" / "two").write_bytes(b"2")
        for path in tree.rglob("*"):
            # S3 counts whole seconds: a file of this very second would look newer than its object.
            os.utime(path, (1_700_000_000, 1_700_000_000))
        aws_cli("s3", "sync", "tree", f"s3://{bucket}/{key}")
        assert _body(direct, bucket, f"{key}/deep/er/two") == b"2"
        # Nothing to do the second time: times and sizes are those of the files.
        assert aws_cli("s3", "sync", "tree", f"s3://{bucket}/{key}").stdout == b""

    def test_unknown_key_is_an_error(self, aws_cli, bucket, key):
        done = aws_cli("s3api", "get-object", "--bucket", bucket, "--key", key, "here", check=False)
        assert done.returncode != 0
        assert b"NoSuchKey" in done.stderr


class TestS3cmd:
    def test_create(self, s3cmd, direct, new_bucket):
        s3cmd("mb", f"s3://{new_bucket}")
        direct.head_bucket(Bucket=new_bucket)

    def test_put(self, s3cmd, direct, bucket, key):
        (s3cmd.directory / "file").write_bytes(b"body")
        s3cmd("put", "file", f"s3://{bucket}/{key}/a b+ü")
        assert _body(direct, bucket, f"{key}/a b+ü") == b"body"

    def test_multipart(self, s3cmd, direct, bucket, key):
        (s3cmd.directory / "large").write_bytes(LARGE)
        s3cmd("put", "--multipart-chunk-size-mb=5", "large", f"s3://{bucket}/{key}")
        answer = direct.get_object(Bucket=bucket, Key=key)
        assert answer["Body"].read() == LARGE
        assert answer["ETag"].endswith('-3"')

    def test_get(self, s3cmd, bucket, stored):
        s3cmd("get", f"s3://{bucket}/{stored}", "here")
        assert (s3cmd.directory / "here").read_bytes() == b"0123456789"

    def test_range(self, s3cmd, bucket, stored):
        # It asks for what is missing of a file by Range.
        (s3cmd.directory / "here").write_bytes(b"01234")
        s3cmd("get", "--continue", f"s3://{bucket}/{stored}", "here")
        assert (s3cmd.directory / "here").read_bytes() == b"0123456789"

    def test_head(self, s3cmd, bucket, stored):
        shown = s3cmd("info", f"s3://{bucket}/{stored}").stdout.decode()
        assert "x/y" in shown
        assert "10" in shown

    def test_list(self, s3cmd, bucket, stored):
        assert stored in s3cmd("ls", "--recursive", f"s3://{bucket}/{stored[:-4]}").stdout.decode()

    def test_copy(self, s3cmd, direct, bucket, stored, key):
        s3cmd("cp", f"s3://{bucket}/{stored}", f"s3://{bucket}/{key}-to")
        assert _body(direct, bucket, f"{key}-to") == b"0123456789"

    def test_tag(self, s3cmd, direct, bucket, stored):
        s3cmd("settagging", f"s3://{bucket}/{stored}", "a=1&b=2")
        assert _tags(direct, bucket, stored) == {"a": "1", "b": "2"}

    def test_presign_is_of_version_2_and_refused(self, s3cmd, bucket, stored):
        # s3cmd signs URLs with Signature Version 2 only, which AWS took out of service too.
        url = s3cmd("signurl", f"s3://{bucket}/{stored}", "+600").stdout.decode().strip()
        status, _, body = fetch("GET", url)
        assert status == 400
        assert b"AWS4-HMAC-SHA256" in body

    def test_delete(self, s3cmd, direct, bucket, stored):
        s3cmd("del", f"s3://{bucket}/{stored}")
        assert missing(direct, bucket, stored)


class TestJavaScriptSdk:
    @pytest.fixture
    def run(self, node):
        def run(operation, **arguments):
            done = node(str(SCRIPTS / "sdk.mjs"), operation, json.dumps(arguments))
            return json.loads(done.stdout)

        return run

    def test_create(self, run, direct, new_bucket):
        run("create", bucket=new_bucket)
        direct.head_bucket(Bucket=new_bucket)

    def test_put(self, run, direct, bucket, key):
        answer = run("put", bucket=bucket, key=f"{key}/a b+ü", body="text")
        assert answer["etag"] == f'"{hashlib.md5(b"text").hexdigest()}"'
        assert _body(direct, bucket, f"{key}/a b+ü") == b"text"

    def test_put_of_a_stream(self, run, direct, bucket, key):
        run("putStream", bucket=bucket, key=key, size=200_000)
        assert _body(direct, bucket, key) == b"s" * 200_000

    def test_multipart(self, run, direct, bucket, key, setup):
        answer = run("multipart", bucket=bucket, key=key, size=MIN_PART_BYTES + 1000)
        assert _body(direct, bucket, key) == b"m" * (MIN_PART_BYTES + 1000)
        assert answer["location"] == f"{setup.endpoint}/{bucket}/{key}"

    def test_get(self, run, bucket, stored):
        assert run("get", bucket=bucket, key=stored) == {"body": "0123456789", "metadata": {"who": "me"}}

    def test_range(self, run, bucket, stored):
        assert run("range", bucket=bucket, key=stored, range="bytes=2-4") == {
            "body": "234",
            "contentRange": "bytes 2-4/10",
        }

    def test_head(self, run, bucket, stored):
        assert run("head", bucket=bucket, key=stored) == {"length": 10, "type": "x/y"}

    def test_list(self, run, bucket, stored):
        assert run("list", bucket=bucket, prefix=stored[:-4]) == {"keys": [stored]}

    def test_copy(self, run, direct, bucket, stored, key):
        run("copy", bucket=bucket, key=f"{key}-to", source=stored)
        assert _body(direct, bucket, f"{key}-to") == b"0123456789"

    def test_tag(self, run, direct, bucket, stored):
        assert run("tag", bucket=bucket, key=stored, tags={"a": "1"}) == {"tags": {"a": "1"}}
        assert _tags(direct, bucket, stored) == {"a": "1"}

    def test_presigned_get(self, run, bucket, stored):
        assert run("presignGet", bucket=bucket, key=stored) == {"status": 200, "body": "0123456789"}

    def test_presigned_put(self, run, direct, bucket, key):
        assert run("presignPut", bucket=bucket, key=key, body="by url") == {"status": 200, "body": ""}
        assert _body(direct, bucket, key) == b"by url"

    def test_delete(self, run, direct, bucket, stored):
        run("remove", bucket=bucket, key=stored)
        assert missing(direct, bucket, stored)

    def test_unknown_key_is_an_error(self, run, bucket, key):
        assert run("failure", bucket=bucket, key=key) == {"name": "NoSuchKey", "status": 404}


@pytest.fixture
def python_client(setup, tmp_path):
    """Runs one of our scripts in an interpreter of its own: both libraries keep threads and sockets."""

    def run(module, script, *arguments):
        pytest.importorskip(module, reason=f"{module} is not installed (extra `test`)")
        client = clients.ProgramClient(
            [sys.executable, str(SCRIPTS / script)],
            clients._environment(setup.credentials, tmp_path) | {"S3D_TEST_ENDPOINT": setup.endpoint},
            tmp_path,
        )
        return json.loads(client(*arguments).stdout)

    return run


class TestPyarrow:
    def test_parquet_is_written_and_read(self, python_client, direct, bucket, key):
        answer = python_client("pyarrow", "arrow.py", "roundtrip", f"{bucket}/{key}/t.parquet")
        assert answer == {"rows": 1000, "sum": 499500, "size": answer["size"]}
        assert direct.head_object(Bucket=bucket, Key=f"{key}/t.parquet")["ContentLength"] == answer["size"]

    def test_directory_is_listed_and_removed(self, python_client, direct, bucket, key):
        for name in ("a", "b/c"):
            direct.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"x")
        answer = python_client("pyarrow", "arrow.py", "tree", f"{bucket}/{key}")
        assert answer == {"files": [f"{bucket}/{key}/a", f"{bucket}/{key}/b/c"]}
        with refused("404", 404):
            direct.head_object(Bucket=bucket, Key=f"{key}/b/c")


class TestDuckdb:
    def test_parquet_is_written_and_read(self, python_client, direct, bucket, key):
        pytest.importorskip("duckdb_extension_httpfs", reason="DuckDB's httpfs is not installed (extra `test`)")
        answer = python_client("duckdb", "duck.py", f"s3://{bucket}/{key}/a b.parquet")
        assert answer == {"rows": 1000, "sum": 499500, "globbed": 1000}
        assert direct.get_object(Bucket=bucket, Key=f"{key}/a b.parquet")["Body"].read()[:4] == b"PAR1"
