"""PutObject."""

from __future__ import annotations

import hashlib

import pytest

from contract.refusals import refused
from contract.wire import md5
from servers.raw import exchange


@pytest.mark.parametrize("size", [0, 1, 65536, 300_000, 3_000_001])
def test_body_arrives_byte_for_byte(s3, direct, bucket, key, size):
    body = bytes(n * 7 & 255 for n in range(251)) * (size // 251 + 1)
    answer = s3.put_object(Bucket=bucket, Key=key, Body=body[:size])
    assert answer["ETag"] == f'"{hashlib.md5(body[:size]).hexdigest()}"'
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == body[:size]


def test_content_headers_are_stored(s3, direct, bucket, key):
    headers = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-DE",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "CacheControl": "max-age=60, no-transform",
    }
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", **headers)
    stored = direct.head_object(Bucket=bucket, Key=key)
    assert {name: stored[name] for name in headers} == headers


def test_content_type_that_nobody_gave_is_not_made_up(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=f"{key}-a", Body=b"x")
    direct.put_object(Bucket=bucket, Key=f"{key}-b", Body=b"x")
    types = [direct.head_object(Bucket=bucket, Key=f"{key}-{one}").get("ContentType") for one in "ab"]
    assert types[0] == types[1]


def test_object_is_replaced(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"first")
    s3.put_object(Bucket=bucket, Key=key, Body=b"second, longer")
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"second, longer"


def test_tags_in_the_header_are_stored(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="a=1&b=x%20y%26z")
    tags = direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("a", "1"), ("b", "x y&z")]


def test_tags_of_what_s3_allows_in_the_header_are_stored(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="a=1&b=x%20y%3Dz")
    tags = direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("a", "1"), ("b", "x y=z")]


def test_right_content_md5_is_taken(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"exact", ContentMD5=md5(b"exact"))
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"exact"


def test_if_none_match_keeps_an_object_that_is_there(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key=key, Body=b"second", IfNoneMatch="*")
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"first"


def test_if_match_replaces_what_it_names_and_nothing_else(s3, direct, bucket, key):
    etag = s3.put_object(Bucket=bucket, Key=key, Body=b"first")["ETag"]
    s3.put_object(Bucket=bucket, Key=key, Body=b"second", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key=key, Body=b"third", IfMatch=etag)
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"second"


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket=new_bucket, Key="k", Body=b"x")


def test_storage_class_reaches_the_remote(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass="STANDARD_IA")
    assert direct.head_object(Bucket=bucket, Key=key)["StorageClass"] == "STANDARD_IA"


@pytest.mark.s3d
def test_body_without_a_length_is_refused(wire, bucket, key, direct):
    signed = wire.sign("PUT", f"/{bucket}/{key}", [("Transfer-Encoding", "chunked")], payload="UNSIGNED-PAYLOAD")
    answer = exchange(wire.endpoint, signed.head + b"3\r\nabc\r\n0\r\n\r\n", "PUT")
    assert (answer.status, answer.error_code) == (411, "MissingContentLength")
    with refused("404", 404):
        direct.head_object(Bucket=bucket, Key=key)
