"""Headers in the query of a presigned URL."""

from __future__ import annotations

import pytest

from s3d.s3.errors import S3Error
from s3d.s3.presigned import hoisted_headers


def test_the_query_brings_headers_in_any_letter_case() -> None:
    params = [(b"X-Amz-Meta-A", b"b"), (b"x-amz-tagging", b"c=d"), (b"x-id", b"PutObject")]
    assert hoisted_headers(params, []) == [(b"x-amz-meta-a", b"b"), (b"x-amz-tagging", b"c=d")]


def test_a_header_outweighs_the_query() -> None:
    assert hoisted_headers([(b"x-amz-acl", b"public-read")], [(b"x-amz-acl", b"private")]) == []


def test_the_first_of_a_name_counts() -> None:
    assert hoisted_headers([(b"x-amz-meta-a", b"1"), (b"X-Amz-Meta-A", b"2")], []) == [(b"x-amz-meta-a", b"1")]


@pytest.mark.parametrize(
    "name",
    [
        b"X-Amz-Signature", b"X-Amz-Date", b"X-Amz-Content-Sha256", b"x-amz-checksum-crc32",
        b"x-amz-sdk-checksum-algorithm", b"x-amz-trailer", b"x-amz-decoded-content-length",
    ],
)  # fmt: skip
def test_what_is_the_signatures_or_the_bodys_stays_where_it_is(name: bytes) -> None:
    assert hoisted_headers([(name, b"1")], []) == []


@pytest.mark.parametrize(("name", "value"), [(b"x-amz-meta-a", b"b\r\nc: d"), (b"x-amz-meta-\n", b"b")])
def test_what_no_header_can_be_is_refused(name: bytes, value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        hoisted_headers([(name, value)], [])
    assert error.value.code == "InvalidArgument"
