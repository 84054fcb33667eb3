"""Conditional requests, against the order of RFC 9110 §13.2.2 and S3's own rules for writes."""

from __future__ import annotations

import msgspec
import pytest

from s3d.s3.conditions import (
    check_copy_source,
    check_delete,
    check_delete_entry,
    check_read,
    check_write,
    matches,
    range_applies,
)
from s3d.s3.dates import http_date, iso_date, parse_http_date, parse_iso_date
from s3d.s3.errors import S3Error

ETAG = "37b51d194a7513e45b56f6524f2d51f2"
TAG = f'"{ETAG}"'.encode()
OTHER = b'"ABCORZ"'
# Sun, 06 Nov 1994 08:49:37 GMT, and half a second.
MODIFIED_MS = 784_111_777_500
NOW_MS = MODIFIED_MS + 10_000
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
EXACTLY = b"Sun, 06 Nov 1994 08:49:37 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
FUTURE = b"Sun, 06 Nov 2094 08:49:38 GMT"


class Object(msgspec.Struct):
    etag: str = ETAG
    modified_ms: int = MODIFIED_MS
    size_bytes: int = 3


def read(**conditions: bytes) -> str:
    """Which code a read gets, and by which condition; "" where it goes through."""
    headers = [(name.replace("_", "-").encode(), value) for name, value in conditions.items()]
    try:
        check_read([(b"host", b"h"), *headers], ETAG, MODIFIED_MS)
    except S3Error as error:
        return f"{error.status} {error.extra.get('Condition', '')}".strip()
    return ""


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ({}, ""),
        ({"if_match": TAG}, ""),
        ({"if_match": ETAG.encode()}, ""),
        ({"if_match": b"*"}, ""),
        ({"if_match": OTHER}, "412 If-Match"),
        ({"if_match": b"W/" + TAG}, "412 If-Match"),
        ({"if_match": OTHER + b", " + TAG}, ""),
        ({"if_unmodified_since": AFTER}, ""),
        ({"if_unmodified_since": EXACTLY}, ""),
        ({"if_unmodified_since": BEFORE}, "412 If-Unmodified-Since"),
        ({"if_unmodified_since": b"yesterday"}, ""),
        ({"if_none_match": OTHER}, ""),
        ({"if_none_match": TAG}, "304"),
        ({"if_none_match": b"W/" + TAG}, "304"),
        ({"if_none_match": b"*"}, "304"),
        ({"if_none_match": ETAG.encode()}, "304"),
        ({"if_modified_since": BEFORE}, ""),
        ({"if_modified_since": EXACTLY}, "304"),
        ({"if_modified_since": AFTER}, "304"),
        ({"if_modified_since": FUTURE}, "304"),
        ({"if_modified_since": b"1994-11-06T08:49:37Z"}, "304"),
        # An entity tag outweighs a date.
        ({"if_match": TAG, "if_unmodified_since": BEFORE}, ""),
        ({"if_match": OTHER, "if_unmodified_since": AFTER}, "412 If-Match"),
        ({"if_none_match": OTHER, "if_modified_since": AFTER}, ""),
        ({"if_none_match": TAG, "if_modified_since": BEFORE}, "304"),
        # 412 comes before 304.
        ({"if_match": OTHER, "if_none_match": TAG}, "412 If-Match"),
        ({"if_match": TAG, "if_none_match": TAG}, "304"),
        ({"if_match": TAG, "if_modified_since": AFTER}, "304"),
        ({"if_unmodified_since": BEFORE, "if_none_match": TAG}, "412 If-Unmodified-Since"),
        ({"if_unmodified_since": BEFORE, "if_modified_since": AFTER}, "412 If-Unmodified-Since"),
        ({"if_unmodified_since": AFTER, "if_modified_since": AFTER}, "304"),
    ],
)
def test_a_read_is_decided_in_the_order_of_the_rfc(conditions: dict[str, bytes], outcome: str) -> None:
    assert read(**conditions) == outcome


def test_a_list_over_several_fields_is_one_list() -> None:
    check_read([(b"if-match", OTHER), (b"if-match", TAG)], ETAG, MODIFIED_MS)


@pytest.mark.parametrize("value", [b'"', b",,,", b'"a" "b"', b"", b'"abc', b"\xff" * 100])
def test_a_malformed_list_of_tags_matches_nothing(value: bytes) -> None:
    assert not matches(value, "b", weak=True)


def copy(**conditions: bytes) -> str:
    headers = [(f"x-amz-copy-source-{name.replace('_', '-')}".encode(), value) for name, value in conditions.items()]
    try:
        check_copy_source([(b"if-match", OTHER), *headers], ETAG, MODIFIED_MS)
    except S3Error as error:
        return f"{error.status} {error.extra['Condition']!s}"
    return ""


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ({}, ""),
        ({"if_match": TAG, "if_unmodified_since": BEFORE}, ""),
        ({"if_none_match": TAG, "if_modified_since": BEFORE}, "412 x-amz-copy-source-If-None-Match"),
        ({"if_modified_since": AFTER}, "412 x-amz-copy-source-If-Modified-Since"),
        ({"if_match": OTHER}, "412 x-amz-copy-source-If-Match"),
        ({"if_unmodified_since": BEFORE}, "412 x-amz-copy-source-If-Unmodified-Since"),
        ({"if_none_match": OTHER}, ""),
    ],
)
def test_a_copys_source_is_held_against_its_own_conditions(conditions: dict[str, bytes], outcome: str) -> None:
    assert copy(**conditions) == outcome


@pytest.mark.parametrize(
    ("name", "value", "exists", "outcome"),
    [
        (b"if-none-match", b"*", False, ""),
        (b"if-none-match", b"*", True, "412 PreconditionFailed"),
        (b"if-none-match", TAG, True, "501 NotImplemented"),
        (b"if-match", TAG, True, ""),
        (b"if-match", ETAG.encode(), True, ""),
        (b"if-match", b"*", True, ""),
        (b"if-match", OTHER, True, "412 PreconditionFailed"),
        (b"if-match", TAG, False, "404 NoSuchKey"),
        (b"if-match", b"*", False, "404 NoSuchKey"),
        (b"if-modified-since", AFTER, True, ""),
        (b"if-unmodified-since", AFTER, True, "501 NotImplemented"),
        (b"if-unmodified-since", BEFORE, False, "501 NotImplemented"),
    ],
)
def test_a_write_is_held_against_what_is_there(name: bytes, value: bytes, exists: bool, outcome: str) -> None:
    got = ""
    try:
        check_write([(name, value)], Object() if exists else None)
    except S3Error as error:
        got = f"{error.status} {error.code}"
    assert got == outcome


def test_a_write_has_one_condition() -> None:
    with pytest.raises(S3Error) as error:
        check_write([(b"if-match", TAG), (b"if-none-match", b"*")], Object())
    assert error.value.extra["Header"] == "If-Match,If-None-Match"


@pytest.mark.parametrize(
    ("name", "value", "condition"),
    [
        (b"if-match", TAG, ""),
        (b"if-match", b"*", ""),
        (b"if-match", b"badetag", "If-Match"),
        (b"x-amz-if-match-last-modified-time", EXACTLY, ""),
        (b"x-amz-if-match-last-modified-time", AFTER, "If-Match-Last-Mod-Time"),
        (b"x-amz-if-match-size", b"3", ""),
        (b"x-amz-if-match-size", b"9999", "If-Match-Size"),
        (b"x-amz-if-match-size", b"9" * 8000, "If-Match-Size"),
    ],
)
def test_a_delete_is_held_against_what_is_there(name: bytes, value: bytes, condition: str) -> None:
    failed = ""
    try:
        check_delete([(name, value)], Object())
    except S3Error as error:
        assert error.status == 412
        failed = str(error.extra["Condition"])
    assert failed == condition


def test_deleting_nothing_meets_every_condition() -> None:
    check_delete([(b"if-match", b"badetag"), (b"x-amz-if-match-size", b"9")], None)
    check_delete_entry(None, b"badetag", 1, 9)


@pytest.mark.parametrize(("name", "value"), [(b"if-none-match", b"*"), (b"if-unmodified-since", AFTER)])
def test_a_delete_on_a_condition_that_s3_does_not_have_deletes_nothing(name: bytes, value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_delete([(name, value)], Object())
    assert error.value.code == "NotImplemented"


@pytest.mark.parametrize("name", [b"x-amz-if-match-last-modified-time", b"x-amz-if-match-size"])
def test_a_delete_with_a_malformed_condition_deletes_nothing(name: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_delete([(name, b"x")], Object())
    assert error.value.code == "InvalidArgument"


@pytest.mark.parametrize(
    ("value", "applies"),
    [(None, True), (TAG, True), (OTHER, False), (b"W/" + TAG, False), (EXACTLY, True), (AFTER, False), (b"*", False)],
)
def test_a_range_applies_to_the_very_state_that_if_range_names(value: bytes | None, applies: bool) -> None:
    headers = [] if value is None else [(b"if-range", value)]
    assert range_applies(headers, ETAG, MODIFIED_MS) is applies


# RFC 9110 §5.6.7 gives these three for one moment.
@pytest.mark.parametrize(
    "value",
    [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994", b"1994-11-06T09:49:37+01:00",
     b"1994-11-06T08:49:37.000Z"],
)  # fmt: skip
def test_every_form_of_date_is_read(value: bytes) -> None:
    assert parse_http_date(value) == 784_111_777_000


def test_a_year_of_two_digits_is_of_this_century() -> None:
    assert parse_http_date(b"Saturday, 06-Nov-21 08:49:37 GMT") == 1_636_188_577_000


@pytest.mark.parametrize(
    "value",
    [b"", b"Sun, 31 Feb 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 25:49:37 GMT", b"Sun, 06 Nov 0000 08:49:37 GMT",
     b"Sun, 06 Xyz 1994 08:49:37 GMT", b"0001-01-01T00:00:00+23:00", b"\xff", b"784111777"],
)  # fmt: skip
def test_what_is_no_date_is_none(value: bytes) -> None:
    assert parse_http_date(value) is None


def test_dates_are_written_in_whole_seconds() -> None:
    assert http_date(MODIFIED_MS) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert iso_date(MODIFIED_MS) == "1994-11-06T08:49:37.000Z"


def test_a_fraction_of_a_second_is_read() -> None:
    assert parse_iso_date("1994-11-06T08:49:37.5Z") == MODIFIED_MS
