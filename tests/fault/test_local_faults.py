"""Standalone when its own disk fails: full, read-only, damaged, taken, from the future.

Each ends in an error that names the path, never in wrong bytes and never in a traceback; what can be served is served.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from servers.daemon import S3dDaemon, s3d_command

BIG = 300_000
ON_DISK = (
    r"ERROR s3d\.(server|objects|store\.touch): ",
    r"WARNING s3d\.(index\.\w+|objects): ", r"ERROR s3d: s3d cannot start: ",
)  # fmt: skip
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system, which takes root")


class Standalone(S3dDaemon):
    """A standalone s3d whose directory is the test's to spoil while it is stopped."""

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, standalone=True, identity=None, **options)

    def start_to_fail(self) -> str:
        """Start it; returns what it said when it ended by itself with exit code 1."""
        before = len(self.log)
        self.process.spawn()
        assert self.process.wait(30) == 1, self.log
        said = self.log[before:]
        assert "Traceback" not in said
        return said

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*s3d_command(), *arguments], env=self.process.env, capture_output=True, text=True, timeout=60
        )

    def get(self, key: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body, by hand: an SDK would ask again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", f"/notes/{key}", headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, key: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("PUT", f"/notes/{key}" if key else "/notes", body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/_s3d/status")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def data_files(self) -> list[Path]:
        return sorted(path for path in (self.local_dir / "data").rglob("*") if path.is_file())

    def tables(self, pattern: str) -> list[Path]:
        return sorted((self.local_dir / "index" / "rows").glob(pattern))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Standalone]]:
    """Makes a `Standalone`; each is stopped, and its log looked through, at the end."""
    made: list[Standalone] = []

    def one(directory: Path | None = None, **options: Any) -> Standalone:
        made.append(Standalone(directory or tmp_path.resolve() / f"s3d-{len(made)}", **options))
        return made[-1]

    yield one
    try:
        for daemon in made:
            if daemon.process.running:
                daemon.stop()
    finally:
        for daemon in made:
            daemon.kill()


@pytest.fixture
def filled(make: Callable[..., Standalone]) -> Standalone:
    """A stopped one that holds a small object and two large ones."""
    daemon = make(expect_log=ON_DISK)
    daemon.start()
    assert daemon.put("", b"")[0] == 200
    for key, body in (("small", b"s" * 100), ("first", b"1" * BIG), ("second", b"2" * BIG)):
        assert daemon.put(key, body)[0] == 200
    daemon.stop()
    return daemon


@contextlib.contextmanager
def mounted(directory: Path, size: str) -> Iterator[Path]:
    """A small file system of its own."""
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(1 << 16))
    finally:
        os.close(fd)


def eventually(found: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not found():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


# The disk is full.


@needs_root
def test_a_full_disk_refuses_writes_serves_reads_and_takes_writes_again_when_there_is_room(make, tmp_path):
    with mounted(tmp_path / "disk", "600m") as disk:
        daemon = make(disk / "s3d", expect_log=ON_DISK)
        daemon.start()
        assert daemon.put("", b"")[0] == 200
        assert daemon.put("small", b"s" * 100)[0] == 200
        assert daemon.put("large", b"L" * BIG)[0] == 200
        fill(disk / "ballast")
        status, answer = daemon.put("refused", b"r" * BIG)
        assert status == 503
        assert str(daemon.local_dir).encode() in answer
        # Small ones lie in the log of the index, whose last page has room for some.
        assert eventually(lambda: daemon.put("refused", b"r" * 8000)[0] == 503)
        assert daemon.status()["health"] == "failing"
        assert daemon.get("small") == (200, b"s" * 100)
        assert daemon.get("large") == (200, b"L" * BIG)
        assert daemon.client().list_objects_v2(Bucket="notes")["KeyCount"] >= 2
        os.unlink(disk / "ballast")
        assert eventually(lambda: daemon.put("again", b"a" * 8000)[0] == 200)
        assert daemon.put("again-large", b"A" * BIG)[0] == 200
        assert daemon.status()["health"] == "ok"
        assert daemon.get("small") == (200, b"s" * 100)
        daemon.stop()
        done = daemon.command("store", "verify")
        assert done.returncode == 0, done.stdout + done.stderr


# The disk is read-only.


@needs_root
def test_a_read_only_volume_is_an_error_that_names_the_path(filled):
    target = str(filled.local_dir)
    if subprocess.run(["mount", "--bind", "-o", "ro", target, target], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True)
        said = filled.start_to_fail()
    finally:
        subprocess.run(["umount", "-l", target], check=True)
    assert f"{target}/" in said
    assert "Read-only file system" in said


# The disk refuses to read or write.


@pytest.fixture(scope="module")
def faulty_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("faulty") / "faulty.so"
    source = Path(__file__).parent.parent / "core" / "faulty.c"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("fault", ["pwrite:5:1", "fdatasync:5:1!", "linkat:5:1!"])
def test_an_io_error_while_a_file_is_written_names_it_and_leaves_nothing(make, faulty_library, fault):
    daemon = make(expect_log=ON_DISK)
    # Only what lies below data/: the index is another matter.
    daemon.process.env |= {
        "LD_PRELOAD": str(faulty_library), "FAULTY": fault, "FAULTY_ROOT": str(daemon.local_dir / "data"),
    }  # fmt: skip
    daemon.start()
    assert daemon.put("", b"")[0] == 200
    status, answer = daemon.put("large", b"L" * 3_000_000)
    assert status == 500
    assert str(daemon.local_dir / "data").encode() in answer
    assert daemon.get("large")[0] == 404
    assert daemon.data_files() == []
    if fault.endswith("!"):
        assert daemon.put("large", b"M" * 3_000_000)[0] == 200
        assert daemon.get("large") == (200, b"M" * 3_000_000)


# Data files are damaged.


def test_a_flipped_byte_in_a_data_file_is_never_served(filled):
    path, _ = filled.data_files()
    flip(path, BIG // 2)
    filled.start()
    for headers in ({}, {"Range": "bytes=0-99"}, {"Range": f"bytes={BIG // 2}-{BIG // 2}"}):
        status, answer = filled.get("first", headers)
        assert status == 500
        assert str(path).encode() in answer
    assert filled.get("second") == (200, b"2" * BIG)
    assert any(str(path) in problem for problem in filled.status()["local"]["problems"])


def test_a_damaged_source_is_not_hashed_anew_by_a_copy(filled):
    flip(filled.data_files()[0], 10)
    filled.start()
    with pytest.raises(ClientError, match="not what was written"):
        filled.client().copy_object(Bucket="notes", Key="copy", CopySource="notes/first", ChecksumAlgorithm="SHA256")


def test_a_file_that_is_put_back_is_served_again_without_a_restart(filled, tmp_path):
    path = filled.data_files()[0]
    shutil.copy(path, tmp_path / "backup")
    flip(path, 10)
    filled.start()
    assert filled.get("first")[0] == 500
    shutil.copy(tmp_path / "backup", path)
    assert filled.get("first") == (200, b"1" * BIG)
    assert filled.status()["health"] == "ok"


@pytest.mark.parametrize("how", ["short", "gone"])
def test_a_data_file_that_is_short_or_gone_is_an_error_that_names_it(filled, how):
    path = filled.data_files()[0]
    if how == "short":
        os.truncate(path, 1000)
    else:
        path.unlink()
    filled.start()
    status, answer = filled.get("first")
    assert status == 500
    assert str(path).encode() in answer


def test_verify_finds_what_is_damaged_and_names_object_and_file(filled):
    path = filled.data_files()[1]
    flip(path, 10)
    done = filled.command("store", "verify")
    assert done.returncode == 1
    assert f"notes/second: {path}: its data has XXH3" in done.stdout
    assert "1 problem." in done.stdout
    found = json.loads(filled.command("store", "verify", "--json").stdout)
    assert [(one["bucket"], one["key"], one["path"]) for one in found["problems"]] == [("notes", "second", str(path))]


def test_verify_changes_nothing(filled):
    filled.start()
    assert filled.put("later", b"x")[0] == 200
    filled.kill()
    before = {path: path.read_bytes() for path in filled.local_dir.rglob("*") if path.is_file()}
    done = filled.command("store", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    after = {path: path.read_bytes() for path in filled.local_dir.rglob("*") if path.is_file()}
    assert {path for path in before | after if before.get(path) != after.get(path)} <= {filled.local_dir / "lock"}


# The index is damaged.


def test_a_flipped_byte_in_the_log_stops_the_start_and_names_the_log(filled):
    filled.start()
    for number in range(30):
        assert filled.put(f"later-{number}", b"x" * 2000)[0] == 200
    filled.kill()
    log = filled.tables("*.log")[-1]
    flip(log, log.stat().st_size // 3)
    said = filled.start_to_fail()
    assert str(log) in said
    assert "s3d store repair" in said
    assert filled.command("store", "verify").returncode == 1
    done = filled.command("store", "repair")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rows.kept" in done.stdout
    filled.start()
    assert filled.get("first") == (200, b"1" * BIG)
    assert filled.get("later-0")[0] in (200, 404)


def test_a_damaged_table_is_never_a_wrong_answer(filled):
    for table in filled.tables("*.sst"):
        flip(table, 20)
    try:
        filled.start()
    except RuntimeError:
        assert str(filled.local_dir / "index") in filled.log
        assert "Traceback" not in filled.log
        return
    for key, body in (("small", b"s" * 100), ("first", b"1" * BIG)):
        assert filled.get(key) == (200, body) or filled.get(key)[0] == 500


def test_an_index_without_its_manifest_can_be_begun_anew_and_files_come_back(filled):
    filled.tables("MANIFEST-*")[0].unlink()
    assert str(filled.local_dir / "index") in filled.start_to_fail()
    refused = filled.command("store", "repair")
    assert refused.returncode == 1
    assert "--new-index" in refused.stderr
    done = filled.command("store", "repair", "--new-index")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (filled.local_dir / "index.damaged" / "rows").is_dir()
    adopted = filled.command("store", "adopt")
    assert adopted.returncode == 0, adopted.stdout + adopted.stderr
    assert "notes/first: back" in adopted.stdout
    filled.start()
    assert filled.get("first") == (200, b"1" * BIG)
    assert filled.get("second") == (200, b"2" * BIG)
    assert filled.get("small")[0] == 404


# lost+found.


def test_adopt_never_overwrites_a_newer_object(filled):
    shutil.rmtree(filled.local_dir / "index")
    filled.start()
    assert filled.put("", b"")[0] == 200
    assert filled.put("first", b"newer")[0] == 200
    lost = filled.local_dir / "lost+found"
    assert eventually(lambda: len(list(lost.iterdir())) == 2)
    filled.stop()
    done = filled.command("store", "adopt")
    assert done.returncode == 1
    assert "left, a newer object is under its key; it was notes/first" in done.stdout
    assert "notes/second: back" in done.stdout
    assert len(list(lost.iterdir())) == 1
    filled.start()
    assert filled.get("first") == (200, b"newer")
    assert filled.get("second") == (200, b"2" * BIG)


def test_adopt_leaves_a_file_whose_bytes_are_not_what_it_says(filled):
    shutil.rmtree(filled.local_dir / "index")
    path = filled.data_files()[0]
    flip(path, 10)
    done = filled.command("store", "adopt", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["objects"], found["left"]) == (1, 1)
    assert [one["key"] for one in found["files"] if not one["adopted"]] == ["first"]


def test_adopt_brings_an_upload_back_with_its_parts_and_completes_it_when_asked(make):
    daemon = make(expect_log=ON_DISK)
    daemon.start()
    s3 = daemon.client()
    s3.create_bucket(Bucket="notes")
    upload = s3.create_multipart_upload(Bucket="notes", Key="long", ContentType="text/x")["UploadId"]
    bodies = [b"1" * (5 << 20), b"2" * 1000]
    for number, body in enumerate(bodies, 1):
        s3.upload_part(Bucket="notes", Key="long", UploadId=upload, PartNumber=number, Body=body)
    daemon.stop()
    shutil.rmtree(daemon.local_dir / "index")
    done = daemon.command("store", "adopt", "--complete")
    assert done.returncode == 0, done.stdout + done.stderr
    daemon.start()
    assert daemon.get("long") == (200, b"".join(bodies))
    assert s3.head_object(Bucket="notes", Key="long")["ContentType"] == "text/x"
    s3.close()


# The directory is taken, or from the future.


def test_a_directory_of_a_running_s3d_is_refused_with_its_pid(filled, make):
    filled.start()
    second = make(filled.local_dir.parent, expect_log=ON_DISK)
    said = second.start_to_fail()
    assert f"pid {filled.pid}" in said
    assert str(filled.local_dir) in said
    for command in ("verify", "adopt", "repair"):
        done = filled.command("store", command)
        assert done.returncode == 4
        assert f"pid {filled.pid}" in done.stderr
    assert filled.get("small") == (200, b"s" * 100)


def test_a_directory_from_a_newer_version_is_refused(filled):
    (filled.local_dir / "format").write_text("2\n")
    said = filled.start_to_fail()
    assert str(filled.local_dir / "format") in said
    assert filled.command("store", "verify").returncode == 1


def test_store_commands_refuse_a_directory_that_is_none_of_s3ds(make, tmp_path):
    done = make().command("store", "verify", "--local-dir", str(tmp_path))
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert list(tmp_path.iterdir()) == []
