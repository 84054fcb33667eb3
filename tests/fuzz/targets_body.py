"""Targets: request bodies, from framed bytes to what is stored."""

from __future__ import annotations

import base64
import zlib

from fuzz.registry import target
from fuzz.targets_request import parse_head
from s3d._core.awschunked import ChunkedDecoder
from s3d._core.collect import Collector, Source, chain
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.upload import plan_upload

_SIGNATURE = b";chunk-signature=" + b"0" * 64
_DATA = b"hello world"
_CRC32 = base64.b64encode(zlib.crc32(_DATA).to_bytes(4, "big"))
_CHUNKED = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:" + _CRC32 + b"\r\n\r\n"
_SIGNED_CHUNKED = b"b" + _SIGNATURE + b"\r\nhello world\r\n0" + _SIGNATURE + b"\r\n\r\n"
_TOKENS = [
    b"\r\n0\r\n", b"x-amz-checksum-crc32:", b"x-amz-checksum-crc64nvme:", b"x-amz-trailer-signature:", _SIGNATURE,
    b"0\r\n\r\n", b";", b"\n", b"5\r\nhello\r\n",
]  # fmt: skip


def _pieces(data: bytes) -> list[bytes]:
    """The bytes in pieces whose size depends on nothing but them."""
    step = 1 + (len(data) * 7 + sum(data[:16])) % 23
    return [data[start : start + step] for start in range(0, len(data), step)]


def _decode(pieces: list[bytes], flags: int) -> object:
    decoder = ChunkedDecoder(
        len(_DATA),
        signed_chunks=bool(flags & 1),
        signed_trailer=bool(flags & 2),
        trailer_names=[b"x-amz-checksum-crc32"] if flags & 4 else None,
    )
    try:
        data = b"".join(decoder.decode(piece) for piece in pieces)
        decoder.close()
    except Fault as fault:
        return fault.code
    assert len(data) == len(_DATA)
    return data, tuple(map(tuple, decoder.trailers))


@target(
    seeds=[b"\x04" + _CHUNKED, b"\x01" + _SIGNED_CHUNKED, b"\x00b\r\nhello world\r\n0\r\n\r\n"],
    expected=(),
    tokens=_TOKENS,
)
def aws_chunked(data: bytes) -> object:
    flags, body = data[0] if data else 0, data[1:]
    whole = _decode([body], flags)
    split = _decode(_pieces(body), flags)
    assert split == whole, f"in pieces: {split}, whole: {whole}"
    return whole if not isinstance(whole, tuple) else len(whole[1])


def _upload(head: bytes, pieces: list[bytes]) -> object:
    request = parse_head(head)
    length = request.header(b"content-length") or b""
    if len(length) < 10 and length.isdigit():
        request = Request(request.method, request.target, request.headers, content_length=int(length))
    else:
        request = Request(request.method, request.target, request.headers, content_length=-1)
    upload = plan_upload(request, 1 << 20, None)
    ends: list[object] = []
    source = Source()
    chain(source, upload, Collector(1 << 20, lambda body, error: ends.append(body if error is None else error)))
    fault = None
    try:
        for piece in pieces:
            source.feed(piece)
        source.end()
    except Fault as refused:
        fault = FaultCode(refused.code)
    assert len(ends) <= 1, ends
    if fault is not None:
        assert not any(isinstance(end, bytes) for end in ends), "refused, and yet whole"
        return fault
    return ends[0] if ends and isinstance(ends[0], bytes) else len(ends)


def _put(headers: bytes, body: bytes) -> bytes:
    return b"PUT /b/k HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n\r\n" + body


@target(
    seeds=[
        _put(b"content-length: 11\r\ncontent-md5: XrY7u+Ae7tCTyyK7j1rNww==", _DATA),
        _put(b"content-length: 11\r\nx-amz-checksum-crc32: " + _CRC32, _DATA),
        _put(
            b"x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\ncontent-encoding: aws-chunked\r\n"
            b"x-amz-decoded-content-length: 11\r\nx-amz-trailer: x-amz-checksum-crc32",
            _CHUNKED,
        ),
        _put(
            b"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nx-amz-decoded-content-length: 11",
            _SIGNED_CHUNKED,
        ),
    ],
    expected=(Fault,),
    tokens=[*_TOKENS, b"UNSIGNED-PAYLOAD", b"content-md5: ", b"x-amz-trailer: ", b"x-amz-checksum-sha256: "],
)
def upload(data: bytes) -> object:
    head, _, body = data.partition(b"\r\n\r\n")
    whole = _upload(head, [body])
    split = _upload(head, _pieces(body))
    # Of two faults (a wrong digest, and more bytes than were announced), the one that is seen first is told.
    assert split == whole or {type(split), type(whole)} == {FaultCode}, f"in pieces: {split!r}, whole: {whole!r}"
    return whole if not isinstance(whole, bytes) else len(whole)
