"""ListObjects."""

from __future__ import annotations

import pytest

from contract.refusals import refused

NAMES = ["a", "b/1", "b/2", "b/c/3", "d", "d e", "f/4"]


@pytest.fixture(scope="session")
def _filled():
    return set()


@pytest.fixture
def prefix(direct, remote, bucket, _filled):
    """The prefix below which `NAMES` lie at the remote."""
    if remote.name not in _filled:
        for name in NAMES:
            direct.put_object(Bucket=bucket, Key=f"listed-v1/{name}", Body=name.encode())
        _filled.add(remote.name)
    return "listed-v1/"


def _keys(answer):
    return [one["Key"].removeprefix("listed-v1/") for one in answer.get("Contents", [])]


def _prefixes(answer):
    return [one["Prefix"].removeprefix("listed-v1/") for one in answer.get("CommonPrefixes", [])]


def test_everything_in_order(s3, bucket, prefix):
    answer = s3.list_objects(Bucket=bucket, Prefix=prefix)
    assert _keys(answer) == NAMES
    assert (answer["IsTruncated"], answer["Name"]) == (False, bucket)


def test_entries_are_those_of_the_remote(s3, direct, bucket, prefix):
    listings = [one.list_objects(Bucket=bucket, Prefix=prefix)["Contents"] for one in (s3, direct)]
    assert listings[0] == listings[1]
    assert [one["Size"] for one in listings[0]] == [len(name) for name in NAMES]


def test_delimiter_gives_common_prefixes(s3, bucket, prefix):
    answer = s3.list_objects(Bucket=bucket, Prefix=prefix, Delimiter="/")
    assert _keys(answer) == ["a", "d", "d e"]
    assert _prefixes(answer) == ["b/", "f/"]


def test_prefix_inside_a_name(s3, bucket, prefix):
    assert _keys(s3.list_objects(Bucket=bucket, Prefix=f"{prefix}d")) == ["d", "d e"]


def test_prefix_with_a_space_and_plus(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=f"{key} +x", Body=b"")
    direct.put_object(Bucket=bucket, Key=f"{key}  x", Body=b"")
    listed = s3.list_objects(Bucket=bucket, Prefix=f"{key} +")["Contents"]
    assert [one["Key"] for one in listed] == [f"{key} +x"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages(s3, bucket, prefix, size):
    keys, pages = [], 0
    for page in s3.get_paginator("list_objects").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": size}
    ):
        assert len(page["Contents"]) <= size
        keys += _keys(page)
        pages += 1
    assert keys == NAMES
    assert pages == -(-len(NAMES) // size)


def test_pages_with_a_delimiter(s3, bucket, prefix):
    seen = []
    pages = s3.get_paginator("list_objects").paginate(
        Bucket=bucket, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    for page in pages:
        seen += _keys(page) + _prefixes(page)
    assert sorted(seen) == ["a", "b/", "d", "d e", "f/"]


def test_marker(s3, bucket, prefix):
    answer = s3.list_objects(Bucket=bucket, Prefix=prefix, Marker=f"{prefix}b/2")
    assert _keys(answer) == ["b/c/3", "d", "d e", "f/4"]


def test_no_keys_asked_for(s3, bucket, prefix):
    answer = s3.list_objects(Bucket=bucket, Prefix=prefix, MaxKeys=0)
    assert (answer["IsTruncated"], _keys(answer)) == (False, [])


def test_nothing_there(s3, bucket, key):
    answer = s3.list_objects(Bucket=bucket, Prefix=f"{key}-none")
    assert _keys(answer) == []


def test_url_encoding_reaches_the_client(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=f"{key}/ü +&", Body=b"")
    answer = wire.send("GET", f"/{bucket}?encoding-type=url&prefix={key}")
    assert b"<EncodingType>url</EncodingType>" in answer.body
    assert f"<Key>{key}/%C3%BC".encode() in answer.body


def test_without_url_encoding_keys_are_xml_text(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=f"{key}/ü +&<", Body=b"")
    answer = wire.send("GET", f"/{bucket}?prefix={key}")
    assert f"<Key>{key}/ü +&amp;&lt;</Key>".encode() in answer.body


def test_next_marker_with_a_delimiter(s3, bucket, prefix):
    first = s3.list_objects(Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=2)
    assert first["IsTruncated"] is True
    second = s3.list_objects(Bucket=bucket, Prefix=prefix, Delimiter="/", Marker=first["NextMarker"])
    assert sorted(_keys(first) + _prefixes(first) + _keys(second) + _prefixes(second)) == ["a", "b/", "d", "d e", "f/"]


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.list_objects(Bucket=new_bucket)
