"""What the head of a request must say of its body, before any of it is read."""

from __future__ import annotations

from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d.s3.errors import S3Error

_EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_HASHES_OF_NOTHING = frozenset((
    _EMPTY_SHA256, b"UNSIGNED-PAYLOAD",
    b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
))  # fmt: skip
"""What a request without a body may say of it."""


def refuse_body_hash(context: SigningContext | None) -> None:
    """Raise XAmzContentSHA256Mismatch where a request without a body was signed for one."""
    if context is not None and context.payload_hash not in _HASHES_OF_NOTHING:
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            extra={"ClientComputedContentSHA256": context.payload_hash, "S3ComputedContentSHA256": _EMPTY_SHA256},
        )


def need_length(request: Request) -> None:
    """Raise MissingContentLength where a request that brings an object or a part does not say how long it is."""
    if request.content_length == 0 and request.header(b"content-length") is None:
        raise S3Error("MissingContentLength")
