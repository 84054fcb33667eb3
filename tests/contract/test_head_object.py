"""HeadObject."""

from __future__ import annotations

import datetime

import pytest

from contract.multipart import MIN_PART_BYTES, put_in_parts
from contract.refusals import refused

BODY = b"0123456789" * 100


@pytest.fixture
def stored(direct, bucket, key):
    """An object put at the remote: bucket, key and ETag."""
    answer = direct.put_object(Bucket=bucket, Key=key, Body=BODY, ContentType="x/y", Metadata={"who": "me"})
    return {"Bucket": bucket, "Key": key, "ETag": answer["ETag"]}


def test_shows_what_the_remote_shows(s3, direct, stored):
    where = {"Bucket": stored["Bucket"], "Key": stored["Key"]}
    answer, wanted = s3.head_object(**where), direct.head_object(**where)
    for one in (answer, wanted):
        del one["ResponseMetadata"]
    assert answer == wanted
    assert answer["ContentLength"] == len(BODY)
    assert answer["ETag"] == stored["ETag"]
    assert answer["Metadata"] == {"who": "me"}


def test_answer_has_the_length_and_no_body(wire, stored):
    answer = wire.send("HEAD", f"/{stored['Bucket']}/{stored['Key']}")
    assert answer.status == 200
    assert answer.header(b"content-length") == str(len(BODY)).encode()


@pytest.mark.s3d
def test_connection_goes_on_after_a_head(raw, wire, stored):
    head = wire.sign("HEAD", f"/{stored['Bucket']}/{stored['Key']}").head
    get = wire.sign("GET", f"/{stored['Bucket']}/{stored['Key']}").head
    raw.send(head + get)
    assert raw.read_response("HEAD").status == 200
    assert raw.read_response("GET").body == BODY


def test_range(s3, stored):
    answer = s3.head_object(Bucket=stored["Bucket"], Key=stored["Key"], Range="bytes=10-19")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentLength"] == 10


def test_if_none_match_of_this_one_is_304(s3, stored):
    with refused("304", 304):
        s3.head_object(Bucket=stored["Bucket"], Key=stored["Key"], IfNoneMatch=stored["ETag"])


def test_if_match_of_another_is_412(s3, stored):
    with refused("412", 412):
        s3.head_object(Bucket=stored["Bucket"], Key=stored["Key"], IfMatch='"other"')


def test_if_modified_since_later_is_304(s3, direct, stored):
    modified = direct.head_object(Bucket=stored["Bucket"], Key=stored["Key"])["LastModified"]
    with refused("304", 304):
        s3.head_object(
            Bucket=stored["Bucket"], Key=stored["Key"], IfModifiedSince=modified + datetime.timedelta(seconds=1)
        )


def test_part_number(s3, direct, bucket, key):
    put_in_parts(direct, bucket, key, [b"a" * MIN_PART_BYTES, b"b" * 10])
    answer = s3.head_object(Bucket=bucket, Key=key, PartNumber=2)
    assert (answer["PartsCount"], answer["ContentLength"]) == (2, 10)


def test_unknown_key_is_404(s3, bucket, key):
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key=key)


def test_unknown_bucket_is_404(s3, new_bucket):
    with refused("404", 404):
        s3.head_object(Bucket=new_bucket, Key="k")
