"""PutBucketCors, GetBucketCors, DeleteBucketCors: forwarded like every operation that s3d has no business with."""

from __future__ import annotations

from contract.refusals import refused

RULES = [
    {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.com"], "AllowedHeaders": ["*"]},
]


def test_rules_are_stored_and_read(s3, direct, own_bucket):
    s3.put_bucket_cors(Bucket=own_bucket, CORSConfiguration={"CORSRules": RULES})
    for one in (direct, s3):
        [rule] = one.get_bucket_cors(Bucket=own_bucket)["CORSRules"]
        assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (["GET", "PUT"], ["https://*.example.com"])


def test_rules_are_removed(s3, own_bucket):
    s3.put_bucket_cors(Bucket=own_bucket, CORSConfiguration={"CORSRules": RULES})
    s3.delete_bucket_cors(Bucket=own_bucket)
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=own_bucket)
