"""Targets: from a request's bytes to the operation that it means."""

from __future__ import annotations

from fuzz.registry import target
from s3d._core.fault import Fault
from s3d._core.percent import decode, encode
from s3d._core.request import Request
from s3d._core.route import Router
from s3d.s3.operations import load_operations

_SIGNED = (
    b"GET /bucket/test.txt HTTP/1.1\r\nhost: localhost\r\nrange: bytes=0-9\r\n"
    b"x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n"
    b"x-amz-date: 20130524T000000Z\r\nauthorization: AWS4-HMAC-SHA256 "
    b"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
    b"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n\r\n"
)
_PRESIGNED = (
    b"GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    b"%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
    b"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\r\nhost: b.example.com\r\n\r\n"
)
_SEEDS = [
    b"GET /bucket/key?versionId=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /bucket/a%20b//..%2f%00?partNumber=1&uploadId=x HTTP/1.1\r\nhost: b.example.com\r\ncontent-length: 3\r\n\r\n",
    b"GET /?x-id=ListBuckets HTTP/1.1\r\nhost: localhost:33333\r\nx-amz-date: 20260101T000000Z\r\n\r\n",
    b"DELETE /bucket?tagging HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    b"POST /bucket/key?select&select-type=2 HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
    b"PUT /bucket/key HTTP/1.1\r\nhost: localhost\r\nx-amz-copy-source: /a/b?versionId=1\r\n\r\n",
    b"GET http://bucket.example.com:80/a/b?acl HTTP/1.1\r\nhost: x\r\n\r\n",
    _SIGNED,
    _PRESIGNED,
]
_TOKENS = [
    b"?acl", b"?acl=", b"&", b"=", b"uploads", b"uploadId=", b"partNumber=", b"list-type=2", b"delete", b"/", b"..",
    b"X-Amz-Signature=", b"X-Amz-Expires=604800", b"SignedHeaders=host;", b"Credential=", b"AWS4-HMAC-SHA256",
    b"x-amz-copy-source: ", b"http://", b"example.com", b"@", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"AWS AKID:sig",
]  # fmt: skip

_ROUTER = Router(load_operations().routes, ["localhost", "example.com"])


def parse_head(data: bytes) -> Request:
    """A request out of bytes that look like a head; the connection's own parser has a target of its own."""
    head, *lines = data.split(b"\r\n")
    method, _, rest = head.partition(b" ")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return Request(method, rest.rpartition(b" ")[0] or rest, headers)


@target(seeds=_SEEDS, expected=(Fault,), tokens=_TOKENS)
def router(data: bytes) -> object:
    request = parse_head(data)
    operation = _ROUTER.route(request)
    assert operation == request.operation >= 0
    assert request.params is not None
    return operation, request.virtual_host, request.key == b"", len(request.params)


@target(seeds=[b"a%20b+c%00%ff", b"%", b"%4", b"%zz"], expected=(Fault, ValueError), tokens=[b"%2F", b"%41", b"+"])
def percent(data: bytes) -> object:
    assert decode(encode(data)) == data
    return len(decode(data)) == len(data)
