"""The rules of multipart uploads."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import msgspec
import pytest

from s3d.s3.checksums import to_text
from s3d.s3.errors import S3Error
from s3d.s3.reading import CompletedPart
from s3d.s3.uploads import (
    MIN_PART_BYTES,
    check_part_checksum,
    complete,
    make_upload_id,
    makes,
    parse_upload_id,
)


class Checksum(msgspec.Struct):
    algorithm: str
    value: str


class Upload(msgspec.Struct):
    upload_id: str = "0" * 32
    checksum_algorithm: str = ""
    checksum_kind: str = ""


class Part(msgspec.Struct):
    number: int
    size_bytes: int
    etag: str
    checksum: Checksum | None = None


def crc(data: bytes) -> str:
    return to_text(zlib.crc32(data).to_bytes(4, "big"))


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


BODIES = {1: b"a" * MIN_PART_BYTES, 3: b"b" * MIN_PART_BYTES, 7: b"c"}
PLAIN = {number: Part(number, len(body), md5(body)) for number, body in BODIES.items()}
SUMMED = {number: Part(number, len(body), md5(body), Checksum("CRC32", crc(body))) for number, body in BODIES.items()}
WHOLE = b"".join(BODIES.values())
FULL = Upload(checksum_algorithm="CRC32", checksum_kind="FULL_OBJECT")
COMPOSITE = Upload(checksum_algorithm="CRC32", checksum_kind="COMPOSITE")


def listed(*numbers: int, summed: bool = False) -> list[CompletedPart]:
    return [
        CompletedPart(number, md5(BODIES[number]), ("CRC32", crc(BODIES[number])) if summed else None)
        for number in numbers
    ]


def refusal(*arguments: Any) -> S3Error:
    with pytest.raises(S3Error) as error:
        complete(*arguments)
    return error.value


def test_ids_sort_by_time() -> None:
    first, second = make_upload_id(1, b"\xff" * 10), make_upload_id(2, b"\0" * 10)
    assert first < second
    assert parse_upload_id(first.encode()) == first


@pytest.mark.parametrize("value", [b"", b"x" * 32, b"0" * 31, b"A" * 32, b"0" * 32 + b"\n"])
def test_what_is_no_id_of_ours_names_no_upload(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_upload_id(value)
    assert (error.value.code, error.value.status) == ("NoSuchUpload", 404)


def test_the_listed_parts_become_the_object() -> None:
    made = complete(Upload(), listed(1, 7), PLAIN)
    assert (made.numbers, made.size_bytes, made.checksum) == ([1, 7], MIN_PART_BYTES + 1, None)
    assert made.etag == md5(bytes.fromhex(PLAIN[1].etag + PLAIN[7].etag)) + "-2"


@pytest.mark.parametrize("numbers", [(3, 1), (1, 1)])
def test_parts_come_in_order(numbers: tuple[int, ...]) -> None:
    assert refusal(Upload(), listed(*numbers), PLAIN).code == "InvalidPartOrder"


def test_a_part_must_have_been_uploaded() -> None:
    error = refusal(Upload(), [*listed(1), CompletedPart(2, "abc")], PLAIN)
    assert error.code == "InvalidPart"
    assert error.extra == {"UploadId": "0" * 32, "PartNumber": "2", "ETag": "abc"}


def test_a_part_must_have_its_etag() -> None:
    assert refusal(Upload(), [CompletedPart(1, "0" * 32)], PLAIN).code == "InvalidPart"


def test_only_the_last_part_may_be_small() -> None:
    small = {1: Part(1, MIN_PART_BYTES - 1, md5(b"a")), 2: Part(2, 1, md5(b"b"))}
    error = refusal(Upload(), [CompletedPart(1, md5(b"a")), CompletedPart(2, md5(b"b"))], small)
    assert error.code == "EntityTooSmall"
    assert error.extra["ProposedSize"] == str(MIN_PART_BYTES - 1)
    assert error.extra["PartNumber"] == "1"


def test_a_part_that_is_missing_is_told_before_one_that_is_small() -> None:
    small = {1: Part(1, 1, md5(b"a"))}
    assert refusal(Upload(), [CompletedPart(1, md5(b"a")), CompletedPart(2, "b")], small).code == "InvalidPart"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (b"7", f"The provided 'x-amz-mp-object-size' header value 7 does not match what was computed: {len(WHOLE)}"),
        (b"-1", "Value for x-amz-mp-object-size header is less than zero: '-1'"),
        (b"big", "Value for x-amz-mp-object-size header is invalid: 'big'"),
    ],
)
def test_a_size_that_is_claimed_must_be_right(size: bytes, message: str) -> None:
    error = refusal(Upload(), listed(1, 3, 7), PLAIN, [(b"x-amz-mp-object-size", size)])
    assert (error.code, error.message) == ("InvalidRequest", message)


def test_the_right_size_passes() -> None:
    assert complete(Upload(), listed(7), PLAIN, [(b"x-amz-mp-object-size", b"1")]).size_bytes == 1


def test_a_full_object_checksum_is_that_of_the_bytes() -> None:
    assert complete(FULL, listed(1, 3, 7), SUMMED).checksum == ("CRC32", crc(WHOLE), "FULL_OBJECT")


def test_parts_with_a_crc_give_the_object_one_that_nobody_chose() -> None:
    assert complete(Upload(), listed(1, 3, 7), SUMMED).checksum == ("CRC32", crc(WHOLE), "FULL_OBJECT")


def test_a_composite_checksum_is_that_of_the_checksums() -> None:
    joined = b"".join(zlib.crc32(body).to_bytes(4, "big") for body in BODIES.values())
    made = complete(COMPOSITE, listed(1, 3, 7, summed=True), SUMMED)
    assert made.checksum == ("CRC32", crc(joined) + "-3", "COMPOSITE")


def test_a_composite_checksum_needs_that_of_each_part() -> None:
    error = refusal(COMPOSITE, listed(1), SUMMED)
    assert (error.code, error.message) == (
        "InvalidRequest",
        "The upload was created using a crc32 checksum. The complete request must include the checksum for each part. "
        "It was missing for part 1 in the request.",
    )


def test_a_parts_checksum_must_be_the_one_stored() -> None:
    parts = [CompletedPart(7, md5(b"c"), ("CRC32", crc(b"d")))]
    assert refusal(FULL, parts, SUMMED).code == "InvalidPart"


def test_a_parts_checksum_must_be_of_the_uploads_algorithm() -> None:
    parts = [CompletedPart(7, md5(b"c"), ("SHA1", to_text(bytes(20))))]
    error = refusal(FULL, parts, SUMMED)
    assert (error.code, error.message) == (
        "BadDigest",
        "The sha1 you specified for part 7 did not match what we received.",
    )


def test_a_parts_checksum_must_be_base64_of_its_size() -> None:
    assert refusal(FULL, [CompletedPart(7, md5(b"c"), ("CRC32", "bad"))], SUMMED).code == "InvalidArgument"


def test_the_kind_must_be_that_of_the_upload() -> None:
    error = refusal(FULL, listed(7), SUMMED, [(b"x-amz-checksum-type", b"COMPOSITE")])
    assert (error.code, error.message) == (
        "InvalidRequest",
        "The upload was created using the FULL_OBJECT checksum mode. The complete request must use the same checksum "
        "mode.",
    )


def test_the_objects_checksum_may_be_claimed() -> None:
    headers = [(b"x-amz-checksum-crc32", crc(WHOLE).encode())]
    assert complete(FULL, listed(1, 3, 7), SUMMED, headers).checksum is not None


@pytest.mark.parametrize("count", [b"", b"-1"])
def test_a_composite_checksum_may_be_claimed_with_its_count_or_without(count: bytes) -> None:
    claim = crc(zlib.crc32(b"c").to_bytes(4, "big")).encode() + count
    assert complete(COMPOSITE, listed(7, summed=True), SUMMED, [(b"x-amz-checksum-crc32", claim)]).checksum


@pytest.mark.parametrize(
    ("upload", "name", "value"),
    [
        (FULL, b"crc32", crc(b"?").encode()),
        (FULL, b"sha1", to_text(bytes(20)).encode()),
        (FULL, b"crc32", b"bad"),
        (FULL, b"crc32", crc(b"c").encode() + b"-1"),
        (COMPOSITE, b"crc32", crc(zlib.crc32(b"c").to_bytes(4, "big")).encode() + b"-2"),
        (COMPOSITE, b"crc32", crc(zlib.crc32(b"c").to_bytes(4, "big")).encode() + b"-x"),
        (Upload(), b"crc32", crc(b"?").encode()),
    ],
)
def test_a_wrong_claim_is_refused(upload: Upload, name: bytes, value: bytes) -> None:
    error = refusal(upload, listed(7, summed=True), SUMMED, [(b"x-amz-checksum-" + name, value)])
    assert (error.code, error.message) == (
        "BadDigest",
        f"The {name.decode().upper()} you specified did not match the calculated checksum.",
    )


@pytest.mark.parametrize(
    ("upload", "claimed", "stored"),
    [
        (Upload(), None, "CRC64NVME"),
        (Upload(), "SHA1", "SHA1"),
        (FULL, None, "CRC32"),
        (FULL, "CRC32", "CRC32"),
        (COMPOSITE, "CRC32", "CRC32"),
    ],
)
def test_a_part_is_stored_with_the_uploads_checksum(upload: Upload, claimed: str | None, stored: str) -> None:
    assert check_part_checksum(upload, claimed) == stored


@pytest.mark.parametrize(("upload", "claimed"), [(COMPOSITE, None), (COMPOSITE, "SHA1"), (FULL, "SHA1")])
def test_a_part_with_another_checksum_is_refused(upload: Upload, claimed: str | None) -> None:
    with pytest.raises(S3Error) as error:
        check_part_checksum(upload, claimed)
    assert error.value.message == (
        "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: "
        + ("sha1" if claimed else "null")
    )


def test_the_listed_parts_tell_which_object_they_make() -> None:
    first, second = (hashlib.md5(body, usedforsecurity=False) for body in (b"a", b"b"))
    whole = hashlib.md5(first.digest() + second.digest(), usedforsecurity=False).hexdigest()
    listed = [CompletedPart(1, first.hexdigest()), CompletedPart(2, second.hexdigest())]
    assert makes(listed, f"{whole}-2")
    assert not makes(listed[:1], f"{whole}-2")


def test_an_etag_that_is_no_digest_makes_no_object() -> None:
    assert not makes([CompletedPart(1, "nonsense")], "nonsense")
