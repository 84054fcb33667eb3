"""`s3d bench` against a store that checks signatures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
import uvloop
from typer.testing import CliRunner

from s3d.cli import bench
from s3d.cli.bench_run import Side, Workload, compare
from s3d.cli.console import UNREACHABLE, Failure
from servers.process import free_ports
from servers.remotes import Remote

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()

SHORT = ["--duration", "0.2s", "--slice", "0.1s", "--warmup", "0.1s", "--objects", "5", "--connections", "3"]


def invoke(*arguments: str) -> None:
    """Run the command; raises what it raises."""
    app = typer.Typer()
    app.callback()(lambda: None)
    bench.register(app)
    result = CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def identity(remote: Remote) -> list[str]:
    return [
        *("--access-key", remote.credentials.access_key_id),
        *("--secret-key", remote.credentials.secret_access_key),
    ]


def buckets(remote: Remote) -> list[str]:
    client = remote.client()
    try:
        return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    finally:
        client.close()


@pytest.mark.parametrize(("workload", "body_bytes"), [("get", 70_000), ("put", 70_000), ("head", 0), ("range", 4096)])
def test_a_workload_is_answered_without_errors_and_leaves_nothing(
    seaweedfs: Remote, tmp_path: Path, workload: str, body_bytes: int
) -> None:
    before = buckets(seaweedfs)
    found = tmp_path / "found.json"
    invoke(
        workload,
        "--endpoint",
        seaweedfs.endpoint,
        *identity(seaweedfs),
        "--size",
        "70000",
        *SHORT,
        "--json",
        str(found),
    )
    [side] = json.loads(found.read_text())["sides"]
    assert side["requests"] > 0
    assert side["errors"] == {}
    assert (side["mb_per_s"]["median"] > 0) == (body_bytes > 0)
    assert buckets(seaweedfs) == before


def test_uploads_can_be_signed_with_their_hash(seaweedfs: Remote) -> None:
    invoke("put", "--endpoint", seaweedfs.endpoint, *identity(seaweedfs), "--size", "100000", *SHORT, "--sign-payload")


def test_sides_take_turns_and_each_is_compared_with_the_first(seaweedfs: Remote, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    again = seaweedfs.endpoint.replace("127.0.0.1", "localhost")
    invoke(
        *("get", "--endpoint", seaweedfs.endpoint, *identity(seaweedfs), "--against", f"again={again}"),
        *("--against-access-key", seaweedfs.credentials.access_key_id),
        *("--against-secret-key", seaweedfs.credentials.secret_access_key),
        *(*SHORT, "--json", str(found)),
    )
    data = json.loads(found.read_text())
    assert [side["name"] for side in data["sides"]] == ["s3d", "again"]
    assert [side["errors"] for side in data["sides"]] == [{}, {}]
    [ratio] = data["ratios"]
    assert (ratio["name"], ratio["against"]) == ("s3d", "again")
    assert ratio["rate"]["low"] <= ratio["rate"]["median"] <= ratio["rate"]["high"]


def test_a_wrong_secret_is_told_in_the_words_of_the_server(seaweedfs: Remote) -> None:
    keys = ["--access-key", seaweedfs.credentials.access_key_id, "--secret-key", "wrong"]
    with pytest.raises(Failure, match="SignatureDoesNotMatch"):
        invoke("get", "--endpoint", seaweedfs.endpoint, *keys, *SHORT)


def test_a_bucket_that_is_given_keeps_its_other_objects(seaweedfs: Remote) -> None:
    client = seaweedfs.client()
    try:
        client.create_bucket(Bucket="bench-given")
        client.put_object(Bucket="bench-given", Key="mine", Body=b"x")
        invoke("put", "--endpoint", seaweedfs.endpoint, *identity(seaweedfs), "--bucket", "bench-given", *SHORT)
        assert [each["Key"] for each in client.list_objects_v2(Bucket="bench-given")["Contents"]] == ["mine"]
        client.delete_object(Bucket="bench-given", Key="mine")
        client.delete_bucket(Bucket="bench-given")
    finally:
        client.close()


def test_a_cancelled_run_leaves_nothing(seaweedfs: Remote) -> None:
    before = buckets(seaweedfs)
    keys = seaweedfs.credentials
    side = Side("store", seaweedfs.endpoint, keys.access_key_id, keys.secret_access_key)

    async def main() -> None:
        measuring = asyncio.Event()
        workload = Workload("get", objects=3, duration_s=60, slice_s=0.05, warmup_s=0)
        task = asyncio.create_task(compare([side], workload, lambda *_: measuring.set()))
        await measuring.wait()
        assert buckets(seaweedfs) != before
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    uvloop.run(asyncio.wait_for(main(), 60))
    assert buckets(seaweedfs) == before


def test_an_endpoint_that_is_not_there_is_told_as_unreachable() -> None:
    [port] = free_ports(1)
    with pytest.raises(Failure, match="cannot connect") as refused:
        invoke("get", "--endpoint", f"http://127.0.0.1:{port}", "--unsigned", *SHORT)
    assert refused.value.code == UNREACHABLE
