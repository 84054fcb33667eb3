"""Names of buckets, keys and versions."""

from __future__ import annotations

import pytest

from s3d.s3.errors import S3Error
from s3d.s3.names import (
    CopySource,
    check_bucket_name,
    check_key,
    check_version,
    is_current,
    parse_copy_source,
    refuse_version,
)


@pytest.mark.parametrize("name", ["abc", "a-b", "a.b", "0ab", "a" * 63, "1.2.3.4.5", "a--b", "foo.bar-baz"])
def test_a_name_that_follows_the_rules_passes(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "192.168.5.4", "xn--abc",
        "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3",
        "abc\n", "äbc", "٣٣٣",
    ],
)  # fmt: skip
def test_a_name_that_breaks_a_rule_is_refused(name: str) -> None:
    with pytest.raises(S3Error) as error:
        check_bucket_name(name)
    assert error.value.code == "InvalidBucketName"
    assert error.value.extra == {"BucketName": name}


def test_a_key_of_1024_bytes_passes() -> None:
    check_key("ä".encode() * 512)


def test_a_longer_key_is_refused_with_its_size() -> None:
    with pytest.raises(S3Error) as error:
        check_key("ä".encode() * 512 + b"a")
    assert error.value.code == "KeyTooLongError"
    assert error.value.extra == {"Size": "1025", "MaxSizeAllowed": "1024"}


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (b"bucket/key", CopySource("bucket", b"key", None)),
        (b"/bucket/key", CopySource("bucket", b"key", None)),
        (b"bucket/a%2Fb%20c+d%2B", CopySource("bucket", b"a/b c d+", None)),
        (b"bucket%2Fkey", CopySource("bucket", b"key", None)),
        (b"bucket//key", CopySource("bucket", b"/key", None)),
        (b"bucket/key?versionId=null", CopySource("bucket", b"key", b"null")),
        (b"bucket/key?versionId=", CopySource("bucket", b"key", b"")),
        (b"bucket/key%3FversionId=7", CopySource("bucket", b"key?versionId=7", None)),
        (b"bucket/%ff%00", CopySource("bucket", b"\xff\x00", None)),
    ],
)
def test_a_copy_source_is_read(value: bytes, source: CopySource) -> None:
    assert parse_copy_source(value) == source


@pytest.mark.parametrize(
    "value",
    [b"", b"/", b"bucket", b"bucket/", b"bucket/%4", b"b\xfccket/key", b"bucket/%zz",
     b"bucket/key?foo=bar"],
)  # fmt: skip
def test_a_copy_source_that_names_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        parse_copy_source(value)
    assert error.value.code == "InvalidArgument"
    assert error.value.extra["ArgumentName"] == "x-amz-copy-source"


@pytest.mark.parametrize("version", [None, b"null"])
def test_the_null_version_is_the_object(version: bytes | None) -> None:
    check_version(version, b"key")


@pytest.mark.parametrize(
    ("version", "code", "status"),
    [
        (b"", "InvalidArgument", 400),
        (b"what", "InvalidArgument", 400),
        (b"3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", "NoSuchVersion", 404),
    ],
)
def test_any_other_version_is_refused(version: bytes, code: str, status: int) -> None:
    with pytest.raises(S3Error) as error:
        check_version(version, b"key")
    assert (error.value.code, error.value.status) == (code, status)


def test_a_version_that_nothing_has_is_not_the_current_one() -> None:
    assert not is_current(b"3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH")


def test_what_makes_an_object_takes_no_version() -> None:
    with pytest.raises(S3Error) as error:
        refuse_version(b"null")
    assert (error.value.code, error.value.extra["ArgumentName"]) == ("InvalidArgument", "versionId")
