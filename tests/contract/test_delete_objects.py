"""DeleteObjects."""

from __future__ import annotations

import pytest

from contract.refusals import missing, refused
from contract.wire import checksum, md5, wrong

ODD = ["a b", "a+b", "a&b<c>", "ü/☃", "100%"]


def test_named_objects_are_gone_and_others_stay(s3, direct, bucket, key):
    for name in "abc":
        direct.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"{key}/{name}"} for name in "ab"]})
    assert sorted(one["Key"] for one in answer["Deleted"]) == [f"{key}/a", f"{key}/b"]
    assert [one["Key"] for one in direct.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [f"{key}/c"]


def test_odd_keys(s3, direct, bucket, key):
    names = [f"{key}/{odd}" for odd in ODD]
    for name in names:
        direct.put_object(Bucket=bucket, Key=name, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
    assert sorted(one["Key"] for one in answer["Deleted"]) == sorted(names)
    assert "Contents" not in direct.list_objects_v2(Bucket=bucket, Prefix=key)


def test_quiet_says_nothing_of_what_went_well(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}], "Quiet": True})
    assert not answer.get("Deleted")
    assert missing(direct, bucket, key)


def test_a_thousand_keys(s3, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=f"{key}/0999", Body=b"x")
    names = [{"Key": f"{key}/{n:04}"} for n in range(1000)]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": names})["Deleted"]) == 1000
    assert missing(direct, bucket, f"{key}/0999")


def test_unknown_bucket(s3, new_bucket):
    with refused("NoSuchBucket", 404):
        s3.delete_objects(Bucket=new_bucket, Delete={"Objects": [{"Key": "k"}]})


def _document(key: str) -> bytes:
    return f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()


@pytest.mark.s3d
def test_document_with_a_wrong_md5_deletes_nothing(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    body = _document(key)
    answer = wire.send("POST", f"/{bucket}?delete", [("Content-MD5", wrong(md5(body)))], body)
    assert (answer.status, answer.error_code) == (400, "BadDigest")
    assert not missing(direct, bucket, key)


@pytest.mark.s3d
def test_document_with_a_wrong_checksum_deletes_nothing(wire, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    body = _document(key)
    answer = wire.send("POST", f"/{bucket}?delete", [("x-amz-checksum-crc32", wrong(checksum("crc32", body)))], body)
    assert (answer.status, answer.error_code) == (400, "BadDigest")
    assert not missing(direct, bucket, key)
