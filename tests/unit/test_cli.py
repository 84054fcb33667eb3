"""The command line: help, options, output, exit codes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from s3d import __version__, cli, config
from s3d.cli import api, client, shapes
from servers.canned import Reply, serving

HEALTHY = {
    "version": "0.1.0",
    "pid": 42,
    "uptime_s": 7200,
    "endpoint": ["http://localhost:33333"],
    "auth": "none",
    "remote": {"endpoint": "https://s3.example.com", "region": "eu-west-1", "state": "online", "latency_ms": 12.3},
    "credentials": {"source": "env", "access_key_id": "AKIDEXAMPLE", "expires_in_s": None, "state": "ok"},
    "connections": {"open": 3, "max": 1000},
    "requests": {"total": 12345, "errors": 0},
    "health": "ok",
    "ready": True,
}


def status_reply(report: object) -> Callable[[str, str, bytes], Reply]:
    return lambda method, path, body: (200, {"Content-Type": "application/json"}, json.dumps(report).encode())


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if re.match(r"S3D?_|AWS_", name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("S3D_LOCAL_DIR", str(tmp_path / "local"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def s3d(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens, kept reserved for the test."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


# --- help and version


def test_help_names_every_command_and_has_examples(s3d) -> None:
    code, out, _ = s3d("--help")
    assert code == 0
    for command in ("run", "config", "status", "ls", "get", "put", "rm", "set", "mb", "rb", "api"):
        assert re.search(rf"^  {command} ", out, re.MULTILINE)
    assert "s3d put notes.txt my-bucket/notes.txt" in out


@pytest.mark.parametrize("command", ["run", "config", "status", "ls", "get", "put", "rm", "set", "mb", "rb", "api"])
def test_every_command_has_help(s3d, command: str) -> None:
    code, out, _ = s3d(command, "--help")
    assert (code, out.startswith(f"Usage: s3d {command} ")) == (0, True)


def test_s3d_alone_prints_the_help(s3d) -> None:
    code, out, _ = s3d()
    assert (code, out.startswith("Usage: s3d")) == (0, True)


def test_version(s3d) -> None:
    assert s3d("--version") == (0, f"s3d {__version__}\n", "")


def test_help_loads_neither_botocore_nor_rich() -> None:
    code = "import sys; from s3d.cli import main; main(['--help']); print({'botocore', 'rich', 'ssl'} & {*sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd(),
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}).stdout  # fmt: skip
    assert out.splitlines()[-1] == "set()"


def test_an_unknown_command_is_wrong_usage(s3d) -> None:
    code, _, err = s3d("lst")
    assert code == 2
    assert "lst" in err


def test_an_unexpected_exception_is_one_sentence(s3d, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(config, "settings", fail)
    code, _, err = s3d("config")
    assert code == 1
    assert err == "s3d: unexpected ZeroDivisionError: by nought. With S3D_LOG_LEVEL=debug there is a traceback.\n"


# --- run


def test_run_offers_every_option_of_the_table(s3d) -> None:
    _, out, _ = s3d("run", "--help")
    for option in config.OPTIONS:
        assert (re.search(rf"^  {option.flag}\b", out, re.MULTILINE) is not None) is not option.hidden
    for title in (config.GENERAL, config.REMOTE, config.ACCESS, config.LIMITS):
        assert f"\n{title}:\n" in out


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> list[config.Config]:
    """Stands in for `s3d.daemon`: keeps the configurations that it is run with, and exits with 7."""
    seen: list[config.Config] = []
    module = type(sys)("s3d.daemon")
    module.run = lambda given: seen.append(given) or 7
    monkeypatch.setitem(sys.modules, "s3d.daemon", module)
    return seen


def test_run_hands_its_options_to_the_daemon_and_exits_with_its_code(s3d, daemon) -> None:
    code, _, _ = s3d("run", "--s3-endpoint", "http://10.0.0.5:9000", "--no-remote-verify-tls", "--idle-timeout", "5m")
    assert code == 7
    [given] = daemon
    assert (given.s3_endpoint, given.remote_verify_tls, given.idle_timeout_s) == ("http://10.0.0.5:9000", False, 300)


def test_run_takes_endpoint_before_or_after_its_name(s3d, daemon) -> None:
    s3d("--endpoint", "http://localhost:1", "run")
    s3d("run", "--endpoint", "http://localhost:2")
    assert [given.endpoint[0].port for given in daemon] == [1, 2]


def test_run_refuses_a_wrong_value_and_does_not_start(s3d, daemon) -> None:
    code, _, err = s3d("run", "--idle-timeout", "soon")
    assert (code, daemon) == (2, [])
    assert err.startswith("s3d: S3D_IDLE_TIMEOUT: 'soon' (from option --idle-timeout) is not valid; allowed: ")


def test_run_refuses_open_access_from_other_machines(s3d, daemon) -> None:
    code, _, err = s3d("run", "--endpoint", "http://0.0.0.0:33333")
    assert (code, daemon) == (2, [])
    assert "S3D_AUTH=none" in err


def test_run_prints_warnings_and_starts(s3d, daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3D_LOG_LEVLE", "debug")
    _, _, err = s3d("run")
    assert len(daemon) == 1
    assert "Did you mean S3D_LOG_LEVEL?" in err


# --- config


def test_config_shows_values_with_their_origin(s3d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3D_IDLE_TIMEOUT", "300s")
    code, out, _ = s3d("config")
    assert code == 0
    assert re.search(r"^  S3D_IDLE_TIMEOUT +5m +environment S3D_IDLE_TIMEOUT$", out, re.MULTILINE)


def test_config_hides_secrets(s3d, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3D_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("S3D_ACCESS_KEY_ID", "AKIDEXAMPLE")
    for arguments in (["config"], ["config", "--json"]):
        code, out, err = s3d(*arguments)
        assert (code, "hidden" in out + err, out.count("***")) == (0, False, 3)


def test_config_as_json(s3d) -> None:
    code, out, _ = s3d("--endpoint", "http://localhost:9", "config", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["options"]["S3D_ENDPOINT"] == {"value": "http://localhost:9", "origin": "option --endpoint"}
    assert document["problems"] == []


def test_config_shows_the_values_even_when_the_daemon_would_refuse_them(s3d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3D_AUTH", "sigv4")
    code, out, err = s3d("config")
    assert (code, "S3D_AUTH " in out) == (2, True)
    assert "there is no identity" in err


# --- status


def test_status_of_a_healthy_daemon_is_0_and_in_words(s3d) -> None:
    with serving(status_reply(HEALTHY)) as (endpoint, asked):
        code, out, err = s3d("--endpoint", endpoint, "status")
    assert (code, err) == (0, "")
    assert asked[0][:2] == ("GET", "/_s3d/status")
    assert out.splitlines()[0] == "s3d          is well (version 0.1.0, pid 42, up 2 h)"
    assert "remote       online, answers in 12 ms (https://s3.example.com, region eu-west-1)" in out
    assert "credentials  ok (AKIDEXAMPLE, env)" in out
    assert "12,345 requests, none failed" in out


@pytest.mark.parametrize(
    "change",
    [
        {"health": "degraded", "remote": {"state": "offline", "since_s": 90, "last_error": "connect timed out"}},
        {"health": "failing"},
        {"ready": False},
    ],
)
def test_status_of_an_unhealthy_daemon_is_1(s3d, change: dict) -> None:
    with serving(status_reply(HEALTHY | change)) as (endpoint, _):
        assert s3d("--endpoint", endpoint, "status")[0] == 1


def test_status_tells_the_last_error_of_an_offline_remote(s3d) -> None:
    report = HEALTHY | {"remote": {"state": "offline", "since_s": 90, "last_error": "connect timed out"}}
    with serving(status_reply(report)) as (endpoint, _):
        _, out, _ = s3d("--endpoint", endpoint, "status")
    assert "offline, for 90 s" in out
    assert "last error: connect timed out" in out


def test_status_says_what_to_do_about_missing_credentials(s3d) -> None:
    report = HEALTHY | {"health": "failing", "credentials": {"state": "missing"}}
    with serving(status_reply(report)) as (endpoint, _):
        _, out, _ = s3d("--endpoint", endpoint, "status")
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE" in out


@pytest.mark.parametrize("report", [{"health": "ok"}, {"health": "ok", "remote": None, "requests": [], "pid": []}])
def test_status_bears_missing_and_strange_fields(s3d, report: dict) -> None:
    with serving(status_reply(report)) as (endpoint, _):
        code, out, _ = s3d("--endpoint", endpoint, "status")
    assert code == 0
    assert out.startswith("s3d          is well (version unknown)")


def test_status_as_json_is_the_daemons_own_document(s3d) -> None:
    with serving(status_reply(HEALTHY)) as (endpoint, _):
        code, out, _ = s3d("--endpoint", endpoint, "status", "--json")
    assert (code, json.loads(out)) == (0, HEALTHY)


def test_status_of_no_daemon_is_2(s3d, nobody: str) -> None:
    code, out, err = s3d("--endpoint", nobody, "status")
    assert (code, out) == (2, "")
    assert err.startswith(f"s3d: s3d is not reachable at {nobody} (Connection refused). Start it with `s3d run`")


def test_status_of_another_server_is_2(s3d) -> None:
    with serving(lambda method, path, body: (404, {}, b"<Error/>")) as (endpoint, _):
        code, _, err = s3d("--endpoint", endpoint, "status")
    assert code == 2
    assert "is not s3d (HTTP 404)" in err


def test_status_works_over_a_unix_socket(s3d, tmp_path: Path) -> None:
    with serving(status_reply(HEALTHY), tmp_path / "s") as (endpoint, _):
        assert s3d("--endpoint", endpoint, "status")[0] == 0


def test_status_of_an_object_asks_for_it_through_the_daemon(s3d) -> None:
    def reply(method: str, path: str, body: bytes) -> Reply:
        if method == "HEAD":
            return 200, {"Content-Length": "0", "Content-Type": "text/plain", "ETag": '"e"'}, b""
        return status_reply(HEALTHY)(method, path, body)

    with serving(reply) as (endpoint, asked):
        code, out, _ = s3d("--endpoint", endpoint, "status", "box/key")
    assert (code, asked[-1][:2]) == (0, ("HEAD", "/box/key"))
    assert 'box/key: 0 bytes, text/plain, ETag "e"' in out


def test_status_of_a_missing_object_is_1(s3d) -> None:
    def reply(method: str, path: str, body: bytes) -> Reply:
        return (404, {}, b"") if method == "HEAD" else status_reply(HEALTHY)(method, path, body)

    with serving(reply) as (endpoint, _):
        code, out, _ = s3d("--endpoint", endpoint, "status", "box/key", "--json")
    assert (code, json.loads(out)["target"]["error"].startswith("There is no object 'box/key'")) == (1, True)


# --- the client


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:1,http://localhost:2", "http://localhost:1"),
        ("http://0.0.0.0:1", "http://127.0.0.1:1"),
        ("http://[::]:1", "http://[::1]:1"),
        ("unix:///run/s,http://localhost:1", "unix:///run/s"),
    ],
)
def test_commands_talk_to_the_first_address_by_loopback(endpoint: str, url: str) -> None:
    assert client.daemon_address(config.read_sources({"endpoint": endpoint}, {})).url == url


def test_a_port_that_the_kernel_chooses_must_be_given(s3d) -> None:
    code, _, err = s3d("--endpoint", "http://localhost:0", "ls")
    assert (code, "Give that with --endpoint" in err) == (2, True)


def test_a_full_disk_under_stdout_is_one_sentence() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "s3d", "config"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert "Traceback" not in done.stderr
    assert (done.returncode != 0, "No space left on device" in done.stderr) == (True, True)


@pytest.mark.parametrize(
    "arguments", [["ls"], ["get", "b/k", "f"], ["rm", "b/k"], ["mb", "box"], ["api", "list-buckets"]]
)
def test_a_missing_daemon_is_3(s3d, nobody: str, arguments: list[str]) -> None:
    code, out, err = s3d("--endpoint", nobody, *arguments)
    assert (code, out) == (3, "")
    assert "Start it with `s3d run`" in err
    assert err.count("\n") == 1


BUCKETS = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>box</Name></Bucket></Buckets></ListAllMyBucketsResult>"


def test_commands_work_over_a_unix_socket(s3d, tmp_path: Path) -> None:
    with serving(lambda method, path, body: (200, {}, BUCKETS), tmp_path / "s") as (endpoint, asked):
        assert s3d("--endpoint", endpoint, "ls") == (0, "box\n", "")
    assert asked[0][2]["Host"] == "localhost"


def test_requests_are_unsigned_without_an_identity_whatever_the_aws_environment(s3d, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "REMOTE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "remote")
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(lambda method, path, body: (200, {}, BUCKETS)) as (endpoint, asked):
        assert s3d("--endpoint", endpoint, "ls")[0] == 0
    assert "Authorization" not in asked[0][2]


def test_requests_are_signed_with_the_identity(s3d, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3D_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("S3D_SECRET_ACCESS_KEY", "secret")
    with serving(lambda method, path, body: (200, {}, BUCKETS)) as (endpoint, asked):
        assert s3d("--endpoint", endpoint, "ls")[0] == 0
    assert "Credential=AKIDEXAMPLE/" in asked[0][2]["Authorization"]


def test_half_an_identity_is_refused_instead_of_leaving_requests_unsigned(s3d, monkeypatch) -> None:
    monkeypatch.setenv("S3D_ACCESS_KEY_ID", "AKIDEXAMPLE")
    with serving(lambda method, path, body: (200, {}, BUCKETS)) as (endpoint, asked):
        code, _, err = s3d("--endpoint", endpoint, "ls")
    assert (code, "S3D_SECRET_ACCESS_KEY is not" in err) == (2, True)
    assert asked == []


@pytest.mark.parametrize("key", ["a//b", "../c", "a/./b", "a b+c%20", "ключ", "a?b#c"])
def test_a_key_reaches_the_daemon_as_it_was_typed(s3d, tmp_path: Path, key: str) -> None:
    import urllib.parse

    with serving(lambda method, path, body: (200, {}, b"bytes")) as (endpoint, asked):
        assert s3d("--endpoint", endpoint, "get", f"box/{key}", "file")[0] == 0
    assert urllib.parse.unquote(asked[0][1]) == f"/box/{key}"


def test_a_refused_signature_leads_to_the_identity(s3d) -> None:
    reply = b"<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>"
    with serving(lambda method, path, body: (403, {}, reply)) as (endpoint, _):
        code, _, err = s3d("--endpoint", endpoint, "ls", "box")
    assert code == 1
    assert "Set S3D_ACCESS_KEY_ID and S3D_SECRET_ACCESS_KEY" in err


# --- listings of several pages


def pages(path: str) -> bytes:
    """A listing of three keys in two pages."""
    last = "continuation-token=t1" in path
    keys = [b"c%0D"] if last else [b"a", b"b"]
    contents = b"".join(b"<Contents><Key>%s</Key><Size>1</Size></Contents>" % key for key in keys)
    more = b"" if last else b"<IsTruncated>true</IsTruncated><NextContinuationToken>t1</NextContinuationToken>"
    return b"<ListBucketResult><EncodingType>url</EncodingType>" + contents + more + b"</ListBucketResult>"


def test_ls_goes_on_to_the_last_page(s3d) -> None:
    with serving(lambda method, path, body: (200, {}, pages(path))) as (endpoint, _):
        _, out, _ = s3d("--endpoint", endpoint, "ls", "-r", "box")
    assert [line.split()[-1] for line in out.splitlines()] == ["a", "b", "c\\r"]


def test_rm_r_deletes_every_page_and_keys_that_xml_cannot_carry_one_by_one(s3d) -> None:
    bodies = []

    def reply(method: str, path: str, body: bytes) -> Reply:
        bodies.append(body)
        return (200, {}, pages(path) if method == "GET" else b"<DeleteResult/>" if method == "POST" else b"")

    with serving(reply) as (endpoint, asked):
        assert s3d("--endpoint", endpoint, "rm", "-r", "--yes", "box")[0] == 0
    assert [(method, path.partition("?")[0]) for method, path, _ in asked] == [
        ("GET", "/box"), ("POST", "/box"), ("GET", "/box"), ("DELETE", "/box/c%0D"),
    ]  # fmt: skip
    assert re.findall(rb"<Key>(.*?)</Key>", bodies[1]) == [b"a", b"b"]


def test_rm_r_tells_keys_that_the_store_keeps_and_is_1(s3d) -> None:
    kept = b"<Error><Key>a</Key><Code>AccessDenied</Code><Message>Locked.</Message></Error>"

    def reply(method: str, path: str, body: bytes) -> Reply:
        return 200, {}, pages(path) if method == "GET" else b"<DeleteResult>" + kept + b"</DeleteResult>"

    with serving(reply) as (endpoint, _):
        code, _, err = s3d("--endpoint", endpoint, "rm", "-r", "--yes", "box")
    assert code == 1
    assert "s3d: box/a: Locked.\n" in err
    assert "1 object could not be deleted" in err


# --- get and put against servers that fail


def test_a_broken_get_leaves_the_old_file_and_nothing_else(s3d, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with serving(lambda method, path, body: (200, {"Content-Length": "100"}, b"short")) as (endpoint, _):
        code, _, err = s3d("--endpoint", endpoint, "get", "box/key", str(tmp_path / "file"))
    assert code == 1
    assert "ended too early" in err or "connection broke" in err
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_get_into_a_directory_that_does_not_exist_says_so(s3d, tmp_path: Path) -> None:
    with serving(lambda method, path, body: (200, {}, b"bytes")) as (endpoint, _):
        code, _, err = s3d("--endpoint", endpoint, "get", "box/key", str(tmp_path / "none" / "file"))
    assert (code, f"directory {tmp_path / 'none'} does not exist" in err) == (1, True)


def test_get_keeps_the_mode_of_a_file_that_it_replaces(s3d, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    with serving(lambda method, path, body: (200, {}, b"bytes")) as (endpoint, _):
        s3d("--endpoint", endpoint, "get", "box/key", str(tmp_path / "file"))
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_get_writes_through_a_symbolic_link(s3d, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    with serving(lambda method, path, body: (200, {}, b"bytes")) as (endpoint, _):
        s3d("--endpoint", endpoint, "get", "box/key", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "bytes"


def test_get_writes_to_a_device_directly(s3d) -> None:
    with serving(lambda method, path, body: (200, {}, b"bytes")) as (endpoint, _):
        assert s3d("--endpoint", endpoint, "get", "box/key", "/dev/null")[0] == 0
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize("key", ["dir/", "a/..", "a/."])
def test_a_key_without_a_file_name_wants_one(s3d, key: str) -> None:
    code, _, err = s3d("get", f"box/{key}")
    assert (code, "name a FILE" in err) == (2, True)


def test_a_failed_upload_in_parts_is_aborted_and_not_completed(s3d, tmp_path: Path) -> None:
    created = b"<InitiateMultipartUploadResult><UploadId>id1</UploadId></InitiateMultipartUploadResult>"

    def reply(method: str, path: str, body: bytes) -> Reply:
        if method == "POST" and path.endswith("?uploads"):
            return 200, {}, created
        if "partNumber=2" in path:
            return 400, {}, b"<Error><Code>BadDigest</Code><Message>Wrong.</Message></Error>"
        return (204, {}, b"") if method == "DELETE" else (200, {"ETag": '"e"'}, b"")

    (tmp_path / "big").write_bytes(bytes(16 << 20))
    with serving(reply) as (endpoint, asked):
        code, _, err = s3d("--endpoint", endpoint, "put", "--part-size", "5MiB", str(tmp_path / "big"), "box/big")
    assert (code, "BadDigest" in err) == (1, True)
    assert asked[-1][:2] == ("DELETE", "/box/big?uploadId=id1")
    assert not any(method == "POST" and "uploadId" in path for method, path, _ in asked)


def test_a_file_that_changes_while_it_is_sent_is_not_stored(s3d, tmp_path: Path) -> None:
    created = b"<InitiateMultipartUploadResult><UploadId>id1</UploadId></InitiateMultipartUploadResult>"
    big = tmp_path / "big"

    def reply(method: str, path: str, body: bytes) -> Reply:
        if "partNumber=1" in path:
            os.utime(big, (1, 1))
        return (204, {}, b"") if method == "DELETE" else (200, {"ETag": '"e"'}, created if "?uploads" in path else b"")

    big.write_bytes(bytes(16 << 20))
    with serving(reply) as (endpoint, asked):
        code, _, err = s3d("--endpoint", endpoint, "put", "--part-size", "5MiB", str(big), "box/big")
    assert (code, "was changed while it was being sent" in err) == (1, True)
    assert asked[-1][0] == "DELETE"


@pytest.mark.parametrize(
    "arguments",
    [
        ["put", "-", "box"], ["put", "-", "box/"], ["get", "box"], ["rm", "box"], ["ls", "/box"],
        ["mb", "box/key"], ["set", "box/key"], ["set", "box/key", "--tag", "novalue"], ["rm", "-r", "box"],
        ["put", "file", "box/key", "--metadata", "=x"], ["put", "file", "box/key", "--part-size", "1MiB"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2_before_anything_is_asked(s3d, nobody: str, tmp_path: Path, arguments: list[str]) -> None:
    code, out, err = s3d("--endpoint", nobody, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_put_of_a_missing_file_or_a_directory_says_so(s3d, tmp_path: Path, nobody: str) -> None:
    code, _, err = s3d("put", "none", "box/key")
    assert (code, err) == (1, "s3d: none: No such file or directory.\n")
    code, _, err = s3d("put", str(tmp_path), "box/key")
    assert code in (1, 2)
    assert "irectory" in err


# --- api


def test_api_lists_operations(s3d) -> None:
    code, out, _ = s3d("api", "--list")
    names = [line.split()[0] for line in out.splitlines()]
    assert code == 0
    assert {"get-object", "list-objects-v2", "put-bucket-policy"} <= set(names)


@pytest.mark.parametrize("name", ["get-object", "GetObject", "get_object", "getobject"])
def test_api_takes_every_spelling_of_an_operation(s3d, name: str) -> None:
    code, out, _ = s3d("api", name, "--help")
    assert (code, out.splitlines()[0]) == (0, "Usage: s3d api get-object --bucket TEXT --key TEXT [OPTIONS]")


def test_every_operation_of_the_model_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    model = api.service_model()
    assert len(model.operation_names) > 100
    for name in model.operation_names:
        operation = model.operation_model(name)
        api.print_help(operation)
        text = capsys.readouterr().out
        assert text.startswith(f"Usage: s3d api {shapes.kebab(name)} ")
        assert not re.search("</?(p|code|b|i|a|note)>", text)
        for member in operation.input_shape.members if operation.input_shape else ():
            assert f"  {shapes.flag(member)} " in text


def test_api_suggests_operations_and_options(s3d) -> None:
    assert "Did you mean get-object" in s3d("api", "get-objct")[2]
    assert "Did you mean --bucket" in s3d("api", "get-object", "--bukket", "x")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get-object", "--bucket", "b"], "also takes --key"),
        (["get-object", "--bucket", "b", "--key", "k"], "add --output FILE"),
        (["get-object", "--bucket"], "--bucket takes a value"),
        (["get-object", "bucket"], "options of get-object begin with --"),
        (["list-objects-v2", "--bucket", "b", "--max-keys", "many"], "a whole number"),
        (["put-bucket-tagging", "--bucket", "b", "--tagging", "{"], "allowed: JSON"),
        (["put-bucket-tagging", "--bucket", "b", "--tagging", "[]"], "a JSON object, members TagSet"),
        (["--bucket", "b"], "stands before the operation"),
    ],
)
def test_api_says_what_is_wrong_with_its_options(s3d, arguments: list[str], message: str) -> None:
    code, _, err = s3d("api", *arguments)
    assert (code, message in err) == (2, True)
