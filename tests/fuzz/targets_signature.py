"""Targets: from a signed request's head to who signed it."""

from __future__ import annotations

from fuzz.registry import target
from fuzz.targets_request import parse_head
from s3d._core.canonical import canonical_path, canonical_query
from s3d._core.fault import Fault
from s3d._core.sigv4 import Credentials
from s3d._core.verify import Verifier

# The time and key of the examples in the Amazon S3 API reference.
_NOW_S = 1369353600
_VERIFIER = Verifier([Credentials(b"AKIAIOSFODNN7EXAMPLE", b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")])
_EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_PRESIGNED = (
    b"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    b"%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
    b"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\r\n"
    b"host: examplebucket.s3.amazonaws.com"
)
_SEEDS = [
    b"GET /test.txt HTTP/1.1\r\nhost: examplebucket.s3.amazonaws.com\r\nauthorization: AWS4-HMAC-SHA256 "
    b"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;"
    b"x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n"
    b"range: bytes=0-9\r\nx-amz-content-sha256: " + _EMPTY + b"\r\nx-amz-date: 20130524T000000Z",
    _PRESIGNED,
    b"GET /b/k HTTP/1.1\r\nauthorization: AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=",
]
_TOKENS = [
    b"authorization: ", b"AWS4-HMAC-SHA256 ", b"Credential=", b"SignedHeaders=", b"Signature=", b"/s3/aws4_request",
    b"x-amz-date: ", b"date: Fri, 24 May 2013 00:00:00 GMT", b"X-Amz-Signature=", b"X-Amz-Expires=", b";", b",", b"%2F",
    b"x-amz-security-token: t", b"x-amz-meta-a:  b  c",
]  # fmt: skip


@target(seeds=_SEEDS, expected=(), tokens=_TOKENS)
def signature(data: bytes) -> object:
    try:
        context = _VERIFIER.verify(parse_head(data), _NOW_S)
    except Fault as fault:  # its words quote the input, so they would make every input look new
        return fault.code
    if context is None:
        return None
    return context.presigned, context.payload_hash == _EMPTY


@target(seeds=[b"/a%20b/..//%2F?b=1&a&c=%7e+", b"/?acl", b"/\xff%ff?=&&="], expected=(), tokens=_TOKENS)
def canonical(data: bytes) -> object:
    path, _, query = data.partition(b"?")
    try:
        path, query = canonical_path(path), canonical_query(query)
    except Fault as fault:
        return fault.code
    assert canonical_path(path) == path
    assert canonical_query(query) == query
    return b"%" in path, query.count(b"&")
