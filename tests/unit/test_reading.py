"""Documents that come in, well-formed, wrong and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d.s3.errors import S3Error
from s3d.s3.reading import (
    BucketConfiguration,
    CompletedPart,
    DeleteEntry,
    check_location,
    parse_bucket_configuration,
    parse_complete,
    parse_delete,
    parse_document,
)

NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def refused(parse: object, body: bytes) -> str:
    with pytest.raises(S3Error) as error:
        parse(body)  # type: ignore[operator]
    assert error.value.status in (400, 501)
    return error.value.code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"<Delete>",
        b"<Delete/><Delete/>",
        b"<Other/>",
        b"plain",
        b"<Delete>&nbsp;</Delete>",
        b"<!DOCTYPE Delete><Delete/>",
        b'<!DOCTYPE Delete [<!ENTITY a "b">]><Delete>&a;</Delete>',
        b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd"><Delete/>',
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
        b"<Delete>\x01</Delete>",
        b"<Delete>\xff</Delete>",
        b"<Delete>" * 10_000,
        b"<Delete>" + b"<a>" * 9 + b"</a>" * 9 + b"</Delete>",
        b"<Delete>text<Quiet/></Delete>",
    ],
)
def test_what_is_no_document_is_malformed(body: bytes) -> None:
    assert refused(lambda body: parse_document(body, "Delete"), body) == "MalformedXML"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for parse in (parse_complete, parse_delete, parse_bucket_configuration):
        try:
            parse(body)
        except S3Error as error:
            assert error.status == 400


def test_utf_16_is_xml_too() -> None:
    body = '<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>ä</Key></Object></Delete>'.encode("utf-16")
    assert parse_delete(body).entries == [DeleteEntry("ä".encode())]


PART = b"<Part><PartNumber>1</PartNumber><ETag>&quot;a54357aff0632cce46d942af68356b38&quot;</ETag></Part>"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (b"<CompleteMultipartUpload>", b"</CompleteMultipartUpload>"),
        (b"<CompleteMultipartUpload " + NAMESPACE + b">\n  ", b"\n</CompleteMultipartUpload>\n"),
        (
            b'<?xml version="1.0"?><!-- hello --><s3:CompleteMultipartUpload '
            b'xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/">',
            b"</s3:CompleteMultipartUpload>",
        ),
    ],
)
def test_parts_are_read_with_or_without_a_namespace(start: bytes, end: bytes) -> None:
    assert parse_complete(start + PART + end) == [CompletedPart(1, "a54357aff0632cce46d942af68356b38")]


def complete(*parts: bytes) -> bytes:
    return b"<CompleteMultipartUpload>" + b"".join(parts) + b"</CompleteMultipartUpload>"


def test_a_part_may_have_a_checksum() -> None:
    part = b"<Part><ETag>abc</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32><PartNumber> 2 </PartNumber></Part>"
    assert parse_complete(complete(part)) == [CompletedPart(2, "abc", ("CRC32", "AAAAAA=="))]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (complete(), "MalformedXML"),
        (complete(PART * 10_001), "MalformedXML"),
        (complete(b"<Part><ETag>a</ETag></Part>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>1</PartNumber></Part>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>one</PartNumber><ETag>a</ETag></Part>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>" + b"1" * 9000 + b"</PartNumber><ETag>a</ETag></Part>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>a</ETag></Part>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>1</PartNumber><ETag>a</ETag><Size>1</Size></Part>"), "MalformedXML"),
        (complete(b"<Part/>"), "MalformedXML"),
        (complete(b"<Piece/>"), "MalformedXML"),
        (complete(b"<Part><PartNumber>0</PartNumber><ETag>a</ETag></Part>"), "InvalidArgument"),
        (complete(b"<Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part>"), "InvalidPart"),
        (complete(b"<Part><PartNumber>-3</PartNumber><ETag>a</ETag></Part>"), "InvalidArgument"),
        (
            complete(
                b"<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumCRC32>a</ChecksumCRC32>"
                b"<ChecksumSHA1>b</ChecksumSHA1></Part>"
            ),
            "InvalidArgument",
        ),
    ],
)
def test_a_wrong_list_of_parts_is_refused(body: bytes, code: str) -> None:
    assert refused(parse_complete, body) == code


def test_ten_thousand_parts_are_read() -> None:
    assert len(parse_complete(complete(PART * 10_000))) == 10_000


def delete(*content: bytes) -> bytes:
    return b"<Delete " + NAMESPACE + b">" + b"".join(content) + b"</Delete>"


def test_what_to_delete_is_read() -> None:
    request = parse_delete(
        delete(
            b"<Quiet>true</Quiet>",
            b"<Object><Key> a&amp;b\n</Key></Object>",
            b"<Object><Key>c</Key><VersionId>null</VersionId></Object>",
            b"<Object><Key>d</Key><VersionId/><ETag>&quot;x&quot;</ETag>"
            b"<LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</LastModifiedTime><Size>7</Size></Object>",
        )
    )
    assert request.quiet
    assert request.entries == [
        DeleteEntry(b" a&b\n"),
        DeleteEntry(b"c", "null"),
        DeleteEntry(b"d", None, b'"x"', 784_111_777_000, 7),
    ]


def test_a_thousand_keys_are_deleted_at_once() -> None:
    request = parse_delete(delete(b"<Object><Key>a</Key></Object>" * 1000))
    assert (len(request.entries), request.quiet) == (1000, False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<Quiet>true</Quiet>",
        b"<Object><Key>a</Key></Object>" * 1001,
        b"<Object/>",
        b"<Object><Key/></Object>",
        b"<Object><VersionId>null</VersionId></Object>",
        b"<Object><Key>a</Key></Object><Quiet>perhaps</Quiet>",
        b"<Object><Key>a</Key></Object><Quiet/><Quiet/>",
        # A condition that is not known, or not understood, must not pass for none.
        b"<Object><Key>a</Key><Colour>red</Colour></Object>",
        b"<Object><Key>a</Key><Size>big</Size></Object>",
        b"<Object><Key>a</Key><LastModifiedTime>yesterday</LastModifiedTime></Object>",
        b"<Object><Key><b>a</b></Key></Object>",
    ],
)
def test_a_wrong_delete_deletes_nothing(content: bytes) -> None:
    assert refused(parse_delete, delete(content)) == "MalformedXML"


def configuration(content: bytes) -> bytes:
    return b"<CreateBucketConfiguration " + NAMESPACE + b">" + content + b"</CreateBucketConfiguration>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", BucketConfiguration()),
        (b" \n", BucketConfiguration()),
        (configuration(b""), BucketConfiguration()),
        (configuration(b"<LocationConstraint/>"), BucketConfiguration()),
        (
            configuration(b"<LocationConstraint>eu-west-1</LocationConstraint>"),
            BucketConfiguration("eu-west-1"),
        ),
        (
            configuration(b"<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"),
            BucketConfiguration("", [("a", "b")]),
        ),
    ],
)
def test_a_buckets_configuration_is_read(body: bytes, expected: BucketConfiguration) -> None:
    assert parse_bucket_configuration(body) == expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"text", "MalformedXML"),
        (b"<Size>1</Size>", "MalformedXML"),
        (b"<LocationConstraint/><LocationConstraint/>", "MalformedXML"),
        (b"<LocationConstraint><a/></LocationConstraint>", "MalformedXML"),
        (b"<Bucket><Type>Directory</Type></Bucket>", "NotImplemented"),
    ],
)
def test_a_wrong_configuration_is_refused(content: bytes, code: str) -> None:
    assert refused(parse_bucket_configuration, configuration(content)) == code


@pytest.mark.parametrize(
    ("location", "region"),
    [
        ("", "us-east-1"),
        ("eu-west-1", "eu-west-1"),
        ("EU", "eu-west-1"),
        ("here", "here"),
        ("eu-west-1", "us-east-1"),
    ],
)
def test_a_bucket_is_made_in_our_region(location: str, region: str) -> None:
    check_location(location, region)


@pytest.mark.parametrize(
    ("location", "code"),
    [("eu-west-1", "IllegalLocationConstraintException"), ("no where", "InvalidLocationConstraint")],
)
def test_a_bucket_is_made_nowhere_else(location: str, code: str) -> None:
    with pytest.raises(S3Error) as error:
        check_location(location, "eu-central-1")
    assert (error.value.code, error.value.status) == (code, 400)
