"""What is dropped in one change and released in many: nothing lost, nothing released that is needed, nothing twice."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index.conftest import UPLOAD_ID, Rig
from index.test_model import Model
from s3d.index import garbage, transitions
from s3d.index.records import Bucket, DataFile, Extent, Generation, Part, Upload, UploadedPart

MANY = 3 * garbage.STEP + 5


def collected(rig: Rig) -> list[int]:
    """All that is released by the end, in its order."""
    released: list[int] = []
    while rig.index.has_garbage:
        released += rig.index.collect()
    return released


def put_parts(rig: Rig, count: int) -> tuple[Upload, list[int]]:
    upload = rig.upload("box", b"key")
    files = [rig.put_part(number) for number in range(1, count + 1)]
    rig.flush()
    return upload, files


def completed(upload: Upload, rig: Rig, files: list[int], numbers: list[int]) -> Generation:
    return Generation(
        rig.index.next_generation(),
        10 * len(numbers),
        "e",
        1,
        extents=tuple(Extent(files[number - 1], 0, 10) for number in numbers),
        parts=tuple(Part(number, 10) for number in numbers),
        upload_id=upload.upload_id,
    )


def test_a_large_object_is_dropped_at_once_and_released_in_steps(rig: Rig) -> None:
    files = rig.put_files("box", b"key", MANY)
    rig.flush()
    assert rig.index.delete_objects("box", [b"key"]) == []
    rig.flush()
    assert rig.index.head("box", b"key") is None
    assert sorted(rig.index.files()) == files
    assert len(rig.index.collect()) == garbage.STEP
    assert sorted(collected(rig) + files[: garbage.STEP]) == files
    assert list(rig.index.files()) == []


def test_what_readers_still_see_is_not_collected(rig: Rig) -> None:
    upload, _ = put_parts(rig, MANY)
    rig.index.abort_upload(upload)
    assert rig.index.collect() == []
    assert rig.index.has_garbage
    assert rig.index.upload("box", b"key", UPLOAD_ID) == upload
    assert len(rig.index.parts(UPLOAD_ID)) == MANY
    rig.flush()
    assert len(collected(rig)) == MANY


@pytest.mark.parametrize("steps", range(5))
def test_a_stop_in_between_releases_the_rest_after_it(rig: Rig, steps: int) -> None:
    upload, files = put_parts(rig, MANY)
    others = rig.put_files("box", b"other", MANY)
    rig.index.abort_upload(upload)
    rig.index.delete_objects("box", [b"other"])
    rig.flush()
    released = [file for _ in range(steps) for file in rig.index.collect()]
    rig.restart()
    assert rig.index.has_garbage
    assert sorted(released + collected(rig)) == sorted(files + others)


def test_completing_a_long_upload_keeps_the_chosen_parts_and_releases_the_others(rig: Rig) -> None:
    upload, files = put_parts(rig, MANY)
    numbers = list(range(2, MANY + 1, 2))
    generation = completed(upload, rig, files, numbers)
    assert rig.index.complete_upload(upload, generation) == []
    rig.flush()
    assert rig.index.head("box", b"key") == generation
    assert sorted(collected(rig)) == files[0::2]
    assert sorted(rig.index.files()) == files[1::2]
    assert {file.references for number in files[1::2] if (file := rig.index.file(number))} == {1}
    assert rig.index.parts(UPLOAD_ID) == []


def test_an_object_that_goes_before_its_upload_is_collected_releases_its_files_once(rig: Rig) -> None:
    upload, files = put_parts(rig, MANY)
    rig.index.complete_upload(upload, completed(upload, rig, files, list(range(1, MANY + 1))))
    rig.flush()
    rig.index.delete_objects("box", [b"key"])
    rig.flush()
    assert sorted(collected(rig)) == files


def test_a_long_object_that_does_not_say_its_parts_is_refused(rig: Rig) -> None:
    upload, files = put_parts(rig, MANY)
    with pytest.raises(ValueError, match="names the parts"):
        rig.index.complete_upload(upload, rig.in_files(*files))
    assert rig.index.written_upload("box", b"key", UPLOAD_ID) == upload


def test_a_copy_keeps_the_files_of_what_was_dropped(rig: Rig) -> None:
    files = rig.put_files("box", b"key", MANY)
    rig.index.put_object("box", b"copy", rig.in_files(*files))
    rig.index.delete_objects("box", [b"key"])
    rig.flush()
    assert collected(rig) == []
    assert sorted(rig.index.files()) == files


def test_garbage_that_cannot_be_read_does_not_hold_up_the_rest(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.put_files("box", b"bad", MANY)
    files = rig.put_files("box", b"good", MANY)
    bad = rig.index.written_head("box", b"bad")
    assert bad is not None
    rig.index.delete_objects("box", [b"bad", b"good"])
    rig.flush()
    rig.index._rows.family(transitions.Family.DETAILS).delete(transitions.number_key(bad.number))
    assert sorted(collected(rig)) == files
    assert "cannot be released" in caplog.text


def test_deleting_a_bucket_leaves_the_parts_of_its_uploads_to_be_collected(rig: Rig) -> None:
    _, files = put_parts(rig, MANY)
    assert rig.index.delete_bucket("box") == []
    rig.flush()
    assert rig.index.bucket("box") is None
    assert sorted(collected(rig)) == files


def test_parts_that_change_are_noticed_by_who_watches_them(rig: Rig) -> None:
    upload, _ = put_parts(rig, 3)
    with rig.index.watch_parts(UPLOAD_ID) as first:
        assert first()
        with rig.index.watch_parts(UPLOAD_ID) as second, rig.index.watch_parts("f" * 32) as other:
            rig.put_part(2)
            assert not first()
            assert not second()
            assert other()
    with rig.index.watch_parts(UPLOAD_ID) as again:
        assert again()
        rig.index.reopen()
        # What was written and not flushed may be gone.
        assert not again()
    assert rig.index._watches == {}
    rig.index.abort_upload(upload)


def test_many_deleted_objects_before_the_end_of_a_bucket_are_told_and_tidied(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than RocksDB takes for a reason to merge a table (`s3d.index.rows`).
    monkeypatch.setattr(transitions, "LITTER", 1000)
    keys = [b"%05d" % number for number in range(3000)]
    for key in keys:
        rig.put("box", key, b"")
    rig.put("box-2", b"other", b"")
    rig.flush()
    assert not rig.index.bucket_is_littered("box")
    rig.index.delete_objects("box", keys)
    assert rig.index.bucket_is_littered("box")
    assert rig.index.bucket_is_empty("box")
    rig.flush()
    rig.index.tidy()
    deadline_s = time.monotonic() + 20
    while rig.index.bucket_is_littered("box"):
        assert time.monotonic() < deadline_s
        rig.wait(rig.index.renew)
    assert rig.index.bucket_is_empty("box")


class GarbageMachine(RuleBasedStateMachine):
    """Two files are much, and two a step."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = [
            patch.object(transitions, "DROPPED_AT_ONCE", 2),
            patch.object(transitions, "DETAILS_AT_ONCE_BYTES", 0),
            patch.object(garbage, "STEP", 2),
        ]
        for each in self.patches:
            each.start()
        self.directory = Path(tempfile.mkdtemp(prefix="s3d-index-garbage-"))
        self.starts = 0
        self.uploads = 0
        self.rig = Rig(self.directory / "0")
        self.rig.index.create_bucket(Bucket("b", 1))
        self.rig.flush()
        self.written, self.durable = Model(), Model()

    def teardown(self) -> None:
        self.rig.flush()
        self.check_released(collected(self.rig))
        counted = self.written.references()
        assert sorted(self.rig.index.files()) == sorted(counted)
        for number, references in counted.items():
            file = self.rig.index.file(number)
            assert file is not None
            assert file.references == references
        self.rig.close()
        shutil.rmtree(self.directory)
        for each in self.patches:
            each.stop()

    def check_released(self, released: list[int]) -> None:
        assert len(set(released)) == len(released)
        assert not set(released) & self.written.references().keys()

    def new_files(self, count: int) -> list[tuple[int, DataFile]]:
        return [(self.rig.index.next_file(), DataFile(10, 1)) for _ in range(count)]

    @rule(key=st.sampled_from([b"1", b"2"]), count=st.integers(1, 12))
    def put(self, key: bytes, count: int) -> None:
        files = self.new_files(count)
        generation = self.rig.in_files(*(number for number, _ in files), files[0][0])
        released = self.rig.index.put_object("b", key, generation, new_files=files)
        self.written.objects["b", key] = generation, None
        self.check_released(released)

    @rule(source=st.sampled_from([b"1", b"2"]), key=st.sampled_from([b"1", b"2"]))
    def copy(self, source: bytes, key: bytes) -> None:
        found = self.rig.index.written_head("b", source)
        if found is not None:
            copied = self.rig.in_files(*(extent.file for extent in found.extents))
            released = self.rig.index.put_object("b", key, copied)
            self.written.objects["b", key] = copied, None
            self.check_released(released)

    @rule(keys=st.lists(st.sampled_from([b"1", b"2"])))
    def delete(self, keys: list[bytes]) -> None:
        released = self.rig.index.delete_objects("b", keys)
        for key in keys:
            self.written.objects.pop(("b", key), None)
        self.check_released(released)

    @rule()
    def create_upload(self) -> None:
        self.uploads += 1
        upload = Upload("b", b"1", f"{self.uploads:032x}", 1)
        self.rig.index.create_upload(upload)
        self.written.uploads["b", b"1", upload.upload_id] = upload

    @rule(number=st.integers(1, 12), count=st.integers(0, 2), which=st.integers(0, 2))
    def put_part(self, number: int, count: int, which: int) -> None:
        if self.written.uploads:
            upload = list(self.written.uploads.values())[which % len(self.written.uploads)]
            files = self.new_files(count)
            extents = tuple(Extent(file, 0, 10) for file, _ in files)
            part = UploadedPart(number, 10 * count, "e", 1, extents)
            released = self.rig.index.put_part(upload.upload_id, part, files)
            self.written.parts[upload.upload_id, number] = part
            self.check_released(released)

    @rule(which=st.integers(0, 2), abort=st.booleans(), skip=st.integers(1, 12))
    def end_upload(self, which: int, abort: bool, skip: int) -> None:
        if not self.written.uploads:
            return
        upload = list(self.written.uploads.values())[which % len(self.written.uploads)]
        places = sorted(place for place in self.written.parts if place[0] == upload.upload_id)
        parts = [self.written.parts.pop(place) for place in places]
        del self.written.uploads["b", b"1", upload.upload_id]
        if abort:
            released = self.rig.index.abort_upload(upload)
        else:
            chosen = [part for part in parts if part.number != skip]
            generation = Generation(
                self.rig.index.next_generation(),
                sum(part.size_bytes for part in chosen),
                "e",
                1,
                extents=tuple(extent for part in chosen for extent in part.extents),
                parts=tuple(Part(part.number, part.size_bytes) for part in chosen),
            )
            released = self.rig.index.complete_upload(upload, generation)
            self.written.objects["b", b"1"] = generation, None
        self.check_released(released)

    @rule()
    def collect(self) -> None:
        self.check_released(self.rig.index.collect())

    @rule()
    def flush(self) -> None:
        self.rig.flush()
        self.durable = self.written.copy()

    @rule()
    def restart(self) -> None:
        self.rig.restart()
        self.durable = self.written.copy()

    @rule()
    def crash(self) -> None:
        self.starts += 1
        before = self.rig.directory
        self.rig.crash(self.directory / str(self.starts))
        shutil.rmtree(before)
        self.written = self.durable.copy()

    @invariant()
    def readers_see_what_is_durable(self) -> None:
        for key in (b"1", b"2"):
            found = self.durable.objects.get(("b", key))
            assert self.rig.index.head("b", key) == (None if found is None else found[0])
        for upload in self.durable.uploads.values():
            assert self.rig.index.upload("b", b"1", upload.upload_id) == upload
            assert self.rig.index.parts(upload.upload_id) == [
                part for place, part in sorted(self.durable.parts.items()) if place[0] == upload.upload_id
            ]

    @invariant()
    def no_file_that_is_needed_lost_its_row(self) -> None:
        assert self.written.references().keys() <= set(self.rig.index.files())


TestGarbageMachine = GarbageMachine.TestCase
TestGarbageMachine.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
