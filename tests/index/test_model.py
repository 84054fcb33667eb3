"""The index against a dict: any sequence of changes, flushes, restarts and crashes."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index.conftest import Rig
from s3d.index.records import Bucket, DataFile, Extent, Generation, Part, Upload, UploadedPart

BUCKETS = ("b", "b-2", "b2")
KEYS = (b"", b"\0", b"\0\xff", b"\0\1", b"a", b"a\0", b"a/", b"a/b", b"\xff", b"\xff\xff")
IDS = ("0" * 32, "0" * 31 + "1", "f" * 32)

buckets = st.sampled_from(BUCKETS)
keys = st.sampled_from(KEYS)
ids = st.sampled_from(IDS)

Object = tuple[Generation, bytes | None]


class Model:
    """What ought to be there."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, bytes], Object] = {}
        self.uploads: dict[tuple[str, bytes, str], Upload] = {}
        self.parts: dict[tuple[str, int], UploadedPart] = {}

    def copy(self) -> Model:
        copied = Model()
        copied.objects, copied.uploads, copied.parts = dict(self.objects), dict(self.uploads), dict(self.parts)
        return copied

    def references(self) -> Counter[int]:
        counted: Counter[int] = Counter()
        for generation, _ in self.objects.values():
            counted.update(extent.file for extent in generation.extents)
        for part in self.parts.values():
            counted.update(extent.file for extent in part.extents)
        return counted


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="s3d-index-model-"))
        self.starts = 0
        self.rig = Rig(self.directory / "0")
        self.written = Model()
        for name in BUCKETS:
            self.rig.index.create_bucket(Bucket(name, 1))
        self.rig.flush()
        self.durable = Model()

    def teardown(self) -> None:
        self.rig.close()
        shutil.rmtree(self.directory)

    def released(self, before: Counter[int]) -> list[int]:
        """The files that the model gave up since ``before`` was counted."""
        return sorted(before.keys() - self.written.references().keys())

    def new_files(self, count: int) -> list[tuple[int, DataFile]]:
        return [(self.rig.index.next_file(), DataFile(10, 1)) for _ in range(count)]

    @rule(bucket=buckets, key=keys, body=st.binary(max_size=20))
    def put_inline(self, bucket: str, key: bytes, body: bytes) -> None:
        before = self.written.references()
        generation = self.rig.inline(body)
        released = self.rig.index.put_object(bucket, key, generation, body=body)
        self.written.objects[bucket, key] = generation, body
        assert sorted(released) == self.released(before)

    @rule(bucket=buckets, key=keys, count=st.sampled_from([1, 2, 9]))
    def put_files(self, bucket: str, key: bytes, count: int) -> None:
        before = self.written.references()
        files = self.new_files(count)
        # One file in two places counts twice.
        generation = self.rig.in_files(*(number for number, _ in files), files[0][0])
        released = self.rig.index.put_object(bucket, key, generation, new_files=files)
        self.written.objects[bucket, key] = generation, None
        assert sorted(released) == self.released(before)

    @rule(source=st.tuples(buckets, keys), bucket=buckets, key=keys)
    def copy_object(self, source: tuple[str, bytes], bucket: str, key: bytes) -> None:
        if source not in self.written.objects:
            return
        before = self.written.references()
        generation, body = self.written.objects[source]
        generation = msgspec.structs.replace(generation, number=self.rig.index.next_generation())
        released = self.rig.index.put_object(bucket, key, generation, body=body)
        self.written.objects[bucket, key] = generation, body
        assert sorted(released) == self.released(before)

    @rule(bucket=buckets, chosen=st.lists(keys, max_size=5))
    def delete_objects(self, bucket: str, chosen: list[bytes]) -> None:
        before = self.written.references()
        released = self.rig.index.delete_objects(bucket, chosen)
        for key in chosen:
            self.written.objects.pop((bucket, key), None)
        assert sorted(released) == self.released(before)

    @rule(bucket=buckets, key=keys, tag=st.sampled_from(["", "a", "b"]))
    def alter_object(self, bucket: str, key: bytes, tag: str) -> None:
        if (bucket, key) not in self.written.objects:
            return
        generation, body = self.written.objects[bucket, key]
        generation = msgspec.structs.replace(generation, tags=((tag, ""),))
        self.rig.index.alter_object(bucket, key, generation)
        self.written.objects[bucket, key] = generation, body

    @rule(bucket=buckets, key=keys, upload_id=ids)
    def create_upload(self, bucket: str, key: bytes, upload_id: str) -> None:
        if any(used == upload_id for _, _, used in self.written.uploads):
            return
        upload = Upload(bucket, key, upload_id, 1)
        self.rig.index.create_upload(upload)
        self.written.uploads[bucket, key, upload_id] = upload

    @rule(upload_id=ids, number=st.integers(1, 12), count=st.integers(0, 2))
    def put_part(self, upload_id: str, number: int, count: int) -> None:
        if not any(used == upload_id for _, _, used in self.written.uploads):
            return
        before = self.written.references()
        files = self.new_files(count)
        part = UploadedPart(number, 10 * count, "e", 1, tuple(Extent(file, 0, 10) for file, _ in files))
        released = self.rig.index.put_part(upload_id, part, files)
        self.written.parts[upload_id, number] = part
        assert sorted(released) == self.released(before)

    @rule(upload_id=ids, abort=st.booleans(), skip=st.integers(1, 12))
    def end_upload(self, upload_id: str, abort: bool, skip: int) -> None:
        found = [upload for place, upload in self.written.uploads.items() if place[2] == upload_id]
        if not found:
            return
        (upload,) = found
        before = self.written.references()
        parts = [self.written.parts.pop(place) for place in sorted(self.written.parts) if place[0] == upload_id]
        del self.written.uploads[upload.bucket, upload.key, upload_id]
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
            self.written.objects[upload.bucket, upload.key] = generation, None
        assert sorted(released) == self.released(before)

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
        """Go on with what is on the disk, as after kill -9."""
        self.starts += 1
        before = self.rig.directory
        self.rig.crash(self.directory / str(self.starts))
        shutil.rmtree(before)
        assert not self.rig.index.behind
        self.written = self.durable.copy()

    @invariant()
    def readers_see_what_is_durable(self) -> None:
        index = self.rig.index
        for bucket in BUCKETS:
            expected = sorted(
                (key, self.durable.objects[owner, key]) for owner, key in self.durable.objects if owner == bucket
            )
            scan = index.scan(bucket)
            found = scan.read(100)
            scan.close()
            assert [key for key, _ in found] == [key for key, _ in expected]
            for key, (generation, body) in expected:
                assert index.head(bucket, key) == generation
                entry = index.cached(bucket, key)
                assert entry is not None
                assert (entry.generation, entry.body) == (generation, body)
            uploads = index.scan_uploads(bucket)
            assert [(key, upload.upload_id) for key, upload in uploads.read(100)] == sorted(
                (key, upload_id) for owner, key, upload_id in self.durable.uploads if owner == bucket
            )
            uploads.close()
        for upload_id in IDS:
            assert index.parts(upload_id) == [
                part for place, part in sorted(self.durable.parts.items()) if place[0] == upload_id
            ]

    @invariant()
    def scans_that_seek_see_the_same(self) -> None:
        for bucket in BUCKETS:
            scan = self.rig.index.scan(bucket)
            for key in (b"a", b"", b"a\0\0", b"\xff\xff\xff"):
                scan.seek(key)
                following = scan.next()
                expected = sorted(at for owner, at in self.durable.objects if owner == bucket and at >= key)
                assert (None if following is None else following[0]) == (expected[0] if expected else None)
            scan.close()

    @invariant()
    def writers_see_what_is_written(self) -> None:
        index = self.rig.index
        for bucket in BUCKETS:
            for key in KEYS:
                found = self.written.objects.get((bucket, key))
                assert index.written_head(bucket, key) == (None if found is None else found[0])
            assert index.bucket_is_empty(bucket) == all(owner != bucket for owner, _ in self.written.objects)
        for (bucket, key, upload_id), upload in self.written.uploads.items():
            assert index.written_upload(bucket, key, upload_id) == upload

    @invariant()
    def files_are_counted(self) -> None:
        counted = self.written.references()
        assert sorted(self.rig.index.files()) == sorted(counted)
        for number, references in counted.items():
            file = self.rig.index.file(number)
            assert file is not None
            assert file.references == references


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
