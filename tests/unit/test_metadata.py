"""What of a request's headers an object keeps, and what is refused."""

from __future__ import annotations

from email.header import decode_header

import pytest

from s3d.s3.errors import S3Error
from s3d.s3.metadata import (
    check_supported,
    directive,
    mail_safe,
    response_overrides,
    storage_class,
    stored_headers,
)

Pairs = list[tuple[bytes, bytes]]


def test_content_type_has_a_default() -> None:
    assert stored_headers([(b"host", b"x")]) == ((b"content-type", b"binary/octet-stream"),)


def test_an_empty_content_type_is_none() -> None:
    assert stored_headers([(b"content-type", b"")]) == ((b"content-type", b"binary/octet-stream"),)


def test_system_and_user_metadata_are_kept_and_nothing_else() -> None:
    headers: Pairs = [
        (b"host", b"h"), (b"content-type", b"text/plain"), (b"cache-control", b"no-cache"),
        (b"content-disposition", b"attachment"), (b"content-language", b"de"), (b"expires", b"never"),
        (b"x-amz-website-redirect-location", b"/there"), (b"x-amz-meta-a", b"1"), (b"x-amz-meta-empty", b""),
        (b"content-length", b"3"), (b"x-amz-storage-class", b"STANDARD"), (b"authorization", b"secret"),
    ]  # fmt: skip
    assert dict(stored_headers(headers)) == {
        b"content-type": b"text/plain", b"cache-control": b"no-cache", b"content-disposition": b"attachment",
        b"content-language": b"de", b"expires": b"never", b"x-amz-website-redirect-location": b"/there",
        b"x-amz-meta-a": b"1", b"x-amz-meta-empty": b"",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"gzip", b"gzip"),
        (b"deflate, gzip", b"deflate, gzip"),
        (b"gzip, aws-chunked", b"gzip"),
        (b"aws-chunked, gzip", b"gzip"),
        (b"AWS-Chunked,gzip,br", b"gzip, br"),
        (b"aws-chunked", None),
        (b"aws-chunked, aws-chunked", None),
    ],
)
def test_aws_chunked_is_no_encoding_of_the_object(sent: bytes, kept: bytes | None) -> None:
    assert dict(stored_headers([(b"content-encoding", sent)])).get(b"content-encoding") == kept


def test_values_of_one_name_are_joined() -> None:
    headers: Pairs = [(b"x-amz-meta-a", b"1"), (b"x-amz-meta-b", b"2"), (b"x-amz-meta-a", b"3")]
    assert stored_headers(headers)[1:] == ((b"x-amz-meta-a", b"1,3"), (b"x-amz-meta-b", b"2"))


def test_two_kilobytes_of_user_metadata_pass() -> None:
    assert stored_headers([(b"x-amz-meta-ab", b"v" * 1022), (b"x-amz-meta-cd", b"v" * 1022)])


def test_more_user_metadata_is_refused_with_its_size() -> None:
    with pytest.raises(S3Error) as error:
        stored_headers([(b"x-amz-meta-ab", b"v" * 1022), (b"x-amz-meta-cd", b"v" * 1023)])
    assert error.value.code == "MetadataTooLarge"
    assert error.value.extra == {"Size": "2049", "MaxSizeAllowed": "2048"}


def test_a_redirect_must_lead_somewhere() -> None:
    with pytest.raises(S3Error) as error:
        stored_headers([(b"x-amz-website-redirect-location", b"there")])
    assert error.value.code == "InvalidRedirectLocation"


def test_the_user_guides_example_of_bytes_outside_ascii() -> None:
    # "Working with object metadata", User-defined object metadata.
    assert mail_safe("ÄMÄZÕÑ S3".encode()) == b"=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?="


def test_ascii_is_kept_as_it_came() -> None:
    assert mail_safe(b"AMAZONS3 =?UTF-8?B?w4Q=?=") == b"AMAZONS3 =?UTF-8?B?w4Q=?="


# What S3 makes of the values that an earlier ceph/s3-tests called unreadable, and of more bytes than one word holds.
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (b"\x04mymeta", b"=?UTF-8?Q?=04mymeta?="),
        (b"h\x04w", b"=?UTF-8?Q?h=04w?="),
        (b"caf\xe9 au_lait?", b"=?UTF-8?Q?caf=C3=A9_au=5Flait=3F?="),
        (b"\xe9" * 32, b"=?UTF-8?B?w6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6nDqcOpw6k=?= " * 2),
    ],
)
def test_what_is_not_printable_is_encoded(value: bytes, encoded: bytes) -> None:
    assert mail_safe(value) == encoded.strip()


@pytest.mark.parametrize("value", ["caf\xe9 au lait?_=", "\xe9" * 100, "x" * 200 + "\xe9", "\xff\xfe\x80"])
def test_encoded_words_decode_to_the_value_and_are_short(value: str) -> None:
    encoded = mail_safe(value.encode("latin-1"))
    assert all(len(word) <= 75 for word in encoded.split(b" "))
    decoded = b"".join(
        part if isinstance(part, bytes) else part.encode() for part, _ in decode_header(encoded.decode("ascii"))
    )
    assert decoded.decode() == value


@pytest.mark.parametrize("name", ["STANDARD", "STANDARD_IA", "GLACIER_IR", "REDUCED_REDUNDANCY"])
def test_a_storage_class_is_kept(name: str) -> None:
    assert storage_class([(b"x-amz-storage-class", name.encode())]) == name


def test_standard_is_the_default_class() -> None:
    assert storage_class([]) == "STANDARD"


@pytest.mark.parametrize(
    ("name", "code"),
    [(b"FAST", "InvalidStorageClass"), (b"", "InvalidStorageClass"), (b"GLACIER", "NotImplemented")],
)
def test_another_storage_class_is_refused(name: bytes, code: str) -> None:
    with pytest.raises(S3Error) as error:
        storage_class([(b"x-amz-storage-class", name)])
    assert error.value.code == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-amz-server-side-encryption-aws-kms-key-id", b"k"),
        (b"x-amz-server-side-encryption-customer-algorithm", b"AES256"),
        (b"x-amz-object-lock-mode", b"GOVERNANCE"),
        (b"x-amz-acl", b"public-read"),
        (b"x-amz-grant-read", b"id=1"),
        (b"x-amz-bucket-object-lock-enabled", b"true"),
        (b"x-amz-object-ownership", b"ObjectWriter"),
    ],
)
def test_what_cannot_be_done_yet_is_refused_by_name(name: bytes, value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_supported([(name, value)])
    assert (error.value.code, error.value.status, error.value.extra) == ("NotImplemented", 501, {"Header": name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-amz-acl", b"private"),
        (b"x-amz-acl", b"bucket-owner-full-control"),
        (b"x-amz-object-ownership", b"BucketOwnerEnforced"),
        (b"x-amz-bucket-object-lock-enabled", b"False"),
        (b"x-amz-meta-anything", b"public-read"),
    ],
)
def test_what_is_so_anyway_passes(name: bytes, value: bytes) -> None:
    check_supported([(name, value)])


@pytest.mark.parametrize("value", [b"aws:kms", b"aws:kms:dsse"])
def test_keys_of_kms_are_not_implemented(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_supported([(b"x-amz-server-side-encryption", value)], encryption="accept")
    assert error.value.code == "NotImplemented"


@pytest.mark.parametrize("value", [b"", b"aes256", b"AES512"])
def test_another_encryption_is_an_invalid_argument(value: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_supported([(b"x-amz-server-side-encryption", value)], encryption="accept")
    assert error.value.extra == {"ArgumentName": "x-amz-server-side-encryption", "ArgumentValue": value}


def test_encryption_with_the_stores_own_keys_is_taken_or_refused_by_choice() -> None:
    check_supported([(b"x-amz-server-side-encryption", b"AES256")], encryption="accept")
    with pytest.raises(S3Error, match="S3D_STANDALONE_SSE_S3") as error:
        check_supported([(b"x-amz-server-side-encryption", b"AES256")], encryption="refuse")
    assert error.value.code == "NotImplemented"


def test_only_what_makes_an_object_can_ask_for_encryption() -> None:
    with pytest.raises(S3Error, match="not supported for this operation") as error:
        check_supported([(b"x-amz-server-side-encryption", b"AES256")])
    assert error.value.code == "InvalidArgument"


def test_a_buckets_owner_needs_no_full_control() -> None:
    with pytest.raises(S3Error):
        check_supported([(b"x-amz-acl", b"bucket-owner-full-control")], bucket=True)


@pytest.mark.parametrize("name", [b"x-amz-acl", b"x-amz-object-ownership"])
def test_an_unknown_acl_or_ownership_is_an_invalid_argument(name: bytes) -> None:
    with pytest.raises(S3Error) as error:
        check_supported([(name, b"mine")])
    assert error.value.code == "InvalidArgument"


def test_the_first_of_an_override_counts() -> None:
    params = [(b"response-content-type", b"x/y"), (b"response-content-type", b"z")]
    assert response_overrides(params, True) == [(b"content-type", b"x/y")]


def test_a_signed_request_overrides_headers_of_the_answer() -> None:
    params: Pairs = [(b"response-content-type", b"foo/bar"), (b"x-id", b"GetObject"), (b"response-expires", b"123")]
    assert response_overrides(params, True) == [(b"content-type", b"foo/bar"), (b"expires", b"123")]


def test_an_anonymous_request_may_not() -> None:
    with pytest.raises(S3Error) as error:
        response_overrides([(b"response-content-type", b"foo/bar")], False)
    assert error.value.code == "InvalidRequest"


def test_an_override_cannot_smuggle_a_header_in() -> None:
    with pytest.raises(S3Error) as error:
        response_overrides([(b"response-content-type", b"a\r\nset-cookie: b")], True)
    assert error.value.code == "InvalidArgument"


@pytest.mark.parametrize(("value", "replaces"), [(b"COPY", False), (b"REPLACE", True)])
def test_a_directive_is_read(value: bytes, replaces: bool) -> None:
    assert directive([(b"x-amz-metadata-directive", value)], b"x-amz-metadata-directive") is replaces


def test_an_unknown_directive_is_refused() -> None:
    with pytest.raises(S3Error) as error:
        directive([(b"x-amz-tagging-directive", b"MERGE")], b"x-amz-tagging-directive")
    assert (error.value.code, error.value.message) == ("InvalidArgument", "Unknown tagging directive.")
