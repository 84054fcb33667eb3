"""What s3d alone does with requests that S3 refuses, or answers in a way of its own; wrong ones must change nothing."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

import pytest

from contract.multipart import MIN_PART_BYTES, put_in_parts
from contract.refusals import missing, refused
from contract.wire import checksum, fetch, now, signature_of, signing_key
from servers.raw import exchange

pytestmark = [pytest.mark.s3d, pytest.mark.parametrize("setup", ["standalone"], indirect=True)]

PAST = "Fri, 22 Nov 2010 00:00:00 GMT"
NOBODYS_VERSION = "a" * 32
SSE_C = [
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-server-side-encryption-customer-key", "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="),
    ("x-amz-server-side-encryption-customer-key-MD5", "3I/h1kl+vSP1l12NKhxegQ=="),
]


@pytest.fixture
def stored(direct, bucket, key):
    """The path of an object with the body b"x"."""
    direct.put_object(Bucket=bucket, Key=key, Body=b"x", CacheControl="max-age=5")
    return f"/{bucket}/{key}"


@pytest.fixture
def upload_id(direct, bucket, key):
    """Of an open upload of `key`."""
    return direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]


def body_of(direct, path):
    bucket, key = path[1:].split("/")
    return direct.get_object(Bucket=bucket, Key=key)["Body"].read()


# Subresources.


@pytest.mark.parametrize("name", ["lifecycle", "policy", "cors", "website", "publicAccessBlock", "versioning"])
def test_a_buckets_subresource_of_an_object_does_not_touch_the_object(wire, direct, stored, name):
    for method in ("PUT", "DELETE"):
        assert wire.send(method, f"{stored}?{name}", body=b"{}" if method == "PUT" else b"").status == 405
    assert body_of(direct, stored) == b"x"


@pytest.mark.parametrize("query", ["uploadId=1", "versionId=null", "retention"])
def test_an_objects_subresource_of_a_bucket_does_not_delete_the_bucket(wire, s3, own_bucket, query):
    assert wire.send("DELETE", f"/{own_bucket}?{query}").status == 405
    s3.head_bucket(Bucket=own_bucket)


# Encryption, owners, versions.


@pytest.mark.parametrize("query", ["partNumber=1&", ""])
def test_a_part_is_not_taken_in_clear_that_was_to_be_encrypted(wire, bucket, key, upload_id, query):
    method = "PUT" if query else "POST"
    answer = wire.send(method, f"/{bucket}/{key}?{query}uploadId={upload_id}", SSE_C, b"x")
    assert (answer.status, answer.error_code) == (501, "NotImplemented")


@pytest.mark.parametrize("header", ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"])
@pytest.mark.parametrize(("owner", "status"), [("111111111111", 403), ("000000000000", 200)])
def test_a_copy_is_made_only_between_the_owners_that_the_client_expects(wire, stored, header, owner, status):
    answer = wire.send("PUT", f"{stored}-copy", [("x-amz-copy-source", stored), (header, owner)])
    assert answer.status == status


def test_a_part_is_not_copied_from_another_owner(wire, bucket, key, stored, upload_id):
    headers = [("x-amz-copy-source", stored), ("x-amz-source-expected-bucket-owner", "111111111111")]
    assert wire.send("PUT", f"/{bucket}/{key}?partNumber=1&uploadId={upload_id}", headers).status == 403


def test_deleting_a_version_that_is_not_there_succeeds_and_deletes_nothing(wire, direct, stored):
    answer = wire.send("DELETE", f"{stored}?versionId={NOBODYS_VERSION}")
    assert (answer.status, answer.header(b"x-amz-version-id")) == (204, NOBODYS_VERSION.encode())
    assert body_of(direct, stored) == b"x"


def test_deleting_versions_that_are_not_there_succeeds_and_deletes_nothing(s3, direct, bucket, key, stored):
    objects = [{"Key": key, "VersionId": NOBODYS_VERSION}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert answer["Deleted"] == objects
    assert "Errors" not in answer
    assert body_of(direct, stored) == b"x"


@pytest.mark.parametrize(("method", "query"), [("PUT", ""), ("POST", "uploads&")])
def test_nothing_is_made_under_a_version_id(wire, direct, bucket, key, method, query):
    answer = wire.send(method, f"/{bucket}/{key}?{query}versionId=null", body=b"")
    assert (answer.status, answer.error_code) == (400, "InvalidArgument")
    assert missing(direct, bucket, key)


# Conditions and checksums.


@pytest.mark.parametrize("header", [("If-Unmodified-Since", PAST), ("If-None-Match", "*")])
def test_a_delete_on_a_condition_that_s3_does_not_have_deletes_nothing(wire, direct, stored, header):
    assert wire.send("DELETE", stored, [header]).status == 501
    assert body_of(direct, stored) == b"x"


def test_a_put_on_a_condition_that_s3_does_not_have_writes_nothing(wire, direct, stored):
    assert wire.send("PUT", stored, [("If-Unmodified-Since", PAST)], b"y").status == 501
    assert body_of(direct, stored) == b"x"


def test_a_body_is_not_taken_with_a_checksum_that_nobody_can_hold_it_against(wire, direct, bucket, key):
    answer = wire.send("PUT", f"/{bucket}/{key}", [("x-amz-checksum-foo", "AAAA")], b"x")
    assert (answer.status, answer.error_code) == (400, "InvalidRequest")
    assert missing(direct, bucket, key)


def test_a_body_of_more_than_5_gib_is_refused_before_it_is_sent(setup, wire, bucket, key):
    headers = [("Content-Length", str(5 * 2**30 + 1)), ("Expect", "100-continue")]
    signed = wire.sign("PUT", f"/{bucket}/{key}", headers, payload="UNSIGNED-PAYLOAD")
    answer = exchange(setup.endpoint, signed.head, "PUT")
    assert (answer.status, answer.error_code) == (400, "EntityTooLarge")


def test_a_copied_part_has_the_checksum_that_an_uploaded_one_has(s3, bucket, key, stored, upload_id):
    source = {"Bucket": bucket, "Key": key}
    target = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    copied = s3.upload_part_copy(CopySource=source, PartNumber=1, **target)["CopyPartResult"]
    assert copied["ChecksumCRC64NVME"] == checksum("CRC64NVME", b"x")
    s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": copied["ETag"]}]}, **target)
    answer = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert answer["ChecksumCRC64NVME"] == checksum("CRC64NVME", b"x")


def test_the_checksum_of_the_only_part_is_the_parts(s3, bucket, key):
    target = {"Bucket": bucket, "Key": key}
    target["UploadId"] = s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **target)["UploadId"]
    part = s3.upload_part(PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256", **target)
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **target)
    answer = s3.head_object(Bucket=bucket, Key=key, PartNumber=1, ChecksumMode="ENABLED")
    assert answer["ChecksumSHA256"] == checksum("SHA256", b"x")


# Multipart uploads.


def test_a_page_of_no_parts_is_the_last(s3, bucket, key, upload_id):
    target = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    s3.upload_part(PartNumber=1, Body=b"x", **target)
    assert s3.list_parts(MaxParts=0, **target)["IsTruncated"] is False


def test_a_page_of_no_parts_of_an_object_is_the_last(s3, bucket, key):
    put_in_parts(s3, bucket, key, [b"x"])
    answer = s3.get_object_attributes(Bucket=bucket, Key=key, MaxParts=0, ObjectAttributes=["ObjectParts"])
    assert answer["ObjectParts"]["IsTruncated"] is False


def test_completing_again_with_other_parts_is_refused(s3, bucket, key, upload_id):
    target = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    etags = [
        s3.upload_part(PartNumber=number, Body=body, **target)["ETag"]
        for number, body in ((1, bytes(MIN_PART_BYTES)), (2, b"x"))
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    first = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **target)
    again = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **target)
    assert again["ETag"] == first["ETag"]
    with refused("NoSuchUpload", 404):
        s3.complete_multipart_upload(MultipartUpload={"Parts": parts[:1]}, **target)


# Answers.


def test_304_says_how_long_it_holds(wire, stored):
    answer = wire.send("GET", stored, [("If-None-Match", "*")])
    assert (answer.status, answer.header(b"cache-control")) == (304, b"max-age=5")
    assert answer.header(b"etag") == f'"{hashlib.md5(b"x").hexdigest()}"'.encode()
    assert answer.header(b"content-type") is None


def test_the_first_part_of_an_empty_object_is_the_whole_object(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = wire.send("GET", f"/{bucket}/{key}?partNumber=1")
    assert (answer.status, answer.body, answer.header(b"content-range")) == (200, b"", None)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [(["Origin: http://a.example"], 403, "AccessForbidden"), ([], 400, "BadRequest")],
)
def test_a_preflight_hears_that_there_are_no_rules(setup, wire, stored, headers, status, code):
    lines = [f"OPTIONS {stored} HTTP/1.1", f"Host: {wire.host}", "Access-Control-Request-Method: GET", *headers]
    answer = exchange(setup.endpoint, "\r\n".join([*lines, "", ""]).encode(), "OPTIONS")
    assert (answer.status, answer.error_code) == (status, code)


# Presigned URLs that carry headers.


@pytest.fixture
def presigned(wire):
    """Sends a presigned request with further parameters, which SDKs other than boto3 put there for headers."""

    def send(method, path, params, body=None):
        moment = now()
        key = signing_key(wire.credentials, moment)
        pairs = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{wire.credentials.access_key_id}/{key.scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": "60",
            "X-Amz-SignedHeaders": "host",
            **params,
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
        target = f"{path}?{query}"
        signature = signature_of(method, target, [("Host", wire.host)], ["host"], "UNSIGNED-PAYLOAD", key)
        return fetch(method, f"{wire.endpoint}{target}&X-Amz-Signature={signature}", body)

    return send


def test_a_presigned_url_brings_headers_along(presigned, s3, bucket, key):
    params = {"x-amz-meta-a": "b c", "x-amz-storage-class": "STANDARD_IA", "x-amz-tagging": "d=e"}
    assert presigned("PUT", f"/{bucket}/{key}", params, b"x")[0] == 200
    answer = s3.head_object(Bucket=bucket, Key=key)
    assert (answer["Metadata"], answer["StorageClass"]) == ({"a": "b c"}, "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "d", "Value": "e"}]


def test_a_presigned_url_names_the_source_of_a_copy(presigned, direct, stored):
    assert presigned("PUT", f"{stored}-copy", {"x-amz-copy-source": stored})[0] == 200
    assert body_of(direct, f"{stored}-copy") == b"x"


@pytest.mark.parametrize(
    "params",
    [{"x-amz-server-side-encryption-customer-algorithm": "AES256"}, {"x-amz-object-lock-mode": "GOVERNANCE"}],
)
def test_what_a_presigned_url_asks_for_in_vain_is_refused(presigned, direct, bucket, key, params):
    assert presigned("PUT", f"/{bucket}/{key}", params, b"x")[0] == 501
    assert missing(direct, bucket, key)


def test_the_checksum_of_a_body_that_was_not_there_yet_is_not_looked_at(presigned, direct, bucket, key):
    params = {"x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": "AAAAAA=="}
    assert presigned("PUT", f"/{bucket}/{key}", params, b"x")[0] == 200
    assert body_of(direct, f"/{bucket}/{key}") == b"x"


def test_a_presigned_url_asks_for_the_checksum(presigned, stored):
    _, headers, _ = presigned("GET", stored, {"x-amz-checksum-mode": "ENABLED"})
    assert any(re.fullmatch("x-amz-checksum-crc(32|64nvme)", name) for name in headers)


def test_a_line_break_in_a_presigned_url_is_no_header(presigned, direct, bucket, key):
    assert presigned("PUT", f"/{bucket}/{key}", {"x-amz-meta-a": "x\r\ny: z"}, b"x")[0] == 400
    assert missing(direct, bucket, key)
