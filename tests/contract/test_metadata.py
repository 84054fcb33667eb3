"""User metadata: `x-amz-meta-*` headers pass unchanged, whatever their values."""

from __future__ import annotations

import pytest

from contract.wire import Wire


def test_names_and_values_are_stored(s3, direct, bucket, key):
    metadata = {"plain": "value", "with-dash": "a, b;c=d", "digits9": "0", "spaces": "a  b"}
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata=metadata)
    stored = direct.head_object(Bucket=bucket, Key=key)["Metadata"]
    # SigV4 reads runs of blanks as one, yet what is stored is what was sent.
    assert stored == metadata
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == metadata


def test_value_of_two_kilobytes(s3, direct, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata={"long": "v" * 2000})
    assert direct.head_object(Bucket=bucket, Key=key)["Metadata"] == {"long": "v" * 2000}


def test_empty_value(wire, s3, direct, bucket, key):
    assert wire.send("PUT", f"/{bucket}/{key}", [("x-amz-meta-empty", ""), ("x-amz-meta-b", "1")], b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == direct.head_object(Bucket=bucket, Key=key)["Metadata"]
    assert direct.head_object(Bucket=bucket, Key=key)["Metadata"]["b"] == "1"


@pytest.mark.parametrize("text", ["größe", "☃ снег"])
def test_utf8_value_comes_back_as_the_remote_has_it(wire, bucket, key, text, remote):
    raw = text.encode().decode("latin-1")
    assert wire.send("PUT", f"/{bucket}/{key}", [("x-amz-meta-who", raw)], b"x").status == 200
    through = wire.send("HEAD", f"/{bucket}/{key}").header(b"x-amz-meta-who")
    straight = Wire(remote.endpoint, remote.credentials).send("HEAD", f"/{bucket}/{key}").header(b"x-amz-meta-who")
    assert through == straight
    assert through
