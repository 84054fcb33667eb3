"""What the index promises: when a change is visible, what it drops, and that it is there again after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from index.conftest import UPLOAD_ID, Rig
from s3d.index.errors import IndexDamaged, IndexFailed, IndexInUse
from s3d.index.index import Index
from s3d.index.records import Bucket, DataFile, Extent, Generation, Part, State, Upload

# --- visibility


def test_an_object_is_visible_to_readers_only_after_the_flush(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    assert rig.index.head("box", b"key") is None
    assert rig.index.cached("box", b"key") is None
    assert rig.keys("box") == []
    rig.flush()
    assert rig.keys("box") == [b"key"]
    entry = rig.index.cached("box", b"key")
    assert entry is not None
    assert entry.body == b"body"


def test_writers_see_what_is_written_at_once(rig: Rig) -> None:
    generation = rig.put("box", b"key", b"body")
    assert rig.index.written_head("box", b"key") == generation
    assert not rig.index.bucket_is_empty("box")


def test_a_replaced_object_is_whole_until_its_successor_is_durable(rig: Rig) -> None:
    old = rig.put("box", b"key", b"old")
    rig.flush()
    new = rig.put("box", b"key", b"new")
    newest = rig.put("box", b"key", b"newest")
    assert rig.index.head("box", b"key") == old
    assert rig.index.body(old) == b"old"
    scan = rig.index.scan("box")
    assert scan.next() == (b"key", old)
    scan.close()
    rig.flush()
    assert rig.index.head("box", b"key") == newest != new
    assert rig.index.body(newest) == b"newest"


def test_a_deleted_object_is_listed_and_read_until_the_delete_is_durable(rig: Rig) -> None:
    for key in (b"a", b"b", b"c"):
        rig.put("box", key, key)
    rig.flush()
    rig.index.delete_objects("box", [b"b", b"b", b"none"])
    assert rig.keys("box") == [b"a", b"b", b"c"]
    assert rig.index.cached("box", b"b") is not None
    rig.flush()
    assert rig.keys("box") == [b"a", b"c"]
    assert rig.index.cached("box", b"b") is None


def test_what_is_written_during_a_flush_stays_invisible_when_it_ends(rig: Rig) -> None:
    async def main() -> None:
        rig.put("box", b"first", b"1")
        first = rig.index.durable()
        # The flush begins at the end of this turn of the loop, and covers the first alone.
        await asyncio.sleep(0)
        rig.put("box", b"first", b"2")
        rig.put("box", b"second", b"2")
        await first
        entry = rig.index.cached("box", b"first")
        assert entry is not None
        assert entry.body == b"1"
        assert rig.keys("box") == [b"first"]
        await rig.index.durable()
        assert rig.keys("box") == [b"first", b"second"]
        entry = rig.index.cached("box", b"first")
        assert entry is not None
        assert entry.body == b"2"

    rig.loop.run_until_complete(main())


def test_buckets_and_uploads_are_visible_after_the_flush_too(rig: Rig) -> None:
    rig.index.create_bucket(Bucket("new", 5))
    upload = rig.upload("box", b"key")
    rig.put_part(1)
    assert rig.index.bucket("new") is None
    assert [bucket.name for bucket in rig.index.buckets()] == ["box"]
    assert rig.index.upload("box", b"key", UPLOAD_ID) is None
    assert rig.index.parts(UPLOAD_ID) == []
    assert rig.index.written_bucket("new") is not None
    assert rig.index.written_upload("box", b"key", UPLOAD_ID) == upload
    assert rig.index.written_part(UPLOAD_ID, 1) is not None
    rig.flush()
    assert [bucket.name for bucket in rig.index.buckets()] == ["box", "new"]
    assert rig.index.upload("box", b"key", UPLOAD_ID) == upload
    assert [part.number for part in rig.index.parts(UPLOAD_ID)] == [1]


def test_those_who_write_in_one_turn_share_a_flush(rig: Rig) -> None:
    flushes = []
    flush = rig.index._rows.flush_log

    def counted(sync: bool) -> None:
        flushes.append(sync)
        flush(sync)

    rig.index._rows.flush_log = counted  # type: ignore[method-assign]

    async def main() -> None:
        async def one(number: int) -> None:
            rig.put("box", b"%d" % number, b"body")
            await rig.index.durable()

        await asyncio.gather(*(one(number) for number in range(50)))

    rig.loop.run_until_complete(main())
    assert flushes == [True]


def test_waiting_for_what_is_durable_already_takes_no_flush(rig: Rig) -> None:
    assert rig.index.durable().done


def test_one_who_gives_up_waiting_keeps_nobody_else_from_it(rig: Rig) -> None:
    async def main() -> None:
        rig.put("box", b"key", b"body")
        given_up, waiting = rig.index.durable(), rig.index.durable()
        given_up.cancel()
        await waiting

    rig.loop.run_until_complete(main())
    assert rig.keys("box") == [b"key"]


# --- memory


def test_a_hit_is_the_same_entry_and_keeps_its_memo(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    rig.flush()
    entry = rig.index.cached("box", b"key")
    assert entry is not None
    entry.memo = "head of the response"
    assert rig.index.cached("box", b"key") is entry


def test_an_entry_goes_when_the_change_of_its_key_is_visible_and_not_before(rig: Rig) -> None:
    generation = rig.put("box", b"key", b"body")
    rig.flush()
    before = rig.index.cached("box", b"key")
    rig.index.alter_object("box", b"key", msgspec.structs.replace(generation, tags=(("a", "b"),)))
    assert rig.index.cached("box", b"key") is before
    rig.flush()
    after = rig.index.cached("box", b"key")
    assert after is not None
    assert after.generation.tags == (("a", "b"),)
    assert after.body == b"body"


def test_memory_stays_within_its_bound_and_keeps_what_is_used(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "small")
    rig.index.close()
    rig.index = Index.open(tmp_path / "small", memory_bytes=200_000)
    rig.index.create_bucket(Bucket("box", 1))
    for number in range(200):
        rig.put("box", b"%03d" % number, bytes(4000))
    rig.flush()
    used = rig.index.cached("box", b"000")
    for number in range(200):
        assert rig.index.cached("box", b"%03d" % number) is not None
        assert rig.index.cached("box", b"000") is used
        assert rig.index._memory.used_bytes <= 200_000
    assert 10 < len(rig.index._memory) < 50
    rig.close()


# --- files


def test_a_file_is_released_with_the_last_that_refers_to_it(rig: Rig) -> None:
    (file,) = rig.put_files("box", b"original", 1)
    assert rig.index.put_object("box", b"copy", rig.in_files(file)) == []
    assert rig.index.delete_objects("box", [b"original"]) == []
    assert rig.index.known([file, file + 1]) == [True, False]
    assert rig.index.delete_objects("box", [b"copy"]) == [file]
    # A sweep that unlinked it now would lose an object if the power went before the flush.
    assert rig.index.known([file]) == [True]
    rig.flush()
    assert rig.index.known([file]) == [False]
    assert list(rig.index.files()) == []


def test_both_references_dropped_in_one_batch_release_the_file_once(rig: Rig) -> None:
    (file,) = rig.put_files("box", b"a", 1)
    rig.index.put_object("box", b"b", rig.in_files(file))
    assert rig.index.delete_objects("box", [b"a", b"b"]) == [file]


def test_a_copy_onto_itself_keeps_its_files(rig: Rig) -> None:
    (file,) = rig.put_files("box", b"key", 1)
    assert rig.index.put_object("box", b"key", rig.in_files(file)) == []
    assert rig.index.known([file]) == [True]


def test_replacing_releases_what_the_old_one_had(rig: Rig) -> None:
    (old,) = rig.put_files("box", b"key", 1)
    new = rig.index.next_file()
    assert rig.index.put_object("box", b"key", rig.in_files(new), new_files=[(new, DataFile(10, 1))]) == [old]


def test_a_reference_to_a_file_that_is_not_there_is_refused_and_changes_nothing(rig: Rig) -> None:
    with pytest.raises(IndexDamaged, match="no row of the data file"):
        rig.index.put_object("box", b"key", rig.in_files(rig.index.next_file()))
    assert rig.index.written_head("box", b"key") is None


def test_a_new_file_that_nothing_refers_to_is_refused(rig: Rig) -> None:
    with pytest.raises(ValueError, match="nothing refers"):
        rig.index.put_object("box", b"key", rig.inline(b""), body=b"", new_files=[(1, DataFile(1, 1))])


def test_a_body_without_an_inline_generation_is_refused(rig: Rig) -> None:
    with pytest.raises(ValueError, match="inline"):
        rig.index.put_object("box", b"key", Generation(1, 4, "e", 1), body=b"body")


def test_a_long_list_of_extents_is_not_in_the_rows_that_a_listing_reads(rig: Rig) -> None:
    files = rig.put_files("box", b"key", 20)
    rig.flush()
    head = rig.index.head("box", b"key")
    assert head is not None
    assert [extent.file for extent in head.extents] == files
    scan = rig.index.scan("box")
    ((_, listed),) = scan.read(10)
    scan.close()
    assert listed.extents == ()
    assert listed.size_bytes == head.size_bytes
    assert rig.index.delete_objects("box", [b"key"]) == files
    # Until the delete is durable, readers have all of it.
    assert rig.index.head("box", b"key") == head


def test_altering_keeps_a_long_list_of_extents(rig: Rig) -> None:
    files = rig.put_files("box", b"key", 20)
    rig.flush()
    head = rig.index.head("box", b"key")
    assert head is not None
    rig.index.alter_object("box", b"key", msgspec.structs.replace(head, tags=(("a", "b"),)))
    rig.flush()
    altered = rig.index.head("box", b"key")
    assert altered is not None
    assert [extent.file for extent in altered.extents] == files
    assert altered.tags == (("a", "b"),)


def test_altering_a_generation_that_is_not_current_is_refused(rig: Rig) -> None:
    old = rig.put("box", b"key", b"old")
    rig.put("box", b"key", b"new")
    with pytest.raises(ValueError, match="not the current one"):
        rig.index.alter_object("box", b"key", old)


# --- buckets


def test_a_bucket_with_an_object_that_is_only_written_is_not_empty(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    with pytest.raises(ValueError, match="not empty"):
        rig.index.delete_bucket("box")


def test_a_bucket_whose_objects_are_deleted_and_not_yet_flushed_is_empty(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    rig.flush()
    rig.index.delete_objects("box", [b"key"])
    assert rig.index.bucket_is_empty("box")


def test_deleting_a_bucket_aborts_its_uploads(rig: Rig) -> None:
    rig.upload("box", b"key")
    file = rig.put_part(1)
    assert rig.index.delete_bucket("box") == [file]
    rig.flush()
    assert rig.index.bucket("box") is None
    assert rig.index.upload("box", b"key", UPLOAD_ID) is None
    assert rig.index.parts(UPLOAD_ID) == []


def test_the_objects_of_a_bucket_are_not_those_of_one_whose_name_begins_alike(rig: Rig) -> None:
    for name in ("box", "box-2", "box2", "bo"):
        rig.put(name, b"key of " + name.encode(), b"")
    rig.flush()
    assert rig.keys("box") == [b"key of box"]


@pytest.mark.parametrize("hot", [False, True])
def test_a_nul_in_a_bucket_name_reaches_no_other_bucket(rig: Rig, hot: bool) -> None:
    rig.put("box", b"a\0b", b"body")
    rig.flush()
    if hot:
        assert rig.index.cached("box", b"a\0b") is not None
    assert rig.index.cached("box\0a", b"b") is None
    with pytest.raises(ValueError):
        rig.index.head("box\0a", b"b")


# --- multipart


def complete(upload: Upload, rig: Rig, files: list[int]) -> tuple[Generation, list[int]]:
    generation = Generation(
        rig.index.next_generation(),
        10 * len(files),
        f"e-{len(files)}",
        1,
        extents=tuple(Extent(file, 0, 10) for file in files),
        parts=tuple(Part(number + 1, 10) for number in range(len(files))),
    )
    return generation, rig.index.complete_upload(upload, generation)


def test_completing_takes_the_parts_over_and_releases_those_left_out(rig: Rig) -> None:
    upload = rig.upload("box", b"key")
    files = [rig.put_part(number) for number in range(1, 13)]
    rig.flush()
    generation, released = complete(upload, rig, files[:11])
    assert released == [files[11]]
    assert rig.index.head("box", b"key") is None
    assert rig.index.upload("box", b"key", UPLOAD_ID) == upload
    rig.flush()
    assert rig.index.head("box", b"key") == generation
    assert rig.index.upload("box", b"key", UPLOAD_ID) is None
    assert rig.index.parts(UPLOAD_ID) == []
    assert rig.index.delete_objects("box", [b"key"]) == files[:11]


def test_a_part_uploaded_again_releases_its_file(rig: Rig) -> None:
    rig.upload("box", b"key")
    first = rig.put_part(1)
    second = rig.index.next_file()
    part = rig.index.written_part(UPLOAD_ID, 1)
    assert part is not None
    again = msgspec.structs.replace(part, extents=(Extent(second, 0, 10),))
    assert rig.index.put_part(UPLOAD_ID, again, [(second, DataFile(10, 1))]) == [first]


def test_aborting_releases_all_parts(rig: Rig) -> None:
    upload = rig.upload("box", b"key")
    files = [rig.put_part(number) for number in (3, 1, 10_000)]
    assert sorted(rig.index.abort_upload(upload)) == sorted(files)
    rig.flush()
    assert rig.index.parts(UPLOAD_ID) == []


def test_completing_an_upload_twice_is_refused(rig: Rig) -> None:
    upload = rig.upload("box", b"key")
    files = [rig.put_part(1)]
    complete(upload, rig, files)
    with pytest.raises(ValueError, match="no upload"):
        complete(upload, rig, files)


def test_parts_are_read_page_by_page(rig: Rig) -> None:
    rig.upload("box", b"key")
    rig.upload("box", b"key", "f" * 32)
    for number in range(1, 8):
        rig.put_part(number)
    rig.put_part(3, "f" * 32)
    rig.flush()
    rig.put_part(4)
    assert [part.number for part in rig.index.parts(UPLOAD_ID, after=2, limit=3)] == [3, 4, 5]
    assert rig.index.parts(UPLOAD_ID, after=10_000) == []
    assert rig.index.parts("not an id") == []


def test_uploads_are_listed_by_key_and_then_by_id(rig: Rig) -> None:
    ids = ["0" * 31 + "1", "0" * 31 + "2", "f" * 32]
    for key in (b"b", b"a\0", b"a"):
        for upload_id in reversed(ids):
            rig.upload("box", key, upload_id)
    rig.flush()
    scan = rig.index.scan_uploads("box")
    assert [(key, upload.upload_id) for key, upload in scan.read(100)] == [
        (key, upload_id) for key in (b"a", b"a\0", b"b") for upload_id in ids
    ]
    scan.seek(b"a", ids[1])
    assert [(key, upload.upload_id) for key, upload in scan.read(2)] == [(b"a", ids[1]), (b"a", ids[2])]
    scan.close()


# --- scans


def test_a_scan_seeks_both_ways(rig: Rig) -> None:
    for key in (b"a", b"b/1", b"b/2", b"c"):
        rig.put("box", key, b"")
    rig.flush()
    rig.put("box", b"b/0", b"")
    rig.index.delete_objects("box", [b"c"])
    scan = rig.index.scan("box")
    scan.seek(b"b0")
    assert [key for key, _ in scan.read(5)] == [b"c"]
    scan.seek(b"b")
    assert [key for key, _ in scan.read(2)] == [b"b/1", b"b/2"]
    scan.seek(b"")
    assert [key for key, _ in scan.read(1)] == [b"a"]
    scan.seek(b"d")
    assert scan.next() is None
    scan.close()


def test_a_scan_shows_the_moment_in_which_it_was_made(rig: Rig) -> None:
    rig.put("box", b"a", b"")
    rig.put("box", b"c", b"")
    rig.flush()
    scan = rig.index.scan("box")
    rig.put("box", b"b", b"")
    rig.index.delete_objects("box", [b"c"])
    rig.flush()
    assert [key for key, _ in scan.read(5)] == [b"a", b"c"]
    scan.close()


# --- restarts


def test_everything_is_there_after_a_restart(rig: Rig) -> None:
    generation = rig.put("box", b"key", b"body")
    files = rig.put_files("box", b"files", 20)
    rig.upload("box", b"upload")
    rig.flush()
    rig.restart()
    assert rig.index.head("box", b"key") == generation
    assert rig.index.body(generation) == b"body"
    assert rig.index.known(files) == [True] * 20
    assert rig.index.upload("box", b"upload", UPLOAD_ID) is not None
    assert not rig.index.fresh
    assert not rig.index.behind


def test_closing_makes_durable_what_is_written(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    rig.restart()
    assert rig.keys("box") == [b"key"]


def test_numbers_grow_over_restarts(rig: Rig) -> None:
    generation, file, boot = rig.index.next_generation(), rig.index.next_file(), rig.index.boot
    rig.restart()
    assert rig.index.boot == boot + 1
    assert rig.index.next_generation() > generation
    assert rig.index.next_file() > file
    assert rig.index.next_file() >> 40 == rig.index.boot


def test_a_second_index_in_the_same_directory_is_refused(rig: Rig) -> None:
    with pytest.raises(IndexInUse, match=str(rig.directory)):
        Index.open(rig.directory)


def test_a_closed_index_says_so(rig: Rig) -> None:
    scan = rig.index.scan("box")
    rig.index.close()
    rig.index.close()
    with pytest.raises(IndexFailed, match="closed"):
        rig.index.head("box", b"key")
    with pytest.raises(IndexFailed, match="closed"):
        rig.index.put_object("box", b"key", rig.inline(b""), body=b"")
    with pytest.raises(IndexFailed, match="closed"):
        scan.read(1)


def test_an_index_without_syncing_is_visible_and_survives_a_restart(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "index", sync=False)
    rig.put("box", b"key", b"body")
    rig.flush()
    assert rig.keys("box") == [b"key"]
    rig.restart()
    assert rig.keys("box") == [b"key"]
    assert not rig.index.behind
    rig.close()


def test_the_state_of_an_inline_object_comes_back_as_it_was(rig: Rig) -> None:
    rig.put("box", b"key", b"body")
    rig.flush()
    head = rig.index.head("box", b"key")
    assert head is not None
    assert State(head.state) == State.INLINE | State.RESIDENT
