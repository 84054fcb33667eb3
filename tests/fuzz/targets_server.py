"""Target: a client's connection, from the bytes that arrive to the requests that are dispatched."""

from __future__ import annotations

from fuzz.registry import target
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.server import Service

_SEEDS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
    b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-a: b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz",
    b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
_TOKENS = [
    b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"Expect: 100-continue\r\n", b"\r\n\r\n",
    b"Connection: close\r\n", b"HTTP/1.0", b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n", b"\n", b"\r", b"\r\n ",
    b"0\r\n\r\n", b";x=y",
]  # fmt: skip


class _Timer:
    def cancel(self) -> None:
        pass


class _Loop:
    """No loop at all: nothing here may need one between bytes in and bytes out."""

    def call_later(self, delay: float, callback: object, *arguments: object) -> _Timer:
        return _Timer()

    def call_soon(self, callback: object, *arguments: object) -> _Timer:
        return _Timer()


class _Transport:
    """Takes what the connection sends. It says that it is TLS, for then the connection has no socket to go round it."""

    def __init__(self) -> None:
        self.closed = False
        self.reading = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return True if name == "ssl_object" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    abort = close


def _drive(pieces: list[bytes]) -> tuple[list[object], bool]:
    """The requests dispatched when these pieces arrive one by one, and whether the connection was closed."""
    seen: list[object] = []

    def dispatch(request: Request) -> Response:
        seen.append((request.method, request.target, tuple(request.headers), request.content_length))
        return Response(200, [], b"answer")

    def refuse(request: Request | None, error: BaseException) -> Response:
        if not isinstance(error, Fault):
            raise error
        seen.append(FaultCode(error.code))
        return Response(400, [], b"refused", close=True)

    service = Service(dispatch, refuse, loop=_Loop(), operations=1, max_head_size=32768)
    connection = service.connection()
    transport = _Transport()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closed or not transport.reading:
            break
        connection.get_buffer(-1)[: len(piece)] = piece
        connection.buffer_updated(len(piece))
    connection.connection_lost(None)
    return seen, transport.closed


@target(seeds=_SEEDS, expected=(), tokens=_TOKENS)
def server_connection(data: bytes) -> object:
    whole = _drive([data])
    # Where the network splits the bytes changes nothing in how they are read; the places depend on the input, so a
    # finding comes again. The answer may overtake the body, though, and then the connection ends there or goes on,
    # by what had arrived: so one list is the beginning of the other. And of two faults in one head, that one is told
    # which stands in the piece that arrived first.
    step = 1 + (len(data) * 7 + sum(data[:16])) % 23
    split = _drive([data[start : start + step] for start in range(0, len(data), step)])
    pairs = zip(split[0], whole[0], strict=False)
    assert all(one == other or {type(one), type(other)} == {FaultCode} for one, other in pairs), (
        f"in pieces of {step}: {split}, whole: {whole}"
    )
    return len(whole[0]), whole[1], whole[0][-1] if whole[0] and not isinstance(whole[0][-1], tuple) else None
