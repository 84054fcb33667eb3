"""The commands of the command line against a real S3 server, in place of the daemon: both speak S3."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import botocore.config
import botocore.session
import pytest

COMMAND = [sys.executable, "-c", "import sys; from s3d.cli import main; sys.exit(main())"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's server, started on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module")
def s3(endpoint: str):
    """A botocore client of the server, to prepare objects and to look at what the commands did."""
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=botocore.config.Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def box(s3) -> str:
    """A bucket of the test's own."""
    name = f"box-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3d(endpoint: str, tmp_path: Path):
    """Runs the command as a process of its own: exit code, stdout as bytes, stderr as text."""
    env = {name: value for name, value in os.environ.items() if not re.match(r"S3D?_|AWS_", name)}
    env |= {"S3D_ENDPOINT": endpoint, "S3D_ACCESS_KEY_ID": "AKIDEXAMPLE", "S3D_SECRET_ACCESS_KEY": "secret"}
    env |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "default::ResourceWarning"}

    def run(*arguments: str, stdin: bytes = b"", **more: str) -> tuple[int, bytes, str]:
        done = subprocess.run(
            [*COMMAND, *arguments], input=stdin, capture_output=True, env=env | more, cwd=tmp_path, timeout=100
        )
        return done.returncode, done.stdout, done.stderr.decode()

    run.env = env  # type: ignore[attr-defined]
    return run


def put(s3, bucket: str, *keys: str, body: bytes = b"bytes") -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def body_of(s3, bucket: str, key: str) -> bytes:
    with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
        return body.read()


def keys_of(s3, bucket: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


# --- buckets


def test_mb_makes_a_bucket_and_rb_removes_it(s3d, s3) -> None:
    name = f"box-{uuid.uuid4().hex[:12]}"
    assert s3d("mb", name) == (0, b"", "")
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3d("rb", f"s3://{name}") == (0, b"", "")
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_rb_of_a_bucket_with_objects_says_what_to_do(s3d, s3, box: str) -> None:
    put(s3, box, "a")
    assert s3d("rb", box) == (1, b"", f"s3d: Bucket '{box}' is not empty; empty it first with `s3d rm -r {box}`.\n")


# --- ls


def test_ls_lists_buckets(s3d, box: str) -> None:
    code, out, err = s3d("ls")
    assert (code, err) == (0, "")
    assert re.search(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d  {box}$", out.decode(), re.MULTILINE)


def test_ls_shows_one_level_in_key_order(s3d, s3, box: str) -> None:
    put(s3, box, "a.txt", "b/1", "b/2", "c.txt")
    code, out, _ = s3d("ls", box)
    assert (code, [line.split()[-1] for line in out.decode().splitlines()]) == (0, ["a.txt", "b/", "c.txt"])


def test_ls_r_shows_every_key_below_a_prefix(s3d, s3, box: str) -> None:
    put(s3, box, "a.txt", "b/1", "b/c/2")
    _, out, _ = s3d("ls", "-r", f"{box}/b/")
    assert [line.split()[-1] for line in out.decode().splitlines()] == ["b/1", "b/c/2"]


def test_ls_json_is_one_object_per_line_with_exact_keys(s3d, s3, box: str) -> None:
    put(s3, box, "a\tb", "ü/x")
    _, out, _ = s3d("ls", "--json", box)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line.get("key", line.get("prefix")) for line in lines] == ["a\tb", "ü/"]
    assert lines[0]["size_bytes"] == 5


def test_ls_shows_a_control_character_in_a_key_as_an_escape(s3d, s3, box: str) -> None:
    put(s3, box, "a\tb")
    _, out, _ = s3d("ls", box)
    assert out.decode().splitlines()[0].endswith("  a\\tb")


def test_ls_of_a_missing_bucket_is_1_and_one_sentence(s3d) -> None:
    code, out, err = s3d("ls", "box-that-is-not")
    assert (code, out) == (1, b"")
    assert err.startswith("s3d: There is no bucket 'box-that-is-not'. `s3d ls` lists the buckets, ")
    assert err.count("\n") == 1


# --- put and get


def test_put_stores_bytes_type_metadata_and_tags(s3d, s3, box: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"hello")
    arguments = ["--metadata", "colour=red", "--tag", "project=a b+c", "--tag", "x=1=2"]
    assert s3d("put", "notes.txt", f"{box}/n", *arguments) == (0, b"", "")
    answer = s3.head_object(Bucket=box, Key="n")
    assert (answer["ContentType"], answer["Metadata"]) == ("text/plain", {"colour": "red"})
    assert body_of(s3, box, "n") == b"hello"
    tags = s3.get_object_tagging(Bucket=box, Key="n")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"project": "a b+c", "x": "1=2"}


def test_put_takes_a_content_type(s3d, s3, box: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"hello")
    assert s3d("put", "notes.txt", f"{box}/n", "--content-type", "text/markdown")[0] == 0
    assert s3.head_object(Bucket=box, Key="n")["ContentType"] == "text/markdown"


def test_put_into_a_prefix_keeps_the_files_name(s3d, s3, box: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"hello")
    assert s3d("put", str(tmp_path / "notes.txt"), f"s3://{box}/texts/")[0] == 0
    assert keys_of(s3, box) == ["texts/notes.txt"]


@pytest.mark.parametrize("size_bytes", [0, 1, 10 << 20, (10 << 20) + 1, 17_000_001])
def test_a_file_comes_back_as_it_was_put(s3d, s3, box: str, tmp_path: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    (tmp_path / "in").write_bytes(content)
    assert s3d("put", "--part-size", "5MiB", "in", f"{box}/key") == (0, b"", "")
    assert body_of(s3, box, "key") == content
    in_parts = re.search(r'-(\d+)"$', s3.head_object(Bucket=box, Key="key")["ETag"])
    assert (in_parts is not None) is (size_bytes > 10 << 20)
    assert s3d("get", f"{box}/key", "out") == (0, b"", "")
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("size_bytes", [0, 3, 5 << 20, 17_000_001])
def test_a_pipe_goes_up_and_down_as_it_was(s3d, s3, box: str, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    assert s3d("put", "--part-size", "5MiB", "-", f"{box}/key", stdin=content) == (0, b"", "")
    assert s3d("get", f"{box}/key", "-") == (0, content, "")


def test_an_upload_in_parts_leaves_no_unfinished_upload(s3d, s3, box: str) -> None:
    assert s3d("put", "--part-size", "5MiB", "-", f"{box}/key", stdin=bytes(11 << 20))[0] == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=box)


def test_sigterm_during_a_put_leaves_nothing_behind(s3d, s3, box: str) -> None:
    command = [*COMMAND, "put", "--part-size", "5MiB", "-", f"{box}/key"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=s3d.env)
    with process:
        assert process.stdin is not None
        process.stdin.write(bytes(12 << 20))
        process.stdin.flush()
        while not s3.list_multipart_uploads(Bucket=box).get("Uploads"):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(60) == 143
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=box)
    assert keys_of(s3, box) == []


def test_get_without_a_file_takes_the_keys_last_part(s3d, s3, box: str, tmp_path: Path) -> None:
    put(s3, box, "a/b/notes.txt")
    assert s3d("get", f"{box}/a/b/notes.txt")[0] == 0
    assert (tmp_path / "notes.txt").read_bytes() == b"bytes"


def test_get_into_a_directory(s3d, s3, box: str, tmp_path: Path) -> None:
    put(s3, box, "a/notes.txt")
    (tmp_path / "d").mkdir()
    assert s3d("get", f"{box}/a/notes.txt", "d")[0] == 0
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["notes.txt"]


def test_get_of_a_missing_object_is_1_and_makes_no_file(s3d, box: str, tmp_path: Path) -> None:
    code, out, err = s3d("get", f"{box}/none", "file")
    assert (code, out) == (1, b"")
    assert err == f"s3d: There is no object '{box}/none'. `s3d ls {box}` shows what the bucket holds.\n"
    assert list(tmp_path.iterdir()) == []


def test_put_into_a_missing_bucket_is_1(s3d, tmp_path: Path) -> None:
    code, _, err = s3d("put", "-", "box-that-is-not/key", stdin=bytes(11 << 20))
    assert (code, "There is no bucket 'box-that-is-not'" in err) == (1, True)


def test_a_progress_bar_is_shown_on_a_terminal_and_only_on_stderr(s3d, s3, box: str, tmp_path: Path) -> None:
    put(s3, box, "key", body=bytes(3 << 20))
    terminal, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "get", f"{box}/key", "-"], stdout=subprocess.PIPE, stderr=theirs, env=s3d.env | {"TERM": "xterm"}
        )
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(theirs)
    assert (done.returncode, len(done.stdout)) == (0, 3 << 20)
    assert "key" in shown
    assert "MiB" in shown


# --- rm


def test_rm_deletes_the_objects_that_it_is_given(s3d, s3, box: str) -> None:
    put(s3, box, "a", "b", "c")
    assert s3d("rm", f"{box}/a", f"s3://{box}/b") == (0, b"", "")
    assert keys_of(s3, box) == ["c"]


def test_rm_r_deletes_below_a_directory_and_not_beside_it(s3d, s3, box: str) -> None:
    put(s3, box, "logs", "logs/1", "logs/2/3", "logs2", "log")
    assert s3d("rm", "-r", "--yes", f"{box}/logs") == (0, b"", "")
    assert keys_of(s3, box) == ["log", "logs2"]


def test_rm_r_without_a_terminal_wants_yes(s3d, s3, box: str) -> None:
    put(s3, box, "a")
    code, _, err = s3d("rm", "-r", box)
    assert (code, "add --yes" in err) == (2, True)
    assert keys_of(s3, box) == ["a"]


@pytest.mark.parametrize(("answer", "left"), [(b"n\n", ["a", "b"]), (b"y\n", [])])
def test_rm_r_asks_on_a_terminal(s3d, s3, box: str, answer: bytes, left: list[str]) -> None:
    put(s3, box, "a", "b")
    terminal, theirs = pty.openpty()
    try:
        os.write(terminal, answer)
        done = subprocess.run([*COMMAND, "rm", "-r", box], stdin=theirs, capture_output=True, env=s3d.env)
    finally:
        os.close(terminal)
        os.close(theirs)
    assert done.returncode == 0
    assert f"Delete 2 objects in {box}?".encode() in done.stderr
    assert keys_of(s3, box) == left


# --- set


def test_set_changes_tags_and_keeps_the_others(s3d, s3, box: str) -> None:
    put(s3, box, "key")
    assert s3d("set", f"{box}/key", "--tag", "a=1", "--tag", "b=2") == (0, b"", "")
    assert s3d("set", f"{box}/key", "--tag", "b=3", "--tag", "c=4", "--untag", "a") == (0, b"", "")
    tags = s3.get_object_tagging(Bucket=box, Key="key")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"b": "3", "c": "4"}


def test_set_can_remove_the_last_tag(s3d, s3, box: str) -> None:
    put(s3, box, "key")
    s3d("set", f"{box}/key", "--tag", "a=1")
    assert s3d("set", f"{box}/key", "--untag", "a")[0] == 0
    assert s3.get_object_tagging(Bucket=box, Key="key")["TagSet"] == []


# --- api


def test_api_prints_the_answer_as_json(s3d, s3, box: str) -> None:
    put(s3, box, "a", "b")
    code, out, _ = s3d("api", "list-objects-v2", "--bucket", box, "--max-keys", "1")
    answer = json.loads(out)
    assert (code, answer["KeyCount"], answer["IsTruncated"]) == (0, 1, True)
    assert "ResponseMetadata" not in answer


def test_api_sends_bodies_and_structures(s3d, s3, box: str) -> None:
    metadata = ["--metadata", '{"colour": "red"}']
    assert s3d("api", "put-object", "--bucket", box, "--key", "k", "--body", "-", *metadata, stdin=b"piped")[0] == 0
    assert body_of(s3, box, "k") == b"piped"
    assert s3.head_object(Bucket=box, Key="k")["Metadata"] == {"colour": "red"}


def test_api_takes_json_from_a_file(s3d, s3, box: str, tmp_path: Path) -> None:
    put(s3, box, "k")
    (tmp_path / "tags.json").write_text('{"TagSet": [{"Key": "a", "Value": "1"}]}')
    assert s3d("api", "PutObjectTagging", "--bucket", box, "--key=k", "--tagging", "@tags.json")[0] == 0
    assert s3.get_object_tagging(Bucket=box, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_api_takes_the_whole_request_as_one_object(s3d, s3, box: str) -> None:
    put(s3, box, "k")
    request = json.dumps({"Bucket": box, "Key": "other"})
    assert json.loads(s3d("api", "head-object", "--input", request, "--key", "k")[1])["ContentLength"] == 5


def test_api_writes_a_body_to_a_file_or_stdout(s3d, s3, box: str, tmp_path: Path) -> None:
    put(s3, box, "k")
    code, out, _ = s3d("api", "get-object", "--bucket", box, "--key", "k", "--output", "file")
    assert (code, json.loads(out)["ContentLength"]) == (0, 5)
    assert (tmp_path / "file").read_bytes() == b"bytes"
    assert s3d("api", "get-object", "--bucket", box, "--key", "k", "--range", "bytes=1-2", "--output", "-")[1] == b"yt"


def test_api_tells_an_error_of_the_store_in_one_sentence(s3d, box: str) -> None:
    code, out, err = s3d("api", "get-bucket-policy", "--bucket", box)
    assert (code, out) == (1, b"")
    assert err.startswith(f"s3d: {box}: GetBucketPolicy failed: ")
    assert err.count("\n") == 1


def test_api_tells_a_wrong_structure(s3d, box: str) -> None:
    tagging = json.dumps({"TagSett": []})
    code, _, err = s3d("api", "put-bucket-tagging", "--bucket", box, "--tagging", tagging)
    assert (code, "TagSet" in err, err.count("\n")) == (2, True, 1)


# --- keys


@pytest.mark.parametrize("key", ["a b+c", "ü/ö?&=#%41", "*'()!~", "a\tb"])
def test_keys_of_any_bytes_go_up_are_listed_and_come_down(s3d, box: str, key: str) -> None:
    assert s3d("put", "-", f"{box}/{key}", stdin=key.encode())[0] == 0
    assert json.loads(s3d("ls", "-r", "--json", box)[1])["key"] == key
    assert s3d("get", f"{box}/{key}", "-")[1] == key.encode()
    assert s3d("rm", "-r", "-y", box)[0] == 0
    assert s3d("ls", "-r", box)[1] == b""
