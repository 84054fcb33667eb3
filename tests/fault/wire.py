"""Requests as they go over the wire, a remote's answers to them, and the answer where there is none."""

from __future__ import annotations

from collections.abc import Callable

from servers.raw import RawResponse
from servers.scripted import Exchange

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = b"HEAD /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"

STATUS = b"GET /_s3d/status HTTP/1.1\r\nHost: localhost\r\n\r\n"

OPERATIONS = {
    "GetObject": GET,
    "HeadObject": HEAD,
    "PutObject": PUT,
    "PutObject, expecting 100": (
        b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ),
    "PutObject, empty": b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "PutObject, chunked": (
        b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"x-amz-decoded-content-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "DeleteObject": b"DELETE /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "DeleteObjects": b"POST /bucket?delete HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n<a/>\n",
    "CreateMultipartUpload": b"POST /bucket/key?uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "CompleteMultipartUpload": (
        b"POST /bucket/key?uploadId=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n<a/>\n"
    ),
    "ListObjectsV2": b"GET /bucket?list-type=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "ListBuckets": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CreateBucket": b"PUT /bucket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    "preflight": b"OPTIONS /bucket/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a\r\n\r\n",
    "from a page": b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n",
}


def method_of(request: bytes) -> str:
    return request.split(b" ", 1)[0].decode()


def sends(data: bytes, *, then_close: bool = False) -> Callable[[Exchange], None]:
    """Answers every request with `data`, after having read its body."""

    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(data)
        if then_close:
            exchange.close()

    return answer


def check_unavailable(answer: RawResponse, method: str = "GET") -> None:
    assert answer.status == 503
    if method != "HEAD":
        assert answer.error_code == "ServiceUnavailable"
