"""Keys of rows: they sort as what they stand for, and come back as it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.index import schema
from s3d.index.records import Checksum, Extent, Generation, Part

# Few letters, so that keys share prefixes and hold what the encoding treats specially.
keys = st.lists(st.sampled_from([0, 1, 2, 0x2F, 0x61, 0xFE, 0xFF]), max_size=6).map(bytes) | st.binary(max_size=1024)
numbers = st.integers(0, 2**64 - 1)
upload_ids = st.binary(min_size=16, max_size=16)


@given(keys, keys)
def test_heads_of_a_bucket_sort_as_their_keys(one: bytes, other: bytes) -> None:
    assert (schema.head_key("b", one) < schema.head_key("b", other)) == (one < other)


@given(st.tuples(keys, upload_ids), st.tuples(keys, upload_ids))
def test_uploads_sort_by_key_and_then_by_id(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> None:
    assert (schema.upload_key("b", *one) < schema.upload_key("b", *other)) == (one < other)


@given(st.tuples(keys, numbers), st.tuples(keys, numbers))
def test_generations_sort_by_key_and_then_the_newest_first(one: tuple[bytes, int], other: tuple[bytes, int]) -> None:
    newest_first = (one[0], -one[1]) < (other[0], -other[1])
    assert (schema.generation_key("b", *one) < schema.generation_key("b", *other)) == newest_first


@given(keys, upload_ids)
def test_an_upload_key_tells_its_key_and_id(key: bytes, upload_id: bytes) -> None:
    assert schema.parse_upload_key(schema.upload_key("bucket", key, upload_id)) == (key, upload_id.hex())


@given(keys, st.binary(max_size=20))
def test_an_escaped_key_ends_where_it_says(key: bytes, rest: bytes) -> None:
    row_key = b"xx" + schema.escaped(key) + rest
    assert schema.unescaped(row_key, 2) == (key, len(row_key) - len(rest))


@given(st.sampled_from(["a", "a-b", "ab", "b", "a.b", "a0"]), keys)
def test_rows_of_a_bucket_lie_between_its_ends_and_no_others(bucket: str, key: bytes) -> None:
    for owner in ("a", "a-b", "ab", "b", "a.b", "a0"):
        row_key = schema.head_key(owner, key)
        inside = schema.bucket_prefix(bucket) <= row_key < schema.bucket_end(bucket)
        assert inside == (owner == bucket)


@given(numbers, numbers)
def test_number_keys_sort_as_numbers(one: int, other: int) -> None:
    assert (schema.number_key(one) < schema.number_key(other)) == (one < other)
    assert schema.number_of(schema.number_key(one)) == one


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_head_comes_back_whole_however_long(extents: int, parts: int) -> None:
    generation = Generation(
        7,
        1,
        "e",
        2,
        extents=tuple(Extent(i, i, 1) for i in range(extents)),
        parts=tuple(Part(i + 1, 1) for i in range(parts)),
    )
    row, details = schema.encode_head(generation)
    assert schema.is_detailed(row) == (details is not None) == (extents + parts > schema.MAX_EXTENTS_IN_HEAD)
    decoded = schema.decode_head(row)
    assert (decoded if details is None else schema.with_details(decoded, details)) == generation


def test_rows_of_blocks_and_of_the_queue_come_back() -> None:
    blocks = schema.BlockRow(bytes(16), bytes(128 * 8))
    assert schema.decode_blocks(schema.encode(blocks)) == blocks
    entry = schema.QueueEntry("b", b"\xff", 7, 1, "request", "trace")
    assert schema.decode_queue_entry(schema.encode(entry)) == entry


@given(st.tuples(numbers, st.integers(0, 2**32 - 1)), st.tuples(numbers, st.integers(0, 2**32 - 1)))
def test_rows_of_blocks_sort_by_file_and_then_by_place(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (schema.blocks_key(*one) < schema.blocks_key(*other)) == (one < other)


def test_what_a_listing_reads_is_what_the_generation_says() -> None:
    generation = Generation(7, 1, "e", 2, 3, ((b"a", b"b"),), (("t", "v"),), Checksum("CRC32", "x"), "me", "GLACIER")
    listed = schema.decode_listed(schema.encode_head(generation)[0])
    for name in ("number", "size_bytes", "etag", "modified_ms", "state", "checksum", "owner", "storage_class"):
        assert getattr(listed, name) == getattr(generation, name)


def test_a_row_of_an_earlier_version_without_the_last_fields_is_read() -> None:
    row = msgspec.msgpack.encode([7, 1, "e", 2])
    assert schema.decode_head(row) == Generation(7, 1, "e", 2)


@pytest.mark.parametrize(
    "text", ["", "0" * 31, "0" * 33, "0" * 31 + "A", "0" * 31 + "g", " " * 32, "00 " * 10 + "00", "é" * 32, "\0" * 32]
)
def test_a_text_that_is_no_upload_id_is_told(text: str) -> None:
    assert schema.upload_id_bytes(text) is None


@pytest.mark.parametrize("name", ["a\0b", "\0", "\ud800"])
def test_a_name_that_would_reach_into_another_bucket_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        schema.head_key(name, b"key")
