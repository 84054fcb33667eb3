"""`forward_head`: what of a client's request the remote gets to see."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.forward import Target, forward_head
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer

NOW_S = 1_700_000_000
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def signer() -> Signer:
    return Signer(Credentials(b"REMOTEKEY", b"remote-secret"), b"us-east-1", b"s3")


def forwarded(
    target: bytes = b"/bucket/key",
    headers: list[tuple[bytes, bytes]] | None = None,
    *,
    method: bytes = b"GET",
    bucket: str = "bucket",
    key: bytes = b"key",
    to: Target | None = None,
    length: int = -1,
    changes: list[tuple[bytes, bytes | None]] | None = None,
    expect: bool = False,
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The request line and the headers of the forwarded request."""
    request = Request(method, target, [(b"host", b"localhost:33333"), *(headers or [])])
    request.bucket = bucket
    request.key = key
    head = forward_head(
        request, to or Target(b"remote.example", "origin", signer()), EMPTY, length, changes, expect, NOW_S
    )
    assert head.endswith(b"\r\n\r\n")
    line, *lines = head[:-4].split(b"\r\n")
    pairs = []
    for text in lines:
        name, separator, value = text.partition(b": ")
        assert separator
        pairs.append((name, value))
    assert len({name for name, _ in pairs if name in (b"host", b"authorization", b"x-amz-date")}) == 3
    return line, pairs


@pytest.mark.parametrize(
    "name",
    [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings", "expect",
    ],
)  # fmt: skip
def test_headers_of_the_clients_connection_are_not_forwarded(name: str) -> None:
    _, headers = forwarded(headers=[(name.encode(), b"x")])
    assert name.encode() not in dict(headers)


def test_the_clients_signature_is_replaced_by_ours() -> None:
    _, headers = forwarded(
        headers=[
            (b"authorization", b"AWS4-HMAC-SHA256 Credential=CLIENT/20231114/us-east-1/s3/aws4_request"),
            (b"x-amz-date", b"20000101T000000Z"),
            (b"x-amz-content-sha256", b"client"),
            (b"x-amz-security-token", b"client"),
            (b"date", b"client"),
        ]
    )
    assert b"CLIENT" not in b"".join(value for _, value in headers)
    assert b"client" not in [value for _, value in headers]
    assert dict(headers)[b"x-amz-date"] == b"20231114T221320Z"
    assert b"Credential=REMOTEKEY/" in dict(headers)[b"authorization"]
    assert [name for name, _ in headers].count(b"authorization") == 1


def test_other_headers_keep_value_and_order() -> None:
    given_headers = [
        (b"x-amz-meta-b", b"1"),
        (b"range", b"bytes=0-1"),
        (b"x-amz-meta-a", b"2"),
        (b"x-amz-meta-b", b"3"),
    ]
    _, headers = forwarded(headers=given_headers)
    assert [pair for pair in headers if pair in given_headers] == given_headers


def test_headers_that_connection_names_are_not_forwarded_but_the_host_stays() -> None:
    _, headers = forwarded(headers=[(b"connection", b"X-Hop, host ,keep-alive"), (b"x-hop", b"1"), (b"x-stay", b"2")])
    assert b"x-hop" not in dict(headers)
    assert dict(headers)[b"x-stay"] == b"2"
    assert dict(headers)[b"host"] == b"remote.example"


def test_content_length_is_the_one_we_send() -> None:
    _, headers = forwarded(method=b"PUT", headers=[(b"content-length", b"99")], length=5)
    assert [value for name, value in headers if name == b"content-length"] == [b"5"]
    _, headers = forwarded(headers=[(b"content-length", b"0")])
    assert b"content-length" not in dict(headers)


def test_expect_is_sent_when_asked_for() -> None:
    assert dict(forwarded(method=b"PUT", length=5, expect=True)[1])[b"expect"] == b"100-continue"


def test_changes_replace_add_and_remove_headers() -> None:
    _, headers = forwarded(
        headers=[(b"content-encoding", b"aws-chunked,gzip"), (b"x-amz-decoded-content-length", b"5")],
        changes=[(b"content-encoding", b"gzip"), (b"x-amz-decoded-content-length", None), (b"x-amz-trailer", b"a")],
    )
    assert [value for name, value in headers if name == b"content-encoding"] == [b"gzip"]
    assert b"x-amz-decoded-content-length" not in dict(headers)
    assert dict(headers)[b"x-amz-trailer"] == b"a"


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"])
def test_a_value_that_would_break_out_of_its_line_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        forwarded(headers=[(b"x-amz-meta-a", value)])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"", b""),
        (b"acl", b"acl"),
        (b"acl=", b"acl="),
        (b"b=2&a=1&b=%2f", b"b=2&a=1&b=%2f"),
        (b"prefix=x-amz-date", b"prefix=x-amz-date"),
        (b"X-Amz-Signature=1", b""),
        (b"x-amz-signature=1&a=1", b"a=1"),
        (b"X-AMZ-DATE=1&X-Amz-Expires=5&X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-SignedHeaders=host&a", b"a"),
        (b"X-Amz-Security-Token=t&X-Amz-Content-Sha256=h&versionId=1", b"versionId=1"),
        (b"x-amz-checksum-mode=ENABLED&X-Amz-Signature=s", b"x-amz-checksum-mode=ENABLED"),
        (b"x-amz-acl=private&X-Amz-Signature=s&x-amz-meta-a=b", b"x-amz-acl=private&x-amz-meta-a=b"),
        (b"x-id=GetObject&X-Amz-Signature=s", b"x-id=GetObject"),
    ],
)
def test_only_what_signed_the_query_is_taken_out_of_it(query: bytes, wanted: bytes) -> None:
    line, _ = forwarded(b"/bucket/key" + (b"?" + query if query else b""))
    assert line == b"GET /bucket/key" + (b"?" + wanted if wanted else b"") + b" HTTP/1.1"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (b"", b""),
        (b"key", b"/key"),
        (b"a/b", b"/a/b"),
        (b"/a", b"//a"),
        (b"a//b/", b"/a//b/"),
        (b"../.././x", b"/../.././x"),
        (b"a b+c%d", b"/a%20b%2Bc%25d"),
        (b"\x00\xff\r\n?#", b"/%00%FF%0D%0A%3F%23"),
        ("ü".encode(), b"/%C3%BC"),
        (b"-_.~", b"/-_.~"),
    ],
)
def test_a_key_is_encoded_canonically_in_both_styles(key: bytes, path: bytes) -> None:
    line, _ = forwarded(key=key)
    assert line == b"GET /bucket" + path + b" HTTP/1.1"
    virtual = Target(b"bucket.remote.example", "origin", signer(), bucket_in_host=True)
    line, headers = forwarded(key=key, to=virtual)
    assert line == b"GET " + (path or b"/") + b" HTTP/1.1"
    assert dict(headers)[b"host"] == b"bucket.remote.example"


def test_the_service_itself_has_the_root_as_path() -> None:
    assert forwarded(bucket="", key=b"")[0] == b"GET / HTTP/1.1"


def test_the_base_path_of_an_endpoint_stands_before_everything() -> None:
    target = Target(b"remote.example", "origin", signer(), base=b"/base")
    assert forwarded(to=target)[0] == b"GET /base/bucket/key HTTP/1.1"
    assert forwarded(bucket="", key=b"", to=target)[0] == b"GET /base/ HTTP/1.1"


@given(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda b: b.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")),
)
def test_no_key_and_no_value_can_add_a_line(key: bytes, value: bytes) -> None:
    line, headers = forwarded(key=key, headers=[(b"x-amz-meta-a", value)])
    assert line.count(b" ") == 2
    assert dict(headers)[b"x-amz-meta-a"] == value
    assert len(headers) == 5
