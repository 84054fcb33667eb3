"""PutObjectTagging, GetObjectTagging, DeleteObjectTagging."""

from __future__ import annotations

import pytest

from contract.refusals import refused

TAGS = [{"Key": "a b", "Value": "x/y=z"}, {"Key": "ключ", "Value": "+ - = . _ : / @"}]


@pytest.fixture
def where(direct, bucket, key):
    """An object at the remote."""
    direct.put_object(Bucket=bucket, Key=key, Body=b"x")
    return {"Bucket": bucket, "Key": key}


def _sorted(tags):
    return sorted((tag["Key"], tag["Value"]) for tag in tags)


def test_tags_are_stored_at_the_remote(s3, direct, where):
    s3.put_object_tagging(Tagging={"TagSet": TAGS}, **where)
    assert _sorted(direct.get_object_tagging(**where)["TagSet"]) == _sorted(TAGS)


def test_tags_are_read(s3, direct, where):
    direct.put_object_tagging(Tagging={"TagSet": TAGS}, **where)
    assert _sorted(s3.get_object_tagging(**where)["TagSet"]) == _sorted(TAGS)


def test_tags_are_replaced_as_a_whole(s3, direct, where):
    s3.put_object_tagging(Tagging={"TagSet": TAGS}, **where)
    s3.put_object_tagging(Tagging={"TagSet": [{"Key": "only", "Value": "one"}]}, **where)
    assert _sorted(direct.get_object_tagging(**where)["TagSet"]) == [("only", "one")]


def test_tags_are_removed(s3, direct, where):
    direct.put_object_tagging(Tagging={"TagSet": TAGS}, **where)
    s3.delete_object_tagging(**where)
    assert direct.get_object_tagging(**where)["TagSet"] == []


def test_object_without_tags(s3, where):
    assert s3.get_object_tagging(**where)["TagSet"] == []


def test_count_of_tags_is_shown_with_the_object(s3, direct, where):
    direct.put_object_tagging(Tagging={"TagSet": TAGS}, **where)
    answer = s3.get_object(**where)
    answer["Body"].read()
    assert answer["TagCount"] == 2


def test_unknown_key(s3, bucket, key):
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key=key)
