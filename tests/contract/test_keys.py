"""Keys are bytes: what a client asks for is what the remote is asked for, and nobody tidies it up."""

from __future__ import annotations

from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest

from contract.refusals import refused
from servers.remotes import REMOTE_CREDENTIALS

ODD = {
    "double-slash": b"a//b",
    "leading-slash": b"/a",
    "only-slashes": b"//",
    "trailing-slash": b"a/",
    "parent": b"../x",
    "parent-inside": b"a/../b",
    "dot": b".",
    "dot-inside": b"a/./b",
    "dots": b"..",
    "percent": b"100%",
    "percent-escape": b"a%2Fb",
    "plus": b"a+b",
    "space": b"a b ",
    "question-hash": b"a?b#c",
    "query-like": b"a?acl&b=c",
    "unicode": "ключ/☃/😀".encode(),
    "decomposed": "e\u0301".encode(),
    "composed": "\u00e9".encode(),
    "xml": b"<a>&'\"",
    "backslash": b"a\\b",
    "controls": bytes(range(1, 32)) + b"\x7f",
    "newlines": b"a\r\nb",
    "not-utf8": b"a\xff\xfe",
    "nul": b"a\x00b",
    "unreserved": b"-_.~",
    "sub-delims": b"!$&'()*,;=:@",
    "longest": b"k" * 1024,
    "longest-unicode": "ä".encode() * 512,
}


@pytest.mark.parametrize("name", list(ODD))
def test_key_reaches_the_remote_byte_for_byte(recorded, name):
    odd = ODD[name]
    answer = recorded.wire.send("GET", "/bucket/" + quote_from_bytes(odd, safe="/-_.~"))
    assert answer.status == 200
    request = recorded.recorder.take()
    assert unquote_to_bytes(request.path) == b"/bucket/" + odd
    request.assert_signed(REMOTE_CREDENTIALS)


@pytest.mark.parametrize(
    "path",
    ["/bucket/a%2fb", "/bucket/%61%2B+", "/bucket/a=b&c:d@e!f,g;h'i(j)*", "/bucket/a%2f%2Fb//", "/bucket/%7e~%5F_"],
)
def test_every_spelling_of_a_key_means_that_key(recorded, path):
    assert recorded.wire.send("GET", path).status == 200
    request = recorded.recorder.take()
    assert unquote_to_bytes(request.path) == unquote_to_bytes(path)
    request.assert_signed(REMOTE_CREDENTIALS)


def test_bytes_that_are_not_escaped_are_refused(recorded):
    answer = recorded.wire.send("GET", "/bucket/" + "ü".encode().decode("latin-1"))
    assert (answer.status, answer.error_code) == (400, "InvalidURI")
    assert answer.header(b"x-amz-request-id")
    assert recorded.recorder.nothing_came()


def test_key_of_1025_bytes_is_refused(recorded):
    answer = recorded.wire.send("GET", "/bucket/" + "k" * 1025)
    assert (answer.status, answer.error_code) == (400, "KeyTooLongError")
    assert recorded.recorder.nothing_came()


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "a%"])
def test_broken_escape_is_refused(recorded, escape):
    answer = recorded.wire.send("GET", "/bucket/" + escape)
    assert (answer.status, answer.error_code) == (400, "InvalidURI")
    assert recorded.recorder.nothing_came()


TEXT = {name: raw.decode() for name, raw in ODD.items() if name not in ("not-utf8", "nul")}


@pytest.mark.parametrize("name", list(TEXT))
def test_object_with_an_odd_key_lives_its_life(s3, direct, own_bucket, name):
    odd = TEXT[name]
    s3.put_object(Bucket=own_bucket, Key=odd, Body=odd.encode())
    assert direct.get_object(Bucket=own_bucket, Key=odd)["Body"].read() == odd.encode()
    assert s3.get_object(Bucket=own_bucket, Key=odd)["Body"].read() == odd.encode()
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=own_bucket)["Contents"]] == [odd]
    s3.delete_object(Bucket=own_bucket, Key=odd)
    with refused("404", 404):
        direct.head_object(Bucket=own_bucket, Key=odd)


@pytest.mark.parametrize("name", ["double-slash", "percent", "plus", "unicode", "parent", "controls"])
def test_object_with_an_odd_key_is_copied(s3, direct, bucket, key, name):
    odd = f"{key}/{TEXT[name]}"
    direct.put_object(Bucket=bucket, Key=odd, Body=b"x")
    s3.copy_object(Bucket=bucket, Key=f"{key}-to", CopySource={"Bucket": bucket, "Key": odd})
    assert direct.get_object(Bucket=bucket, Key=f"{key}-to")["Body"].read() == b"x"
