"""Byte ranges and part numbers."""

from __future__ import annotations

import pytest

from s3d.s3.errors import S3Error
from s3d.s3.ranges import (
    check_copy_size,
    check_part_read,
    content_range,
    parse_copy_range,
    parse_part_number,
    parse_range,
    part_range,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-0", (0, 1)),
        (b"bytes=2-5", (2, 6)),
        (b"bytes=2-", (2, 10)),
        (b"bytes=0-99", (0, 10)),
        (b"bytes=9-99999999999999999999999999", (9, 10)),
        (b"bytes=-3", (7, 10)),
        (b"bytes=-99", (0, 10)),
        (b"Bytes=00000000000000000000000002-3", (2, 4)),
    ],
)
def test_a_range_is_cut_to_the_object(value: bytes, expected: tuple[int, int]) -> None:
    assert parse_range(value, 10) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"", b"bytes=", b"bytes=-", b"bytes=5-2", b"bytes=a-b", b"bytes=0-1,3-4", b"items=0-1", b"0-1", b"bytes 0-1",
        b"bytes=0x1-2", b"bytes=+1-2", b"bytes=1--2", b"bytes=0-1 ", "bytes=٣-٤".encode(), b"bytes=0-1\n",
    ],
)  # fmt: skip
def test_what_is_no_single_range_is_ignored(value: bytes) -> None:
    assert parse_range(value, 10) is None


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (b"bytes=10-", 10),
        (b"bytes=40-50", 11),
        (b"bytes=-0", 10),
        (b"bytes=0-0", 0),
        (b"bytes=" + b"9" * 8000 + b"-", 9),
    ],
)
def test_a_range_outside_the_object_cannot_be_satisfied(value: bytes, size: int) -> None:
    with pytest.raises(S3Error) as error:
        parse_range(value, size)
    assert (error.value.code, error.value.status) == ("InvalidRange", 416)
    assert error.value.extra == {"RangeRequested": value, "ActualObjectSize": str(size)}


def test_the_end_of_an_empty_object_is_the_object() -> None:
    assert parse_range(b"bytes=-5", 0) is None


def test_content_range_counts_the_last_byte_in() -> None:
    assert content_range(2, 6, 10) == b"bytes 2-5/10"


def test_a_copy_without_a_range_takes_all() -> None:
    assert parse_copy_range(None, 10) == (0, 10)


def test_a_copys_range_is_read() -> None:
    assert parse_copy_range(b"bytes=2-9", 10) == (2, 10)


# The values of test_multipart_copy_improper_range of ceph/s3-tests, and more.
@pytest.mark.parametrize(
    "value",
    [b"0-2", b"bytes=0", b"bytes=hello-world", b"bytes=0-bar", b"bytes=hello-", b"bytes=0-2,3-5", b"bytes=2-",
     b"bytes=-2", b"bytes=3-2", b""],
)  # fmt: skip
def test_a_copys_range_must_have_both_ends(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_copy_range(value, 5)
    assert (error.value.code, error.value.status) == ("InvalidArgument", 400)


def test_a_copys_range_must_lie_inside_the_source() -> None:
    with pytest.raises(S3Error) as error:
        parse_copy_range(b"bytes=0-21", 5)
    assert (error.value.code, error.value.status) == ("InvalidRange", 400)


def test_a_part_that_is_copied_has_five_gibibytes_at_most() -> None:
    with pytest.raises(S3Error) as error:
        parse_copy_range(None, 5 * 2**30 + 1)
    assert error.value.code == "InvalidRequest"


def test_a_whole_copy_has_as_much_at_most() -> None:
    check_copy_size(5 * 2**30)
    with pytest.raises(S3Error) as error:
        check_copy_size(5 * 2**30 + 1)
    assert error.value.code == "InvalidRequest"


@pytest.mark.parametrize(("number", "expected"), [(1, (0, 5)), (2, (5, 10)), (3, (10, 11))])
def test_a_part_is_found_by_its_place(number: int, expected: tuple[int, int]) -> None:
    assert part_range(number, [5, 5, 1], 11) == expected


def test_an_object_without_parts_is_its_first_part() -> None:
    assert part_range(1, [], 11) == (0, 11)


@pytest.mark.parametrize(("number", "sizes", "count"), [(2, [], "1"), (4, [5, 5, 1], "3")])
def test_a_part_that_is_not_there_cannot_be_satisfied(number: int, sizes: list[int], count: str) -> None:
    with pytest.raises(S3Error) as error:
        part_range(number, sizes, 11)
    assert (error.value.code, error.value.status) == ("InvalidPartNumber", 416)
    assert error.value.extra == {"ActualPartCount": count, "PartNumberRequested": str(number)}


@pytest.mark.parametrize(("value", "number"), [(b"1", 1), (b"10000", 10_000), (b"007", 7)])
def test_a_part_number_is_read(value: bytes, number: int) -> None:
    assert parse_part_number(value) == number


@pytest.mark.parametrize("value", [b"0", b"10001", b"-1", b"", b"x", b"1.0", b"9" * 8000, "٣".encode()])
def test_a_part_number_out_of_bounds_is_refused(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_part_number(value)
    assert error.value.code == "InvalidArgument"
    assert error.value.extra["ArgumentName"] == "partNumber"


def test_a_read_takes_a_range_or_a_part() -> None:
    with pytest.raises(S3Error) as error:
        check_part_read(b"bytes=0-1", b"1")
    assert error.value.code == "InvalidRequest"
