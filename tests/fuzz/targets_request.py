"""Targets: from a request's head to the operation that it means."""

from __future__ import annotations

from fuzz.registry import target
from s3d._core.fault import Fault
from s3d._core.request import Request

_SEEDS = [
    b"GET /bucket/key?versionId=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /bucket/a%20b//..%2f%00?partNumber=1&uploadId=x HTTP/1.1\r\nhost: b.s3.example\r\ncontent-length: 3\r\n\r\n",
    b"GET /?x-id=ListBuckets HTTP/1.1\r\nhost: localhost:33333\r\nx-amz-date: 20260101T000000Z\r\n\r\n",
    b"DELETE /bucket?tagging HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    b"POST /bucket/key?select&select-type=2 HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
]
_TOKENS = [
    b"?acl",
    b"?acl=",
    b"&",
    b"=",
    b"uploads",
    b"uploadId=",
    b"partNumber=",
    b"list-type=2",
    b"delete",
    b"/",
    b"..",
]


def parse_head(data: bytes) -> Request:
    """A request out of bytes that look like a head; the connection's own parser has a target of its own."""
    head, *lines = data.split(b"\r\n")
    method, _, rest = head.partition(b" ")
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return Request(method, rest.rpartition(b" ")[0] or rest, headers)


@target(seeds=_SEEDS, expected=(Fault,), tokens=_TOKENS)
def request_lookup(data: bytes) -> object:
    request = parse_head(data)
    found = [request.header(name) for name, _ in request.headers]
    assert None not in found
    return request.header(b"content-length") is None, bool(request.query), len(request.headers) > 2
