"""Plain uploads whose body is not what the head says: S3's error, and nothing stored."""

from __future__ import annotations

import hashlib
import time

import pytest

from contract.refusals import missing
from contract.wire import UNSIGNED_PAYLOAD, checksum, md5, wrong
from servers.raw import RawConnection

pytestmark = pytest.mark.s3d
BODIES = [b"x", b"y" * 20_000, b"z" * 3_000_000]
SIZES = ["byte", "packets", "large"]


def _refused(answer, status, code, direct, bucket, key):
    assert (answer.status, answer.error_code) == (status, code), answer.body
    assert missing(direct, bucket, key)


@pytest.mark.parametrize("body", BODIES, ids=SIZES)
def test_wrong_content_md5(wire, direct, bucket, key, body):
    answer = wire.send("PUT", f"/{bucket}/{key}", [("Content-MD5", wrong(md5(body)))], body)
    _refused(answer, 400, "BadDigest", direct, bucket, key)


@pytest.mark.parametrize("value", ["", "AAAA", "not base64", "####"])
def test_content_md5_that_is_none(wire, direct, bucket, key, value):
    answer = wire.send("PUT", f"/{bucket}/{key}", [("Content-MD5", value)], b"x")
    _refused(answer, 400, "InvalidDigest", direct, bucket, key)


@pytest.mark.parametrize("body", BODIES, ids=SIZES)
def test_wrong_payload_hash(wire, direct, bucket, key, body):
    answer = wire.send("PUT", f"/{bucket}/{key}", body=body, payload=hashlib.sha256(b"another").hexdigest())
    _refused(answer, 400, "XAmzContentSHA256Mismatch", direct, bucket, key)


def test_payload_hash_that_is_none(wire, direct, bucket, key):
    answer = wire.send("PUT", f"/{bucket}/{key}", body=b"x", payload="NO-SUCH-PAYLOAD")
    assert answer.status == 400
    assert answer.error_code == "InvalidArgument"
    assert missing(direct, bucket, key)


@pytest.mark.parametrize("body", BODIES, ids=SIZES)
@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
def test_wrong_checksum(wire, direct, bucket, key, algorithm, body):
    header = (f"x-amz-checksum-{algorithm}", wrong(checksum(algorithm, body)))
    answer = wire.send("PUT", f"/{bucket}/{key}", [header], body, payload=UNSIGNED_PAYLOAD)
    _refused(answer, 400, "BadDigest", direct, bucket, key)


@pytest.mark.parametrize("value", ["AAAA", "not base64", "AAAAAAAAAAA="])
def test_checksum_that_is_none(wire, direct, bucket, key, value):
    answer = wire.send("PUT", f"/{bucket}/{key}", [("x-amz-checksum-crc32", value)], b"x")
    assert answer.status == 400
    assert answer.error_code in ("InvalidRequest", "InvalidDigest")
    assert missing(direct, bucket, key)


def test_object_that_is_there_survives_a_bad_body(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"good")
    assert wire.send("PUT", f"/{bucket}/{key}", [("Content-MD5", wrong(md5(b"bad")))], b"bad").status == 400
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"good"


@pytest.mark.parametrize("sent", [0, 10, 70_000])
def test_client_that_leaves_before_the_end(wire, direct, bucket, key, sent):
    head = wire.sign("PUT", f"/{bucket}/{key}", [("Content-Length", "100000")], payload=UNSIGNED_PAYLOAD).head
    with RawConnection(wire.endpoint) as connection:
        connection.send(head + b"x" * sent)
        connection.end()
        connection.read_until_closed()
    assert missing(direct, bucket, key)


@pytest.mark.parametrize("end", ["leaves", "lies"])
def test_body_that_goes_wrong_before_a_byte_was_passed_on(wire, direct, bucket, key, end):
    direct.put_object(Bucket=bucket, Key=key, Body=b"good")
    head = wire.sign("PUT", f"/{bucket}/{key}", [("Content-Length", "3")], payload=hashlib.sha256(b"abc").hexdigest())
    with RawConnection(wire.endpoint) as connection:
        connection.send(head.head)
        # Long enough for s3d to have asked the remote, were it to do so now.
        time.sleep(0.2)
        if end == "lies":
            connection.send(b"xyz")
            assert connection.read_response("PUT").error_code == "XAmzContentSHA256Mismatch"
        else:
            connection.end()
            connection.read_until_closed()
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"good"


def test_connection_is_fit_for_the_next_request_or_closed(wire, raw, bucket, key):
    body = b"x" * 100
    lines = [("Content-Length", "100"), ("Content-MD5", wrong(md5(body)))]
    raw.send(wire.sign("PUT", f"/{bucket}/{key}", lines, payload=UNSIGNED_PAYLOAD).head + body)
    answer = raw.read_response("PUT")
    assert answer.error_code == "BadDigest"
    if answer.header(b"connection") == b"close":
        assert raw.is_closed()
    else:
        raw.send(wire.sign("HEAD", f"/{bucket}").head)
        assert raw.read_response("HEAD").status == 200
