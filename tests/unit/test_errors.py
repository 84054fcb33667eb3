"""Errors: the table, the document we write, and the documents that remotes send."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import botocore.session
import pytest
from botocore.parsers import RestXMLParser
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.fault import Fault, FaultCode
from s3d.s3.error_codes import ERRORS, FAULTS
from s3d.s3.errors import MAX_ERROR_BYTES, ErrorBody, S3Error, parse_error, xml_text

REQUEST_ID = "4442587FB7D0A2F9"


def element(document: bytes, name: str) -> str | None:
    return ElementTree.fromstring(document).findtext(name)


# The table.


# Of SOAP alone, and "N/A".
LEFT_OUT = {"InvalidSOAPRequest", "MissingAttachment", "MissingSecurityElement", "N"}


def documented() -> list[tuple[str, int]]:
    """Codes and statuses in the documentation of the service model's ``Error`` shape."""
    shape = botocore.session.Session().get_service_model("s3").shape_for("Error")
    text = shape.members["Code"].documentation
    rows = re.findall(r"<i>Code:</i> *(\w+) *</p>.*?<i>HTTP Status Code:</i> *(\d+)", text, re.DOTALL)
    return [(code, int(status)) for code, status in rows if code not in LEFT_OUT]


# What the model's documentation and S3 itself disagree about: (S3 sends, the documentation says).
DOCUMENTED_OTHERWISE = {"RequestIsNotMultiPartContent": (412, 400)}


@pytest.mark.parametrize(("code", "status"), documented())
def test_every_documented_code_has_its_documented_status(code: str, status: int) -> None:
    sent, said = DOCUMENTED_OTHERWISE.get(code, (status, status))
    assert (ERRORS[code][0], status) == (sent, said)


def test_the_documentation_was_found() -> None:
    assert len(documented()) > 60


def test_every_code_has_an_error_status_and_a_message() -> None:
    for code, (status, message) in ERRORS.items():
        assert 300 <= status < 600, code
        assert message.strip() == message != "", code


@pytest.mark.parametrize("fault_code", list(FaultCode))
def test_every_fault_of_the_core_has_a_code(fault_code: FaultCode) -> None:
    assert FAULTS[fault_code][0] in ERRORS


@pytest.mark.parametrize(
    ("fault_code", "code", "status"),
    [
        (FaultCode.INVALID_URI, "InvalidURI", 400),
        (FaultCode.KEY_TOO_LONG, "KeyTooLongError", 400),
        (FaultCode.METHOD_NOT_ALLOWED, "MethodNotAllowed", 405),
        (FaultCode.REQUEST_EXPIRED, "AccessDenied", 403),
        (FaultCode.SIGNATURE_DOES_NOT_MATCH, "SignatureDoesNotMatch", 403),
        (FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, "InvalidRequest", 400),
        (FaultCode.MISSING_CONTENT_LENGTH, "MissingContentLength", 411),
        (FaultCode.CONTENT_SHA256_MISMATCH, "XAmzContentSHA256Mismatch", 400),
        (FaultCode.SERVICE_UNAVAILABLE, "ServiceUnavailable", 503),
        (FaultCode.MISDIRECTED_REQUEST, "MisdirectedRequest", 421),
    ],
)
def test_a_fault_becomes_its_error(fault_code: FaultCode, code: str, status: int) -> None:
    error = S3Error.from_fault(Fault(fault_code), resource="/bucket/key")
    assert (error.code, error.status, error.resource) == (code, status, "/bucket/key")
    assert error.message


# The error.


def test_an_error_takes_status_and_message_from_its_code() -> None:
    error = S3Error("NoSuchKey")
    assert (error.status, error.message) == (404, "The specified key does not exist.")


def test_an_error_may_say_more_than_its_code() -> None:
    error = S3Error("InvalidArgument", "Part number must be an integer", status=409)
    assert (error.status, error.message) == (409, "Part number must be an integer")


def test_a_fault_keeps_its_detail_as_message_and_itself_as_cause() -> None:
    fault = Fault(FaultCode.INVALID_ARGUMENT, "Conflicting query string parameters: acl, policy")
    error = S3Error.from_fault(fault)
    assert error.message == "Conflicting query string parameters: acl, policy"
    assert error.__cause__ is error.cause is fault


def test_a_fault_without_detail_has_the_message_of_its_own_meaning() -> None:
    assert S3Error.from_fault(Fault(FaultCode.REQUEST_EXPIRED)).message == "Request has expired"


def test_an_unknown_code_needs_a_status() -> None:
    with pytest.raises(ValueError, match="XMinioThing"):
        S3Error("XMinioThing")
    error = S3Error("XMinioThing", status=507)
    assert (error.status, error.message) == (507, "XMinioThing")


def test_an_error_says_its_code_and_message() -> None:
    assert str(S3Error("AccessDenied")) == "AccessDenied: Access Denied"


@pytest.mark.parametrize(
    ("code", "key", "told"),
    [
        ("NoSuchKey", b"k", {"Key": b"k"}),
        ("NoSuchBucket", b"k", {"BucketName": "b"}),
        ("KeyTooLongError", b"k" * 1025, {"Size": "1025", "MaxSizeAllowed": "1024"}),
        ("InvalidURI", b"", {"URI": b"/b/k"}),
        ("MethodNotAllowed", b"k", {"Method": "PUT", "ResourceType": "OBJECT"}),
        ("MethodNotAllowed", b"", {"Method": "PUT", "ResourceType": "BUCKET"}),
        ("AccessDenied", b"k", {}),
    ],
)
def test_an_error_tells_of_the_request_what_s3_does(code: str, key: bytes, told: dict[str, str | bytes]) -> None:
    error = S3Error(code)
    error.tell(method="PUT", bucket="b", key=key, target=b"/b/k")
    assert error.extra == told


def test_what_an_error_tells_already_stays() -> None:
    error = S3Error("NoSuchKey", extra={"Key": "another"})
    error.tell(method="GET", bucket="b", key=b"k", target=b"/b/k")
    assert error.extra == {"Key": "another"}


def test_the_fields_of_a_fault_are_elements_of_its_error() -> None:
    fault = Fault(FaultCode.ENTITY_TOO_LARGE, "", (("ProposedSize", "2"), ("MaxSizeAllowed", "1")))
    assert S3Error.from_fault(fault).extra == {"ProposedSize": "2", "MaxSizeAllowed": "1"}


# The document.


def test_the_document_is_the_one_of_the_api_reference() -> None:
    error = S3Error("NoSuchKey", "The resource you requested does not exist", resource="/mybucket/myfoto.jpg")
    assert error.to_xml(REQUEST_ID) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b"<Error><Code>NoSuchKey</Code><Message>The resource you requested does not exist</Message>"
        b"<Resource>/mybucket/myfoto.jpg</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )


def test_further_elements_stand_before_the_resource_in_their_order() -> None:
    error = S3Error("InvalidArgument", extra={"ArgumentName": "partNumber", "ArgumentValue": "0"})
    names = [child.tag for child in ElementTree.fromstring(error.to_xml("1", "host"))]
    assert names == ["Code", "Message", "ArgumentName", "ArgumentValue", "RequestId", "HostId"]


def test_an_sdk_reads_the_document() -> None:
    error = S3Error("NoSuchBucket", extra={"BucketName": "a&b"})
    shape = botocore.session.Session().get_service_model("s3").operation_model("GetObject").output_shape
    parsed = RestXMLParser().parse({"body": error.to_xml("1", "2"), "headers": {}, "status_code": 404}, shape)
    assert parsed["Error"]["Code"] == "NoSuchBucket"
    assert parsed["Error"]["BucketName"] == "a&b"


def test_markup_in_a_key_is_text() -> None:
    document = S3Error("NoSuchKey", extra={"Key": "</Key><Code>x</Code>&amp;\"'"}).to_xml("1")
    assert element(document, "Key") == "</Key><Code>x</Code>&amp;\"'"


def test_white_space_in_a_key_survives_a_parser() -> None:
    document = S3Error("NoSuchKey", extra={"Key": " a\tb\nc\r\nd "}).to_xml("1")
    assert element(document, "Key") == " a\tb\nc\r\nd "


@pytest.mark.parametrize(
    ("key", "written"),
    [
        (b"a\x00b", "a%00b"),
        (b"\x01\x1f", "%01%1F"),
        (b"\xff\xfe", "%FF%FE"),
        (b"\xc3", "%C3"),
        ("é😀".encode(), "é😀"),
        ("\ufffe\uffff", "%EF%BF%BE%EF%BF%BF"),
        ("\ud800", "%ED%A0%80"),
        (b"\xed\xa0\x80", "%ED%A0%80"),
        (b"\x7f\xc2\x85", "\x7f\x85"),
    ],
)
def test_what_xml_cannot_carry_is_percent_encoded(key: str | bytes, written: str) -> None:
    assert element(S3Error("NoSuchKey", extra={"Key": key}).to_xml("1"), "Key") == written


@given(st.one_of(st.binary(max_size=200), st.text(st.characters(), max_size=100)))
def test_a_document_about_any_key_parses(key: str | bytes) -> None:
    document = S3Error("NoSuchKey", resource=key, extra={"Key": key}).to_xml("1")
    assert element(document, "RequestId") == "1"
    assert parse_error(document) is not None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=100))
def test_text_that_xml_can_carry_is_read_back_unchanged(text: str) -> None:
    assert ElementTree.fromstring(f"<a>{xml_text(text)}</a>").text == (text or None)


# A remote's document.


def test_a_redirect_says_region_and_endpoint() -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
        b"<Code>PermanentRedirect</Code><Message>Use the endpoint</Message>"
        b"<Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>bucket</Bucket><Region>eu-west-1</Region>"
        b"<RequestId>R</RequestId><HostId>H=</HostId></Error>"
    )
    assert parse_error(body) == ErrorBody(
        code="PermanentRedirect",
        message="Use the endpoint",
        region="eu-west-1",
        endpoint="bucket.s3.eu-west-1.amazonaws.com",
        bucket="bucket",
        request_id="R",
        host_id="H=",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<Error><Code>NoSuchKey</Code></Error>",
        b"  \r\n <?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        b"<?xml version='1.0'?>\n\n   <Error>\n <Code> NoSuchKey\n</Code></Error>\n",
        b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>NoSuchKey</Code></Error>',
        b'<s3:Error xmlns:s3="urn:x"><s3:Code>NoSuchKey</s3:Code></s3:Error>',
        b"<Error><Detail><Code>inner</Code></Detail><Code>NoSuchKey</Code><Code>second</Code></Error>",
        b"<Error><Code>NoSuch<!-- x -->Key</Code></Error>",
        b"<Error><Code><![CDATA[NoSuchKey]]></Code></Error>",
        b"\xef\xbb\xbf<Error><Code>NoSuchKey</Code></Error>",
    ],
)
def test_the_code_is_found_in_the_spellings_of_other_stores(body: bytes) -> None:
    found = parse_error(body)
    assert found is not None
    assert found.code == "NoSuchKey"


def test_an_element_with_markup_inside_does_not_lend_its_text_to_another() -> None:
    found = parse_error(b"<Error><Code>NoSuchKey</Code><Message>a<b>c</b>d</Message><Region>r</Region></Error>")
    assert found is not None
    assert found.region == "r"


LAUGHS = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"Not Found",
        b"<html><body><Error><Code>NoSuchKey</Code></Error></body></html>",
        b"<!DOCTYPE html><html></html>",
        b"<Error></Error>",
        b"<Error><Code></Code></Error>",
        b"<Error><Message>m</Message></Error>",
        b"<Error><Detail><Code>NoSuchKey</Code></Detail></Error>",
        b"<Error><Code>NoSuchKey</Code>",
        b"<Error><Code>NoSuchKey</Error></Code>",
        b"<Error><Code>NoSuchKey</Code></Error><Error/>",
        b"<Error><Code>\xff</Code></Error>",
        b"<Error><Code>&unknown;</Code></Error>",
        b"<?xml version='1.0' encoding='no-such-encoding'?><Error><Code>NoSuchKey</Code></Error>",
        b"<?xml version='1.0' encoding='utf-7'?><Error><Code>NoSuchKey</Code></Error>",
        b"<?xml version='1.0' encoding='base64'?><Error><Code>NoSuchKey</Code></Error>",
        b'{"Code": "NoSuchKey"}',
        b'<!DOCTYPE Error [<!ENTITY a0 "ha">' + LAUGHS + b"]><Error><Code>&a8;</Code></Error>",
        b'<!DOCTYPE Error SYSTEM "file:///etc/passwd"><Error><Code>NoSuchKey</Code></Error>',
        b'<!DOCTYPE Error [<!ENTITY x SYSTEM "file:///etc/passwd">]><Error><Code>&x;</Code></Error>',
    ],
)
def test_what_is_no_error_document_is_none(body: bytes) -> None:
    assert parse_error(body) is None


def test_a_document_beyond_the_bound_is_none() -> None:
    body = b"<Error><Code>NoSuchKey</Code><Message>%s</Message></Error>"
    assert parse_error(body % (b"m" * (MAX_ERROR_BYTES - 100))) is not None
    assert parse_error(body % (b"m" * MAX_ERROR_BYTES)) is None


def test_a_deeply_nested_document_is_read_without_recursion() -> None:
    body = b"<Error>" + b"<a>" * 9000 + b"</a>" * 9000 + b"<Code>NoSuchKey</Code></Error>"
    found = parse_error(body)
    assert found is not None
    assert found.code == "NoSuchKey"


XML_PARTS = [*b"<Error>|</Error>|<Code>|</Code>|x|&|&#0;|&#65;|<!DOCTYPE a>|\x00|\xff".split(b"|")]


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([*XML_PARTS, b"<?xml version='1.0' encoding='", b"utf-16", b"'?>"])).map(b"".join),
    )
)
def test_any_bytes_are_an_error_document_or_none(body: bytes) -> None:
    found = parse_error(body)
    assert found is None or found.code


def test_the_beginning_of_a_long_document_is_enough() -> None:
    beginning = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Detail>" + b"x" * MAX_ERROR_BYTES
    assert parse_error(beginning, whole=False) == ErrorBody(code="AccessDenied")
    assert parse_error(beginning) is None


@pytest.mark.parametrize("page", [b"<html><body>", b"<!DOCTYPE Error><Error><Code>A</Code>", b"<Error><Co", b"xx"])
def test_the_beginning_of_something_else_is_no_document(page: bytes) -> None:
    assert parse_error(page, whole=False) is None
