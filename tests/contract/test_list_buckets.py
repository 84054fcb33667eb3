"""ListBuckets."""

from __future__ import annotations


def test_shows_what_the_remote_has(s3, direct, own_bucket):
    names = [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert own_bucket in names
    assert names == [one["Name"] for one in direct.list_buckets()["Buckets"]]


def test_prefix_narrows_the_list(s3, own_bucket):
    assert [one["Name"] for one in s3.list_buckets(Prefix=own_bucket)["Buckets"]] == [own_bucket]
