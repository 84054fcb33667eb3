"""Addresses of buckets and objects as users write them: `BUCKET/KEY` or `s3://BUCKET/KEY`."""

from __future__ import annotations

import msgspec

from s3d.cli.console import USAGE, Failure, visible


class Address(msgspec.Struct, frozen=True):
    """A bucket and a key (or prefix). The key is what was typed, never normalized: `a//../b` is a key."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket


def parse(text: str) -> Address:
    """Split at the first slash after the bucket. Raises `Failure` when there is no bucket."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        # What Python makes of argument bytes that are not UTF-8 (PEP 383); botocore could not encode it.
        raise Failure(f"{visible(text)} is not UTF-8; S3 clients can only send keys that are.", USAGE)
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not bucket:
        raise Failure(f"{text!r} names no bucket; write BUCKET or BUCKET/KEY.", USAGE)
    return Address(bucket, key)


def parse_object(text: str) -> Address:
    """An address that must have a key."""
    address = parse(text)
    if not address.key:
        raise Failure(f"{text!r} names a bucket, not an object; write BUCKET/KEY.", USAGE)
    return address


def parse_bucket(text: str) -> str:
    """An address that must be a bucket alone."""
    address = parse(text)
    if address.key:
        raise Failure(f"{text!r} names an object; write only the bucket: {address.bucket}.", USAGE)
    return address.bucket


def parse_pairs(texts: list[str], flag: str) -> dict[str, str]:
    """`k=v` options as a dict. Raises `Failure` for one without `=` or without a name."""
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Failure(f"{flag} {text!r} is not of the form NAME=VALUE.", USAGE)
        pairs[name] = value
    return pairs
