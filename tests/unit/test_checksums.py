"""Checksums and ETags of objects made from parts."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest
from awscrt import checksums as crt
from hypothesis import given
from hypothesis import strategies as st

from s3d.s3.checksums import (
    ALGORITHMS,
    HEADERS,
    SIZES_BYTES,
    checksum_headers,
    claimed,
    composite,
    from_text,
    full_object,
    multipart_etag,
    parse_kind,
    to_text,
    upload_checksum,
)
from s3d.s3.errors import S3Error

CRCS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: crt.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: crt.crc64nvme(data).to_bytes(8, "big"),
}


@pytest.mark.parametrize("name", CRCS)
@given(pieces=st.lists(st.binary(max_size=300)))
def test_the_crc_of_the_parts_makes_that_of_the_whole(name: str, pieces: list[bytes]) -> None:
    parts = [(CRCS[name](piece), len(piece)) for piece in pieces]
    assert full_object(name, parts) == CRCS[name](b"".join(pieces))


@pytest.mark.parametrize(
    ("name", "combine"),
    [("CRC32", crt.combine_crc32), ("CRC32C", crt.combine_crc32c), ("CRC64NVME", crt.combine_crc64nvme)],
)
def test_large_parts_combine_as_another_implementation_has_it(name: str, combine: object) -> None:
    width = SIZES_BYTES[ALGORITHMS[name]]
    chosen = random.Random(7)
    parts = [(chosen.randbytes(width), chosen.randrange(2**33)) for _ in range(200)]
    # As the parts of an upload are: many of one size.
    parts += [(chosen.randbytes(width), 8 * 2**20) for _ in range(200)]
    expected = 0
    for digest, size in parts:
        expected = combine(expected, int.from_bytes(digest, "big"), size)  # type: ignore[operator]
    assert full_object(name, parts) == expected.to_bytes(width, "big")


def test_a_multipart_etag_is_the_md5_of_the_md5s_and_their_count() -> None:
    md5s = [hashlib.md5(piece, usedforsecurity=False).digest() for piece in (b"A", b"B", b"C")]
    assert multipart_etag(md5s) == hashlib.md5(b"".join(md5s), usedforsecurity=False).hexdigest() + "-3"


def test_a_composite_checksum_has_the_count_of_parts() -> None:
    parts = [hashlib.sha256(piece).digest() for piece in (b"A", b"B")]
    assert composite("SHA256", parts) == to_text(hashlib.sha256(b"".join(parts)).digest()) + "-2"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_has_a_header_and_a_size(name: str) -> None:
    digest = bytes(SIZES_BYTES[ALGORITHMS[name]])
    assert from_text(name, to_text(digest)) == digest
    assert HEADERS[name] == f"x-amz-checksum-{name.lower()}".encode()


@pytest.mark.parametrize("value", ["", "bad", "AAAA", "AAAAAA=", "AAAAAA==\n", "ÄAAAAA==", "AAAAAA==-1"])
def test_a_malformed_checksum_is_none(value: str) -> None:
    assert from_text("CRC32", value) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("", "")),
        ({b"x-amz-checksum-algorithm": b"crc32"}, ("CRC32", "COMPOSITE")),
        ({b"x-amz-checksum-algorithm": b"CRC64NVME"}, ("CRC64NVME", "FULL_OBJECT")),
        ({b"x-amz-checksum-algorithm": b"SHA256"}, ("SHA256", "COMPOSITE")),
        ({b"x-amz-checksum-algorithm": b"CRC32C", b"x-amz-checksum-type": b"FULL_OBJECT"}, ("CRC32C", "FULL_OBJECT")),
    ],
)
def test_an_upload_chooses_its_checksum(headers: dict[bytes, bytes], expected: tuple[str, str]) -> None:
    assert upload_checksum(list(headers.items())) == expected


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {b"x-amz-checksum-algorithm": b"SHA1", b"x-amz-checksum-type": b"FULL_OBJECT"},
            "The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm.",
        ),
        (
            {b"x-amz-checksum-algorithm": b"CRC64NVME", b"x-amz-checksum-type": b"COMPOSITE"},
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        ),
        (
            {b"x-amz-checksum-type": b"COMPOSITE"},
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        ),
    ],
)
def test_a_combination_that_s3_lacks_is_refused(headers: dict[bytes, bytes], message: str) -> None:
    with pytest.raises(S3Error) as error:
        upload_checksum(list(headers.items()))
    assert (error.value.code, error.value.message) == ("InvalidRequest", message)


@pytest.mark.parametrize("name", [b"CRC16", b"", b"\xff"])
def test_an_unknown_algorithm_is_refused(name: bytes) -> None:
    with pytest.raises(S3Error) as error:
        upload_checksum([(b"x-amz-checksum-algorithm", name)])
    assert error.value.code == "InvalidRequest"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(S3Error):
        parse_kind(b"PARTIAL")


def test_an_answer_says_value_and_kind() -> None:
    assert checksum_headers("CRC32", "AAAAAA==", "FULL_OBJECT") == [
        (b"x-amz-checksum-crc32", b"AAAAAA=="),
        (b"x-amz-checksum-type", b"FULL_OBJECT"),
    ]


def test_one_checksum_may_be_claimed() -> None:
    assert claimed([(b"host", b"h"), (b"x-amz-checksum-sha1", b"abc")]) == ("SHA1", b"abc")


def test_two_checksums_may_not() -> None:
    with pytest.raises(S3Error) as error:
        claimed([(b"x-amz-checksum-crc32", b"a"), (b"x-amz-checksum-sha1", b"b")])
    assert error.value.code == "InvalidRequest"
