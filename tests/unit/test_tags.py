"""Tags and their limits."""

from __future__ import annotations

import pytest

from s3d.s3.errors import S3Error
from s3d.s3.tags import check_tags, parse_tagging, parse_tagging_header


def document(*tags: tuple[str, str]) -> bytes:
    rows = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags)
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()


def test_tags_are_read_and_sorted() -> None:
    assert parse_tagging(document(("foo", "bar"), ("bar", ""))) == (("bar", ""), ("foo", "bar"))


def test_no_tags_are_some() -> None:
    assert parse_tagging(document()) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"<Tagging/>",
        b"<TagSet/>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><TagSet>text</TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a</Key><Key>b</Key><Value>c</Value></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Label/></TagSet></Tagging>",
    ],
)
def test_a_wrong_document_is_malformed(body: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_tagging(body)
    assert error.value.code == "MalformedXML"


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b"", ()),
        (b"foo=bar&bar", (("bar", ""), ("foo", "bar"))),
        (b"a+b=c%20d&&", (("a b", "c d"),)),
        ("ä=%C3%A4".encode(), (("ä", "ä"),)),
        (b"a=b=c", (("a", "b=c"),)),
    ],
)
def test_a_header_carries_tags_as_a_query_does(value: bytes, tags: tuple[tuple[str, str], ...]) -> None:
    assert parse_tagging_header(value) == tags


@pytest.mark.parametrize("value", [b"a=1&a=2", b"=1", b"a=%f", b"a=%ff", b"\xff=1", b"a=%zz"])
def test_a_header_that_is_not_so_encoded_is_an_invalid_argument(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_tagging_header(value)
    assert error.value.code == "InvalidArgument"
    assert error.value.extra["ArgumentName"] == "x-amz-tagging"


def test_the_longest_tags_pass() -> None:
    # A character beyond the basic plane counts as two.
    tags = [("k" * 127 + "é", "v" * 256), ("𝒌" * 64, "𝒗" * 128), ("+-=._:/@ ", "日本語 0")]
    assert len(check_tags(tags)) == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", "v", "The TagKey you have provided is invalid"),
        ("k" * 129, "v", "The TagKey you have provided is invalid"),
        ("𝒌" * 65, "v", "The TagKey you have provided is invalid"),
        ("k<", "v", "The TagKey you have provided is invalid"),
        ("k\n", "v", "The TagKey you have provided is invalid"),
        ("k", "v" * 257, "The TagValue you have provided is invalid"),
        ("k", "v\u200b", "The TagValue you have provided is invalid"),
        ("k", "v;", "The TagValue you have provided is invalid"),
        ("aws:k", "v", "System tags cannot be added/updated by requester"),
    ],
)
def test_a_tag_beyond_the_limits_is_invalid(key: str, value: str, message: str) -> None:
    with pytest.raises(S3Error) as error:
        check_tags([(key, value)])
    assert (error.value.code, error.value.status, error.value.message) == ("InvalidTag", 400, message)


def test_a_key_comes_once() -> None:
    with pytest.raises(S3Error) as error:
        parse_tagging(document(("a", "1"), ("a", "2")))
    assert error.value.code == "InvalidTag"


@pytest.mark.parametrize(("bucket", "most"), [(False, 10), (True, 50)])
def test_there_may_be_so_many_tags_and_no_more(bucket: bool, most: int) -> None:
    tags = [(f"k{number:02}", "v") for number in range(most + 1)]
    assert len(check_tags(tags[:-1], bucket=bucket)) == most
    with pytest.raises(S3Error) as error:
        check_tags(tags, bucket=bucket)
    assert (error.value.code, error.value.status) == ("BadRequest", 400)
