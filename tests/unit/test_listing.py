"""Listings against the obvious model: all keys in a sorted list, rolled up and cut in plain sight."""

from __future__ import annotations

from bisect import bisect_left

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3d.s3.errors import S3Error
from s3d.s3.listing import Page, list_page, list_uploads, make_token, page_of_parts, read_token, successor
from s3d.s3.queries import (
    ObjectsQuery,
    UploadsQuery,
    parse_attribute_parts,
    parse_list_buckets,
    parse_list_objects,
    parse_list_objects_v2,
    parse_list_parts,
    parse_list_uploads,
    parse_list_versions,
)


class Rows:
    """A cursor over keys in memory, which counts what is asked of it."""

    def __init__(self, keys: list[bytes]) -> None:
        self.keys = sorted(keys)
        self.position = 0
        self.seeks = 0
        self.read_rows = 0

    def seek(self, key: bytes) -> None:
        self.seeks += 1
        self.position = bisect_left(self.keys, key)

    def read(self, limit: int) -> list[tuple[bytes, int]]:
        assert limit > 0
        found = self.keys[self.position : self.position + limit]
        self.position += len(found)
        self.read_rows += len(found)
        return [(key, len(key)) for key in found]


def rolled_up(keys: list[bytes], prefix: bytes, delimiter: bytes) -> list[tuple[bytes, bool]]:
    """What a listing without limits shows: keys, and prefixes (True), in order."""
    shown: list[tuple[bytes, bool]] = []
    for key in sorted(keys):
        if not key.startswith(prefix):
            continue
        head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, b"", b"")
        entry = (prefix + head + mark, True) if mark else (key, False)
        if not shown or shown[-1] != entry:
            shown.append(entry)
    return shown


def entries(page: Page[int]) -> list[tuple[bytes, bool]]:
    return sorted([(key, False) for key, _ in page.items] + [(prefix, True) for prefix in page.prefixes])


# Few different bytes, so that prefixes and delimiters are met; the extremes among them.
texts = st.lists(st.sampled_from([b"\x00", b"a", b"/", b"\xfe", b"\xff", b"//", b"ab"]), max_size=5).map(b"".join)
bucket_keys = st.lists(texts.filter(bool), max_size=40, unique=True)


@given(keys=bucket_keys, prefix=texts, delimiter=texts, limit=st.integers(1, 6))
@example(keys=[b"\xff\xff", b"\xff\xffa"], prefix=b"", delimiter=b"\xff", limit=1)
def test_pages_in_a_row_show_every_entry_once(keys: list[bytes], prefix: bytes, delimiter: bytes, limit: int) -> None:
    expected = rolled_up(keys, prefix, delimiter)
    params = [(b"prefix", prefix), (b"delimiter", delimiter), (b"max-keys", b"%d" % limit)]
    shown: list[tuple[bytes, bool]] = []
    token: list[tuple[bytes, bytes]] = []
    while True:
        page = parse_list_objects_v2(params + token).page(Rows(keys))
        # In order over all pages, and each page full but the last.
        assert entries(page) == sorted(expected[len(shown) : len(shown) + limit])
        shown += expected[len(shown) : len(shown) + limit]
        assert page.truncated == (len(shown) < len(expected))
        if not page.truncated:
            break
        token = [(b"continuation-token", make_token(page.resume).encode())]
    assert shown == expected


@given(keys=bucket_keys, prefix=texts, delimiter=texts, limit=st.integers(1, 6))
def test_the_first_versions_pages_go_on_behind_the_last_entry(
    keys: list[bytes], prefix: bytes, delimiter: bytes, limit: int
) -> None:
    expected = rolled_up(keys, prefix, delimiter)
    params = [(b"prefix", prefix), (b"delimiter", delimiter), (b"max-keys", b"%d" % limit)]
    count, marker = 0, b""
    while True:
        page = parse_list_objects([*params, (b"marker", marker)]).page(Rows(keys))
        assert entries(page) == sorted(expected[count : count + limit])
        count += limit
        assert page.truncated == (count < len(expected))
        if not page.truncated:
            break
        assert (page.last, page.ends_in_prefix) == expected[count - 1]
        marker = page.last


@given(keys=bucket_keys, prefix=texts, delimiter=texts, marker=texts)
def test_a_marker_below_a_common_prefix_is_behind_all_of_it(
    keys: list[bytes], prefix: bytes, delimiter: bytes, marker: bytes
) -> None:
    query = parse_list_objects([(b"prefix", prefix), (b"delimiter", delimiter), (b"marker", marker)])
    expected = [
        (entry, is_prefix)
        for entry, is_prefix in rolled_up([key for key in keys if key > marker], prefix, delimiter)
        if not (is_prefix and marker.startswith(entry))
    ]
    assert entries(query.page(Rows(keys))) == sorted(expected)


@given(keys=bucket_keys, prefix=texts, delimiter=texts, after=texts)
def test_start_after_leaves_what_follows_it(keys: list[bytes], prefix: bytes, delimiter: bytes, after: bytes) -> None:
    query = parse_list_objects_v2([(b"prefix", prefix), (b"delimiter", delimiter), (b"start-after", after)])
    expected = rolled_up([key for key in keys if key > after], prefix, delimiter)
    assert entries(query.page(Rows(keys))) == sorted(expected)


@given(prefix=texts, key=texts)
def test_a_successor_is_behind_every_key_with_the_prefix_and_nothing_between(prefix: bytes, key: bytes) -> None:
    after = successor(prefix)
    if after is None:
        assert key.startswith(prefix) or key < prefix
    else:
        assert (key < after) == (key.startswith(prefix) or key < prefix)


def test_a_page_of_common_prefixes_reads_a_few_rows_of_each() -> None:
    rows = Rows([b"%04d/%04d" % (group, item) for group in range(60) for item in range(100)])
    page = list_page(rows, delimiter=b"/", limit=50)
    assert (len(page.prefixes), page.truncated) == (50, True)
    assert rows.read_rows <= 32 + 2 * 51
    assert rows.seeks <= 52


def test_a_page_of_keys_reads_itself_and_one_row() -> None:
    rows = Rows([b"%06d" % number for number in range(5000)])
    page = list_page(rows, limit=1000)
    assert (len(page.items), page.truncated, rows.read_rows) == (1000, True, 1001)


def test_small_prefixes_are_skipped_without_seeking() -> None:
    rows = Rows([b"%04d/x" % number for number in range(64)])
    page = list_page(rows, delimiter=b"/", limit=1000)
    assert (len(page.prefixes), page.truncated) == (64, False)
    assert rows.seeks < 64


def test_a_page_of_nothing_is_whole() -> None:
    rows = Rows([b"a", b"b"])
    page = list_page(rows, limit=0)
    assert (page.items, page.prefixes, page.truncated, rows.seeks) == ([], [], False, 0)


# The steps of test_bucket_list_delimiter_prefix of ceph/s3-tests.
@pytest.mark.parametrize(
    ("prefix", "marker", "limit", "keys", "prefixes", "next_marker"),
    [
        (b"", b"", 1, [b"asdf"], [], b"asdf"),
        (b"", b"asdf", 1, [], [b"boo/"], b"boo/"),
        (b"", b"boo/", 1, [], [b"cquux/"], None),
        (b"", b"", 2, [b"asdf"], [b"boo/"], b"boo/"),
        (b"boo/", b"", 1, [b"boo/bar"], [], b"boo/bar"),
        (b"boo/", b"boo/bar", 1, [], [b"boo/baz/"], None),
        (b"boo/", b"", 2, [b"boo/bar"], [b"boo/baz/"], None),
    ],
)
def test_keys_and_prefixes_count_together(
    prefix: bytes, marker: bytes, limit: int, keys: list[bytes], prefixes: list[bytes], next_marker: bytes | None
) -> None:
    rows = Rows([b"asdf", b"boo/bar", b"boo/baz/xyzzy", b"cquux/thud", b"cquux/bla"])
    params = [(b"prefix", prefix), (b"delimiter", b"/"), (b"marker", marker), (b"max-keys", b"%d" % limit)]
    page = parse_list_objects(params).page(rows)
    assert [key for key, _ in page.items] == keys
    assert page.prefixes == prefixes
    assert (page.last if page.truncated else None) == next_marker


class Upload(msgspec.Struct, frozen=True):
    key: bytes
    upload_id: str


class UploadRows:
    def __init__(self, uploads: list[tuple[bytes, str]]) -> None:
        self.uploads = sorted(uploads)
        self.position = 0

    def seek(self, key: bytes, upload_id: str = "") -> None:
        self.position = bisect_left(self.uploads, (key, upload_id))

    def read(self, limit: int) -> list[tuple[bytes, Upload]]:
        found = self.uploads[self.position : self.position + limit]
        self.position += len(found)
        return [(key, Upload(key, upload_id)) for key, upload_id in found]


def upload_id(number: int) -> str:
    return f"{number:032x}"


@given(
    uploads=st.lists(st.tuples(texts.filter(bool), st.integers(1, 4).map(upload_id)), max_size=30, unique=True),
    prefix=texts,
    delimiter=texts,
    limit=st.integers(1, 5),
)
def test_pages_of_uploads_in_a_row_show_every_entry_once(
    uploads: list[tuple[bytes, str]], prefix: bytes, delimiter: bytes, limit: int
) -> None:
    groups = [entry for entry, is_prefix in rolled_up([key for key, _ in uploads], prefix, delimiter) if is_prefix]
    plain = [
        (key, number)
        for key, number in uploads
        if key.startswith(prefix) and not any(key.startswith(group) for group in groups)
    ]
    expected = sorted([*plain, *((group, "") for group in groups)])
    shown: list[tuple[bytes, str]] = []
    key_marker, id_marker = b"", ""
    while True:
        page = UploadsQuery(prefix, delimiter, limit, False, key_marker, id_marker).page(UploadRows(uploads))
        got = sorted([*((key, item.upload_id) for key, item in page.items), *((entry, "") for entry in page.prefixes)])
        assert got == expected[len(shown) : len(shown) + limit]
        shown += got
        assert page.truncated == (len(shown) < len(expected))
        if not page.truncated:
            break
        key_marker, id_marker = shown[-1]
    assert shown == expected


def test_a_key_marker_alone_passes_every_upload_of_the_key() -> None:
    uploads = [(b"a", upload_id(1)), (b"a", upload_id(2)), (b"b", upload_id(3))]
    page = list_uploads(UploadRows(uploads), key_marker=b"a", limit=10)
    assert [item.upload_id for _, item in page.items] == [upload_id(3)]


@given(st.binary(max_size=1025))
def test_a_token_gives_its_key_back(resume: bytes) -> None:
    assert read_token(make_token(resume).encode()) == resume


@given(st.binary(max_size=40) | st.binary(max_size=9).map(lambda held: make_token(held).encode()[:-1]))
def test_what_is_no_token_is_an_invalid_argument(token: bytes) -> None:
    try:
        resume = read_token(token)
    except S3Error as error:
        assert error.code == "InvalidArgument"
        assert error.extra["ArgumentName"] == "continuation-token"
    else:
        assert make_token(resume).encode() == token


def test_an_overlong_token_is_refused_unread() -> None:
    with pytest.raises(S3Error):
        read_token(make_token(b"a" * 5000).encode())


def test_an_empty_token_is_none() -> None:
    query = parse_list_objects_v2([(b"continuation-token", b"")])
    assert (query.start, query.token) == (b"", "")


def test_a_token_outweighs_start_after() -> None:
    token = make_token(b"b")
    query = parse_list_objects_v2([(b"start-after", b"x"), (b"continuation-token", token.encode())])
    assert (query.start, query.token, query.marker) == (b"b", token, b"x")


@pytest.mark.parametrize(
    ("value", "limit"), [(b"", 1000), (b"0", 0), (b"7", 7), (b"1000", 1000), (b"1001", 1000), (b"2147483647", 1000)]
)
def test_max_keys_is_a_thousand_at_most(value: bytes, limit: int) -> None:
    assert parse_list_objects([(b"max-keys", value)]).limit == limit


@pytest.mark.parametrize(
    ("value", "argument"),
    [(b"blah", "max-keys"), (b"1.0", "max-keys"), (b"2147483648", "max-keys"), (b"9" * 8000, "max-keys"),
     (b" 1", "max-keys"), (b"-", "max-keys"), (b"-1", "maxKeys")],
)  # fmt: skip
def test_any_other_max_keys_is_an_invalid_argument(value: bytes, argument: str) -> None:
    for parse in (parse_list_objects, parse_list_objects_v2, parse_list_versions):
        with pytest.raises(S3Error) as error:
            parse([(b"max-keys", value)])
        assert error.value.code == "InvalidArgument"
        assert error.value.extra == {"ArgumentName": argument, "ArgumentValue": value}


def test_the_only_encoding_is_url() -> None:
    assert parse_list_objects([(b"encoding-type", b"url")]).encode
    with pytest.raises(S3Error) as error:
        parse_list_objects([(b"encoding-type", b"base64")])
    assert error.value.extra["ArgumentName"] == "encoding-type"


def test_owners_are_shown_by_the_second_version_when_asked() -> None:
    assert not parse_list_objects_v2([]).fetch_owner
    assert parse_list_objects_v2([(b"fetch-owner", b"true")]).fetch_owner
    assert parse_list_objects([]).fetch_owner


def test_a_version_marker_needs_a_key_marker() -> None:
    with pytest.raises(S3Error) as error:
        parse_list_versions([(b"version-id-marker", b"null")])
    assert error.value.code == "InvalidArgument"


def test_versions_begin_behind_the_key_marker() -> None:
    query: ObjectsQuery = parse_list_versions([(b"key-marker", b"a"), (b"version-id-marker", b"null")])
    assert [key for key, _ in query.page(Rows([b"a", b"b"])).items] == [b"b"]


def test_an_upload_marker_has_the_form_of_an_id() -> None:
    with pytest.raises(S3Error) as error:
        parse_list_uploads([(b"key-marker", b"a"), (b"upload-id-marker", b"what")])
    assert error.value.extra["ArgumentName"] == "upload-id-marker"


def test_an_upload_marker_without_a_key_is_ignored() -> None:
    assert parse_list_uploads([(b"upload-id-marker", b"what")]).upload_id_marker == ""


def test_parts_are_paged_by_number() -> None:
    assert parse_list_parts([(b"part-number-marker", b"3"), (b"max-parts", b"2")]) == (3, 2)
    assert parse_list_parts([]) == (0, 1000)
    assert parse_list_parts([(b"part-number-marker", b"2147483647")]) == (10_000, 1000)
    assert parse_attribute_parts([(b"x-amz-max-parts", b"2"), (b"host", b"h")]) == (0, 2)


class Bucket(msgspec.Struct, frozen=True):
    name: str
    region: str = "us-east-1"


def test_buckets_are_paged_by_name() -> None:
    buckets = [Bucket("a1"), Bucket("a2", "eu-west-1"), Bucket("a3"), Bucket("b1")]
    first, token = parse_list_buckets([(b"max-buckets", b"1"), (b"prefix", b"a")]).page(buckets)
    assert [bucket.name for bucket in first] == ["a1"]
    rest, end = parse_list_buckets([(b"prefix", b"a"), (b"continuation-token", token.encode())]).page(buckets)
    assert ([bucket.name for bucket in rest], end) == (["a2", "a3"], "")


def test_buckets_of_one_region_are_listed() -> None:
    buckets = [Bucket("a1"), Bucket("a2", "eu-west-1")]
    page, _ = parse_list_buckets([(b"bucket-region", b"eu-west-1")]).page(buckets)
    assert [bucket.name for bucket in page] == ["a2"]


@pytest.mark.parametrize("value", [b"0", b"10001", b"x", b"-1"])
def test_max_buckets_has_bounds(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_list_buckets([(b"max-buckets", value)])
    assert error.value.code == "InvalidArgument"


@pytest.mark.parametrize(("found", "limit", "truncated"), [(3, 2, True), (2, 2, False), (0, 2, False), (1, 0, False)])
def test_a_page_of_parts_says_whether_more_follows_unless_it_has_none(found: int, limit: int, truncated: bool) -> None:
    page, more = page_of_parts(range(found), limit)
    assert (len(page), more) == (min(found, limit), truncated)
