"""Presigned URLs: the signature stands in the query."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from contract.refusals import missing
from contract.wire import fetch, md5, now, signature_of, signing_key
from servers.raw import exchange
from servers.remotes import REMOTE_CREDENTIALS


@pytest.fixture
def s3(setup):
    """A boto3 client that presigns with Signature Version 4; by default it is still 2."""
    connection = setup.client(signature_version="s3v4")
    yield connection
    connection.close()


@pytest.mark.s3d
def test_version_2_is_refused_and_told_what_to_do(setup, bucket, key):
    if not setup.checks_signatures:
        pytest.skip("nobody checks signatures here")
    outdated = setup.client()
    url = outdated.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    outdated.close()
    assert "AWSAccessKeyId=" in url
    status, _, body = fetch("GET", url)
    assert status == 400
    assert b"AWS4-HMAC-SHA256" in body


def test_get(s3, direct, bucket, key):
    name = f"{key}/a b+c/ü"
    direct.put_object(Bucket=bucket, Key=name, Body=b"x")
    status, _, body = fetch("GET", s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": name}))
    assert (status, body) == (200, b"x")


def test_get_with_response_header_overrides(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    url = s3.generate_presigned_url(
        "get_object",
        {"Bucket": bucket, "Key": key, "ResponseContentType": "a/b; c=d", "ResponseCacheControl": "no-store"},
    )
    status, headers, _ = fetch("GET", url)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "a/b; c=d", "no-store")


def test_head(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"12345")
    status, headers, _ = fetch("HEAD", s3.generate_presigned_url("head_object", {"Bucket": bucket, "Key": key}))
    assert (status, headers["content-length"]) == (200, "5")


def test_range_of_a_presigned_get(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    status, _, body = fetch("GET", url, headers={"Range": "bytes=2-4"})
    assert (status, body) == (206, b"234")


def test_put(s3, direct, bucket, key):
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key})
    assert fetch("PUT", url, b"body")[0] == 200
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"body"


def test_put_with_signed_headers(s3, direct, bucket, key):
    url = s3.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": key, "ContentType": "x/y", "Metadata": {"who": "me"}}
    )
    headers = {"Content-Type": "x/y", "x-amz-meta-who": "me"}
    assert fetch("PUT", url, b"body", headers)[0] == 200
    stored = direct.head_object(Bucket=bucket, Key=key)
    assert (stored["ContentType"], stored["Metadata"]) == ("x/y", {"who": "me"})


@pytest.mark.s3d
def test_put_with_a_wrong_md5_is_not_stored(s3, direct, bucket, key):
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key})
    status, _, body = fetch("PUT", url, b"body", {"Content-MD5": md5(b"another")})
    assert status == 400
    assert b"<Code>BadDigest</Code>" in body
    assert missing(direct, bucket, key)


def test_delete(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert fetch("DELETE", s3.generate_presigned_url("delete_object", {"Bucket": bucket, "Key": key}))[0] == 204
    assert missing(direct, bucket, key)


def test_multipart(s3, direct, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    url = s3.generate_presigned_url("upload_part", {"Bucket": bucket, "Key": key, "UploadId": upload, "PartNumber": 1})
    status, headers, _ = fetch("PUT", url, b"part")
    assert status == 200
    s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": headers["etag"]}]}
    )
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"part"


def _checked(setup):
    if not setup.checks_signatures:
        pytest.skip("nobody checks signatures here")


def test_url_of_another_key_is_refused(setup, s3, bucket, key):
    _checked(setup)
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}).replace(f"/{key}?", f"/{key}x?")
    status, _, body = fetch("GET", url)
    assert status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in body


def test_url_for_another_method_is_refused(setup, s3, direct, bucket, key):
    _checked(setup)
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})
    assert fetch("PUT", url, b"x")[0] == 403
    assert missing(direct, bucket, key)


def _presign(wire, method, target, date, expires_s, more=()):
    """A presigned target made by hand."""
    key = signing_key(wire.credentials, date)
    pairs = [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        f"X-Amz-Credential={wire.credentials.access_key_id}%2F{key.scope.replace('/', '%2F')}",
        f"X-Amz-Date={date}",
        f"X-Amz-Expires={expires_s}",
        "X-Amz-SignedHeaders=host",
        *more,
    ]
    target = f"{target}?{'&'.join(pairs)}"
    signature = signature_of(method, target, [("host", wire.host)], ["host"], "UNSIGNED-PAYLOAD", key)
    return f"{target}&X-Amz-Signature={signature}"


def _send_target(wire, method, target, body=b""):
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: {wire.host}\r\n{length}\r\n"
    return exchange(wire.endpoint, head.encode() + body, method)


def test_expired_url_is_refused(setup, wire, bucket, key):
    _checked(setup)
    answer = _send_target(wire, "GET", _presign(wire, "GET", f"/{bucket}/{key}", now(-600), 300))
    assert (answer.status, answer.error_code) == (403, "AccessDenied")


@pytest.mark.s3d
def test_url_that_lives_too_long_is_refused(setup, wire, bucket, key):
    _checked(setup)
    answer = _send_target(wire, "GET", _presign(wire, "GET", f"/{bucket}/{key}", now(), 604801))
    assert (answer.status, answer.error_code) == (400, "AuthorizationQueryParametersError")


SURVIVING = [
    "x-amz-meta-who=me%20too",
    "x-amz-storage-class=STANDARD_IA",
    "x-amz-acl=private",
    "x-amz-checksum-crc32=AAAAAA%3D%3D",
    "x-id=PutObject",
]


def test_parameters_that_are_not_authentication_survive(recorded):
    target = _presign(recorded.wire, "PUT", "/bucket/key", now(), 300, SURVIVING)
    assert _send_target(recorded.wire, "PUT", target).status == 200
    request = recorded.recorder.take()
    assert request.query == SURVIVING
    request.assert_signed(REMOTE_CREDENTIALS)


def test_parameters_of_authentication_stay_here(recorded):
    target = _presign(recorded.wire, "GET", "/bucket/key", now(), 300, ["response-content-type=a%2Fb"])
    assert _send_target(recorded.wire, "GET", target).status == 200
    names = [name for name, _ in parse_qsl(recorded.recorder.take().target.partition("?")[2])]
    assert names == ["response-content-type"]
