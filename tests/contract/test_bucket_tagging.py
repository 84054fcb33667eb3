"""PutBucketTagging, GetBucketTagging, DeleteBucketTagging."""

from __future__ import annotations

from contract.refusals import refused

TAGS = [{"Key": "team", "Value": "edge & co"}, {"Key": "größe", "Value": "<klein>"}]


def test_tags_are_stored_at_the_remote(s3, direct, own_bucket):
    s3.put_bucket_tagging(Bucket=own_bucket, Tagging={"TagSet": TAGS})
    stored = direct.get_bucket_tagging(Bucket=own_bucket)["TagSet"]
    assert sorted(stored, key=str) == sorted(TAGS, key=str)


def test_tags_are_read(s3, direct, own_bucket):
    direct.put_bucket_tagging(Bucket=own_bucket, Tagging={"TagSet": TAGS})
    assert sorted(s3.get_bucket_tagging(Bucket=own_bucket)["TagSet"], key=str) == sorted(TAGS, key=str)


def test_tags_are_removed(s3, direct, own_bucket):
    direct.put_bucket_tagging(Bucket=own_bucket, Tagging={"TagSet": TAGS})
    s3.delete_bucket_tagging(Bucket=own_bucket)
    with refused("NoSuchTagSet", 404):
        direct.get_bucket_tagging(Bucket=own_bucket)


def test_bucket_without_tags(s3, own_bucket):
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=own_bucket)


def test_tags_of_what_s3_allows_are_kept_and_removed(s3, own_bucket):
    tags = [{"Key": "cost:center", "Value": "edge + co"}, {"Key": "team", "Value": "a@b.example/x-1_2="}]
    s3.put_bucket_tagging(Bucket=own_bucket, Tagging={"TagSet": tags})
    assert sorted(s3.get_bucket_tagging(Bucket=own_bucket)["TagSet"], key=str) == sorted(tags, key=str)
    s3.delete_bucket_tagging(Bucket=own_bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=own_bucket)
