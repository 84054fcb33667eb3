"""Standalone after a restart: large objects with a byte that changed on the disk meanwhile."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from servers.daemon import S3dDaemon

MIB = 1 << 20
BODY = random.Random(4).randbytes(24 * MIB + 77)
BAD = 17
"""The block in which a byte changed."""


class Standalone(S3dDaemon):
    def get(self, path: str, byte_range: tuple[int, int] | None = None) -> tuple[int, bytes, bool]:
        """Status, the bytes that came, and whether they were all, by hand: an SDK would ask again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Range": "bytes={}-{}".format(*byte_range)} if byte_range else {})
            answer = connection.getresponse()
            try:
                return answer.status, answer.read(), True
            except http.client.IncompleteRead as error:
                return answer.status, error.partial, False
        finally:
            connection.close()

    def local(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/_s3d/status")[1])["local"]
        return found

    def data_file(self) -> Path:
        [path] = (path for path in (self.local_dir / "data").rglob("*") if path.is_file())
        return path


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Standalone]:
    """Holds one object, the file of which it has not touched since it was started."""
    made = Standalone(tmp_path, standalone=True, identity=None)
    made.expect_log(r" (ERROR|WARNING) s3d\.(server|store\.touch): ")
    try:
        made.start()
        s3 = made.client()
        s3.create_bucket(Bucket="notes")
        s3.put_object(Bucket="notes", Key="large", Body=BODY)
        s3.close()
        made.stop()
        made.start()
        yield made
        made.stop()
    finally:
        made.kill()


def damage(daemon: Standalone) -> None:
    with daemon.data_file().open("r+b") as file:
        file.seek(BAD * MIB + 5)
        byte = file.read(1)
        file.seek(BAD * MIB + 5)
        file.write(bytes([byte[0] ^ 0x80]))


def test_a_sound_object_is_served_whole_after_a_restart(daemon: Standalone) -> None:
    assert daemon.get("/notes/large") == (200, BODY, True)
    assert (daemon.local()["health"], daemon.local()["mismatches"]) == ("ok", 0)


def test_a_range_in_a_damaged_block_is_an_internal_error_and_status_names_the_file(daemon: Standalone) -> None:
    damage(daemon)
    status, answer, _ = daemon.get("/notes/large", (BAD * MIB + 100, BAD * MIB + 200))
    assert status == 500
    assert b"<Code>InternalError</Code>" in answer
    assert f"{daemon.data_file()} is not what was written" in daemon.log
    local = daemon.local()
    assert local["health"] == "failing"
    assert str(daemon.data_file()) in local["problems"][0]
    assert local["mismatches"] == 1


def test_ranges_beside_a_damaged_block_are_served(daemon: Standalone) -> None:
    damage(daemon)
    for start, end in ((0, BAD * MIB - 1), ((BAD + 1) * MIB, len(BODY) - 1)):
        assert daemon.get("/notes/large", (start, end)) == (206, BODY[start : end + 1], True)


def test_an_answer_that_comes_to_a_damaged_block_is_cut_before_it(daemon: Standalone) -> None:
    damage(daemon)
    status, answer, whole = daemon.get("/notes/large")
    assert (status, whole) == (200, False)
    assert len(answer) <= BAD * MIB
    assert answer == BODY[: len(answer)]


def test_a_copy_that_needs_the_bytes_of_a_damaged_object_fails(daemon: Standalone) -> None:
    damage(daemon)
    s3 = daemon.client()
    with pytest.raises(ClientError, match="InternalError"):
        s3.copy_object(Bucket="notes", Key="copy", CopySource="notes/large", ChecksumAlgorithm="SHA256")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="notes")["Contents"]] == ["large"]
    s3.close()


def test_a_file_of_another_object_under_the_name_of_this_one_is_an_internal_error(daemon: Standalone) -> None:
    s3 = daemon.client()
    s3.put_object(Bucket="notes", Key="other", Body=BODY[::-1])
    s3.close()
    daemon.stop()
    mine, other = sorted(path for path in (daemon.local_dir / "data").rglob("*") if path.is_file())
    other.replace(mine)
    daemon.start()
    status, answer, _ = daemon.get("/notes/large", (0, 100))
    assert status == 500
    assert b"<Code>InternalError</Code>" in answer
    assert daemon.local()["mismatches"] == 1
