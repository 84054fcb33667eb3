"""Whose requests are taken: signed, wrongly signed, unsigned."""

from __future__ import annotations

import pytest
from botocore import UNSIGNED

from contract.refusals import missing
from contract.wire import Wire, now
from servers.raw import exchange
from servers.remotes import Credentials

pytestmark = pytest.mark.s3d


@pytest.fixture
def checked(setup):
    """Only where s3d checks signatures."""
    if not setup.checks_signatures:
        pytest.skip("s3d lets everybody in here")


@pytest.fixture
def unchecked(setup):
    """Only where s3d lets everybody in."""
    if setup.checks_signatures:
        pytest.skip("s3d checks signatures here")


def _unsigned(wire, method, target, body=b""):
    head = f"{method} {target} HTTP/1.1\r\nHost: {wire.host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return exchange(wire.endpoint, head.encode() + body, method)


def test_wrong_secret(checked, setup, direct, bucket, key):
    stranger = Wire(setup.endpoint, Credentials(setup.credentials.access_key_id, "wrong"))
    answer = stranger.send("PUT", f"/{bucket}/{key}", body=b"x")
    assert (answer.status, answer.error_code) == (403, "SignatureDoesNotMatch")
    assert missing(direct, bucket, key)


def test_unknown_access_key(checked, setup, direct, bucket, key):
    stranger = Wire(setup.endpoint, Credentials("NOBODYEXAMPLE0000001", setup.credentials.secret_access_key))
    answer = stranger.send("PUT", f"/{bucket}/{key}", body=b"x")
    assert (answer.status, answer.error_code) == (403, "InvalidAccessKeyId")
    assert missing(direct, bucket, key)


def test_credentials_of_the_remote_are_not_those_of_s3d(checked, setup, bucket):
    if setup.alone:
        pytest.skip("has no remote")
    stranger = Wire(setup.endpoint, setup.remote.credentials)
    answer = stranger.send("GET", f"/{bucket}")
    assert (answer.status, answer.error_code) == (403, "InvalidAccessKeyId")


def test_unsigned(checked, wire, direct, bucket, key):
    answer = _unsigned(wire, "PUT", f"/{bucket}/{key}", b"x")
    assert (answer.status, answer.error_code) == (403, "AccessDenied")
    assert missing(direct, bucket, key)


@pytest.mark.parametrize("offset_s", [-1000, 1000])
def test_clock_that_is_too_far_off(checked, wire, bucket, offset_s):
    answer = wire.send("GET", f"/{bucket}", date=now(offset_s))
    assert (answer.status, answer.error_code) == (403, "RequestTimeTooSkewed")


def test_signature_of_version_2(checked, wire, bucket):
    authorization = f"AWS {wire.credentials.access_key_id}:AAAA"
    head = f"GET /{bucket} HTTP/1.1\r\nHost: {wire.host}\r\nAuthorization: {authorization}\r\n\r\n"
    answer = exchange(wire.endpoint, head.encode())
    assert answer.status == 400
    assert b"AWS4-HMAC-SHA256" in answer.body


def test_header_changed_after_signing(checked, wire, bucket):
    signed = wire.sign("GET", f"/{bucket}/k", [("Range", "bytes=0-1")])
    answer = exchange(wire.endpoint, signed.head.replace(b"bytes=0-1", b"bytes=0-2"))
    assert (answer.status, answer.error_code) == (403, "SignatureDoesNotMatch")


def test_query_changed_after_signing(checked, wire, bucket):
    signed = wire.sign("GET", f"/{bucket}?list-type=2&prefix=a")
    answer = exchange(wire.endpoint, signed.head.replace(b"prefix=a", b"prefix=b"))
    assert (answer.status, answer.error_code) == (403, "SignatureDoesNotMatch")


def test_anybody_signed_gets_in_where_nobody_is_asked(unchecked, setup, direct, bucket, key):
    stranger = Wire(setup.endpoint, Credentials("NOBODYEXAMPLE0000001", "whatever"))
    assert stranger.send("PUT", f"/{bucket}/{key}", body=b"x").status == 200
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"


def test_unsigned_gets_in_where_nobody_is_asked(unchecked, wire, direct, bucket, key):
    assert _unsigned(wire, "PUT", f"/{bucket}/{key}", b"x").status == 200
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"


def test_sdk_without_credentials_gets_in_where_nobody_is_asked(unchecked, setup, direct, bucket, key):
    anonymous = setup.client(signature_version=UNSIGNED)
    try:
        anonymous.put_object(Bucket=bucket, Key=key, Body=b"x" * 1000)
        assert anonymous.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x" * 1000
    finally:
        anonymous.close()
    assert not missing(direct, bucket, key)
