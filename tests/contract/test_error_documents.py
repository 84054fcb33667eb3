"""What an error document says beside its code: ids that the headers have as well, and what S3 says with each code."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from contract.wire import EMPTY_SHA256, SIGNED_CHUNKS, UNSIGNED_PAYLOAD, Wire, md5, now, sha256_hex, wrong
from servers.raw import RawResponse, exchange
from servers.remotes import Credentials

pytestmark = [pytest.mark.s3d, pytest.mark.parametrize("setup", ["standalone"], indirect=True)]


def said(answer: RawResponse) -> dict[str, str]:
    """The elements of an error document."""
    return {child.tag: child.text or "" for child in ElementTree.fromstring(answer.body)}


def said_without_ids(answer: RawResponse) -> dict[str, str]:
    """Those that depend on the error."""
    return {name: text for name, text in said(answer).items() if name not in ("Message", "RequestId", "HostId")}


def iso(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


@pytest.mark.parametrize("path", ["/{bucket}/no-such-key", "/no-such-bucket/k", "/{bucket}/%zz"])
def test_ids_are_those_of_the_headers(wire, bucket, path):
    answer = wire.send("GET", path.format(bucket=bucket))
    document = said(answer)
    assert document["RequestId"].encode() == answer.header(b"x-amz-request-id") != b""
    assert document["HostId"].encode() == answer.header(b"x-amz-id-2") != b""


def test_an_answer_to_head_has_the_ids_in_its_headers(wire, bucket):
    answer = wire.send("HEAD", f"/{bucket}/no-such-key")
    assert (answer.status, answer.body) == (404, b"")
    assert answer.header(b"x-amz-request-id")
    assert answer.header(b"x-amz-id-2")


def test_a_key_that_is_not_there(wire, bucket):
    path = f"/{bucket}/a/b"
    assert said_without_ids(wire.send("GET", path)) == {"Code": "NoSuchKey", "Key": "a/b", "Resource": path}


def test_a_key_that_a_condition_wanted(wire, bucket):
    answer = wire.send("PUT", f"/{bucket}/k", [("If-Match", '"a"')], b"x")
    assert said_without_ids(answer) == {"Code": "NoSuchKey", "Key": "k", "Resource": f"/{bucket}/k"}


def test_a_bucket_that_is_not_there(wire):
    answer = wire.send("GET", "/no-such-bucket")
    assert said_without_ids(answer) == {
        "Code": "NoSuchBucket", "BucketName": "no-such-bucket", "Resource": "/no-such-bucket",
    }  # fmt: skip


def test_a_bucket_name_that_is_none(wire):
    assert said(wire.send("PUT", "/UPPER"))["BucketName"] == "UPPER"


def test_a_key_that_is_too_long(wire, bucket):
    document = said(wire.send("GET", f"/{bucket}/{'k' * 1025}"))
    assert (document["Code"], document["Size"], document["MaxSizeAllowed"]) == ("KeyTooLongError", "1025", "1024")


def test_a_method_that_is_not_allowed(wire, bucket):
    document = said(wire.send("PUT", f"/{bucket}/k?lifecycle", body=b"x"))
    assert (document["Method"], document["ResourceType"]) == ("PUT", "OBJECT")


@pytest.mark.parametrize("offset_s", [-1000, 1000])
def test_a_clock_that_is_too_far_off(wire, bucket, offset_s):
    sent = now(offset_s)
    answer = wire.send("GET", f"/{bucket}", date=sent)
    document = said(answer)
    assert (document["Code"], document["RequestTime"]) == ("RequestTimeTooSkewed", sent)
    assert document["MaxAllowedSkewMilliseconds"] == "900000"
    assert abs((iso(document["ServerTime"]) - datetime.now(UTC)).total_seconds()) < 60


def test_an_access_key_that_nobody_knows(wire, bucket):
    stranger = Wire(wire.endpoint, Credentials("AKIDNOBODY", "secret"))
    assert said(stranger.send("GET", f"/{bucket}"))["AWSAccessKeyId"] == "AKIDNOBODY"


def test_a_signature_that_does_not_match(wire, bucket):
    signed = wire.sign("GET", f"/{bucket}/k", [("Range", "bytes=0-1")])
    document = said(exchange(wire.endpoint, signed.head.replace(b"bytes=0-1", b"bytes=0-2")))
    assert document["Code"] == "SignatureDoesNotMatch"
    assert document["AWSAccessKeyId"] == wire.credentials.access_key_id
    assert document["SignatureProvided"] == signed.key.signature
    assert "range:bytes=0-2" in document["CanonicalRequest"].splitlines()
    assert bytes.fromhex(document["CanonicalRequestBytes"]).decode() == document["CanonicalRequest"]
    assert document["StringToSign"].splitlines()[-1] == sha256_hex(document["CanonicalRequest"].encode())
    assert bytes.fromhex(document["StringToSignBytes"]).decode() == document["StringToSign"]


def test_a_chunk_whose_signature_does_not_match(wire, bucket, key):
    answer = wire.put_chunked(f"/{bucket}/{key}", [b"x" * 10], payload=SIGNED_CHUNKS, tamper_chunk=0)
    document = said(answer)
    assert document["Code"] == "SignatureDoesNotMatch"
    assert document["StringToSign"].splitlines()[-1] == sha256_hex(b"x" * 10)
    assert len(document["SignatureProvided"]) == 64


def test_a_header_that_was_not_signed(wire, bucket):
    head = wire.sign("GET", f"/{bucket}").head
    answer = exchange(wire.endpoint, head.replace(b"\r\n\r\n", b"\r\nx-amz-b: 1\r\nx-amz-a: 1\r\n\r\n"))
    assert said(answer)["HeadersNotSigned"] == "x-amz-a, x-amz-b"


def test_a_body_that_is_not_what_content_md5_says(wire, bucket, key):
    other = md5(b"other")
    document = said(wire.send("PUT", f"/{bucket}/{key}", [("Content-MD5", other)], b"body"))
    assert document["Code"] == "BadDigest"
    # S3 gives the one in hexadecimal and the other in base64.
    assert document["ExpectedDigest"] == base64.b64decode(other).hex()
    assert document["CalculatedDigest"] == md5(b"body")


def test_a_content_md5_that_is_none(wire, bucket, key):
    document = said(wire.send("PUT", f"/{bucket}/{key}", [("Content-MD5", "eHg=")], b"body"))
    assert (document["Code"], document["Content-MD5"]) == ("InvalidDigest", "eHg=")


def test_a_document_that_is_not_what_content_md5_says(wire, bucket):
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    document = said(wire.send("POST", f"/{bucket}?delete", [("Content-MD5", wrong(md5(body)))], body))
    assert document["CalculatedDigest"] == md5(body)


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_body_that_is_not_what_its_hash_says(wire, bucket, key, method):
    body = b"body" if method == "PUT" else b""
    claimed = sha256_hex(b"other")
    document = said(wire.send(method, f"/{bucket}/{key}", body=body, payload=claimed))
    assert document["Code"] == "XAmzContentSHA256Mismatch"
    assert document["ClientComputedContentSHA256"] == claimed
    assert document["S3ComputedContentSHA256"] == hashlib.sha256(body).hexdigest()


def test_a_hash_that_is_none(wire, bucket, key):
    document = said(wire.send("PUT", f"/{bucket}/{key}", body=b"x", payload="zz"))
    assert (document["Code"], document["ArgumentName"]) == ("InvalidArgument", "x-amz-content-sha256")
    assert document["ArgumentValue"] == "zz"


def test_an_object_that_is_too_large(wire, bucket, key):
    size = 5 * 2**30 + 1
    headers = [("Content-Length", str(size)), ("Expect", "100-continue")]
    signed = wire.sign("PUT", f"/{bucket}/{key}", headers, payload=UNSIGNED_PAYLOAD)
    document = said(exchange(wire.endpoint, signed.head, "PUT"))
    assert document["Code"] == "EntityTooLarge"
    assert (document["ProposedSize"], document["MaxSizeAllowed"]) == (str(size), str(5 * 2**30))


def test_a_document_that_is_too_large(wire, bucket):
    headers = [("Content-Length", str(2**23)), ("Expect", "100-continue")]
    signed = wire.sign("POST", f"/{bucket}?delete", headers, payload=UNSIGNED_PAYLOAD)
    document = said(exchange(wire.endpoint, signed.head, "POST"))
    assert (document["Code"], document["MaxMessageLengthBytes"]) == ("MaxMessageLengthExceeded", str(2**22))


def test_chunks_that_are_fewer_bytes_than_announced(wire, bucket, key):
    answer = wire.put_chunked(f"/{bucket}/{key}", [b"x" * 10], payload=SIGNED_CHUNKS, decoded_length=12)
    document = said(answer)
    assert document["Code"] == "IncompleteBody"
    assert (document["NumberBytesExpected"], document["NumberBytesProvided"]) == ("12", "10")


def test_a_range_beyond_the_object(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"abc")
    document = said(wire.send("GET", f"/{bucket}/{key}", [("Range", "bytes=5-")]))
    assert (document["RangeRequested"], document["ActualObjectSize"]) == ("bytes=5-", "3")


def test_a_part_that_the_object_does_not_have(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"abc")
    document = said(wire.send("GET", f"/{bucket}/{key}?partNumber=5"))
    assert (document["PartNumberRequested"], document["ActualPartCount"]) == ("5", "1")


def test_an_upload_that_is_not_there(wire, bucket, key):
    document = said(wire.send("GET", f"/{bucket}/{key}?uploadId=nothing"))
    assert (document["Code"], document["UploadId"]) == ("NoSuchUpload", "nothing")


def test_an_argument_that_is_wrong(wire, bucket):
    document = said(wire.send("GET", f"/{bucket}?max-keys=many", payload=EMPTY_SHA256))
    assert (document["ArgumentName"], document["ArgumentValue"]) == ("max-keys", "many")
