"""Plain sockets for what no HTTP client would send, and a reader that forgives nothing in the answer."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ([\t\x20-\x7e]*)")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t\x80-\xff]*?)[ \t]*")


class ProtocolError(AssertionError):
    """The answer is not HTTP/1.1 as RFC 9112 wants it."""


class Disconnected(AssertionError):
    """The connection ended inside an answer, or before one; `received` is what had come."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"the connection ended after {received[-400:]!r}")
        self.received = received


@dataclass(frozen=True)
class RawResponse:
    """One answer: header names in lower case, in the order received, the body without its framing."""

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; twice the same name is an error."""
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise ProtocolError(f"header {name!r} came {len(values)} times")
        return values[0] if values else None

    @property
    def error_code(self) -> str:
        """The `Code` of S3's error document."""
        match = re.search(rb"<Code>([A-Za-z0-9]+)</Code>", self.body)
        if match is None:
            raise ProtocolError(f"no S3 error document in {self.body[:400]!r}")
        return match.group(1).decode()


class RawConnection:
    """A connection to an endpoint (`http://host:port`) or a unix socket (a Path); every wait has an end."""

    def __init__(self, endpoint: str | Path, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._buffer = b""
        if isinstance(endpoint, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout_s)
            self.socket.connect(str(endpoint))
        else:
            address = urlsplit(endpoint)
            self.socket = socket.create_connection((address.hostname, address.port or 80), timeout_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes, *, piece_bytes: int = 0) -> None:
        """Sends everything, at once or in pieces of a given size, each in a packet of its own."""
        step = piece_bytes or max(1, len(data))
        for start in range(0, len(data), step):
            self.socket.sendall(data[start : start + step])

    def end(self) -> None:
        """Says that nothing more will be sent; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def read_response(self, method: str = "GET", *, skip_continue: bool = True) -> RawResponse:
        """The next whole answer. `method` tells whether it has a body; a 100 is passed over unless asked for."""
        deadline = time.monotonic() + self._timeout_s
        response = self._read_one(method, deadline)
        while skip_continue and response.status == 100:
            response = self._read_one(method, deadline)
        return response

    def read_until_closed(self) -> bytes:
        """Everything that is left, up to the end of the connection; a reset counts as an end."""
        deadline = time.monotonic() + self._timeout_s
        while self._receive(deadline):
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def is_closed(self) -> bool:
        """Whether the other side ends the connection, without another byte, within the time limit."""
        try:
            return self.read_until_closed() == b""
        except TimeoutError:
            return False

    def _receive(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"nothing more within {self._timeout_s} s after {self._buffer[-400:]!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._buffer:
            if not self._receive(deadline):
                raise Disconnected(self._buffer)
        line, self._buffer = self._buffer.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            raise ProtocolError(f"a line does not end in CRLF: {line!r}")
        return line[:-1]

    def _exactly(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            if not self._receive(deadline):
                raise Disconnected(self._buffer)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _headers(self, deadline: float) -> list[tuple[bytes, bytes]]:
        headers = []
        while line := self._line(deadline):
            match = _HEADER.fullmatch(line)
            if match is None:
                raise ProtocolError(f"malformed header {line!r}")
            headers.append((match.group(1).lower(), match.group(2)))
        return headers

    def _read_one(self, method: str, deadline: float) -> RawResponse:
        line = self._line(deadline)
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(f"malformed status line {line!r}")
        head = RawResponse(int(match.group(1)), match.group(2), self._headers(deadline), b"")
        length, coding = head.header(b"content-length"), head.header(b"transfer-encoding")
        if length is not None and coding is not None:
            raise ProtocolError("both Content-Length and Transfer-Encoding")
        if head.status < 200 or head.status == 204:
            if length is not None or coding is not None:
                raise ProtocolError(f"a {head.status} with the framing of a body")
            return head
        if method == "HEAD" or head.status == 304:
            return head
        if coding is not None:
            if coding != b"chunked":
                raise ProtocolError(f"Transfer-Encoding {coding!r}")
            return RawResponse(head.status, head.reason, head.headers, self._chunked(deadline))
        if length is not None:
            if re.fullmatch(rb"\d{1,19}", length) is None:
                raise ProtocolError(f"Content-Length {length!r}")
            body = self._exactly(int(length), deadline)
        elif head.header(b"connection") == b"close":
            body = self.read_until_closed()
        else:
            raise ProtocolError("a body without framing on a connection that stays")
        return RawResponse(head.status, head.reason, head.headers, body)

    def _chunked(self, deadline: float) -> bytes:
        body = b""
        while True:
            line = self._line(deadline)
            if re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line) is None:
                raise ProtocolError(f"malformed chunk size {line!r}")
            size = int(line, 16)
            if size == 0:
                if self._headers(deadline):
                    raise ProtocolError("trailers that nobody asked for")
                return body
            body += self._exactly(size, deadline)
            if self._exactly(2, deadline) != b"\r\n":
                raise ProtocolError("a chunk does not end where its size says")


def exchange(endpoint: str | Path, data: bytes, method: str = "GET", *, timeout_s: float = 10.0) -> RawResponse:
    """Sends `data` over a connection of its own and reads one answer."""
    with RawConnection(endpoint, timeout_s=timeout_s) as connection:
        connection.send(data)
        return connection.read_response(method)
