"""s3d's own endpoints below ``/_s3d/``: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from s3d._core.request import Request
from s3d._core.response import Response
from s3d.s3.errors import S3Error

_JSON = [(b"Server", b"s3d"), (b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")]


class Internal:
    """Answers ``health/live``, ``health/ready`` and ``status``.

    ``status()`` returns the whole state as plain data, with ``ready`` and ``health`` in it.
    """

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self._status = status

    def __call__(self, request: Request) -> Response:
        """The answer to a request below ``/_s3d/``."""
        path = request.path
        if path not in (b"/_s3d/health/live", b"/_s3d/health/ready", b"/_s3d/status"):
            raise S3Error(
                "NoSuchKey", "s3d has no such endpoint; there are /_s3d/health/live, /_s3d/health/ready, /_s3d/status.",
                resource=path,
            )  # fmt: skip
        if request.method not in (b"GET", b"HEAD"):
            raise S3Error("MethodNotAllowed", resource=path)
        if path == b"/_s3d/health/live":
            return _json(200, {"live": True})
        status = self._status()
        if path == b"/_s3d/health/ready":
            return _json(200 if status["ready"] else 503, {"ready": status["ready"]})
        return _json(200, status)


def _json(status: int, document: dict[str, Any]) -> Response:
    return Response(status, list(_JSON), msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
