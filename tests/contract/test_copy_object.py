"""CopyObject."""

from __future__ import annotations

import pytest

from contract.refusals import missing, refused


@pytest.fixture
def source(direct, bucket, key):
    """An object at the remote, as CopySource."""
    direct.put_object(
        Bucket=bucket, Key=f"{key}-from", Body=b"copied", Metadata={"who": "me"}, ContentType="x/y", Tagging="a=1"
    )
    return {"Bucket": bucket, "Key": f"{key}-from"}


def test_copy_has_bytes_metadata_and_tags(s3, direct, bucket, key, source):
    answer = s3.copy_object(Bucket=bucket, Key=key, CopySource=source)
    stored = direct.get_object(Bucket=bucket, Key=key)
    assert stored["Body"].read() == b"copied"
    assert stored["Metadata"] == {"who": "me"}
    assert stored["ContentType"] == "x/y"
    assert answer["CopyObjectResult"]["ETag"] == stored["ETag"]
    assert direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_metadata_is_replaced(s3, direct, bucket, key, source):
    s3.copy_object(
        Bucket=bucket, Key=key, CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"}, ContentType="z/z"
    )
    stored = direct.head_object(Bucket=bucket, Key=key)
    assert (stored["Metadata"], stored["ContentType"]) == ({"new": "1"}, "z/z")


def test_metadata_of_an_object_is_replaced_in_place(s3, direct, source):
    s3.copy_object(**source, CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    stored = direct.get_object(**source)
    assert stored["Metadata"] == {"new": "1"}
    assert stored["Body"].read() == b"copied"


def test_tags_are_replaced(s3, direct, bucket, key, source):
    s3.copy_object(Bucket=bucket, Key=key, CopySource=source, TaggingDirective="REPLACE", Tagging="b=2")
    assert direct.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "b", "Value": "2"}]


@pytest.mark.parametrize("odd", ["a b", "a+b", "100%", "ü☃", "a?b", "a#b"])
def test_source_with_an_odd_key(s3, direct, bucket, key, odd):
    direct.put_object(Bucket=bucket, Key=f"{key}/{odd}", Body=odd.encode())
    s3.copy_object(Bucket=bucket, Key=f"{key}-to", CopySource={"Bucket": bucket, "Key": f"{key}/{odd}"})
    assert direct.get_object(Bucket=bucket, Key=f"{key}-to")["Body"].read() == odd.encode()


def test_copy_between_buckets(s3, direct, own_bucket, source):
    s3.copy_object(Bucket=own_bucket, Key="k", CopySource=source)
    assert direct.get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"copied"


def test_condition_on_the_source(s3, direct, bucket, key, source):
    etag = direct.head_object(**source)["ETag"]
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key=key, CopySource=source, CopySourceIfMatch='"other"')
    assert missing(direct, bucket, key)
    s3.copy_object(Bucket=bucket, Key=key, CopySource=source, CopySourceIfMatch=etag)
    assert not missing(direct, bucket, key)


def test_unknown_source(s3, bucket, key):
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": f"{key}-none"})


def test_onto_itself_without_a_change(s3, source):
    with refused("InvalidRequest", 400):
        s3.copy_object(**source, CopySource=source)
