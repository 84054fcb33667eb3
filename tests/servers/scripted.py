"""A remote that answers exactly as a test says, byte for byte, right or wrong.

Each request is handed to `answer`, a function of the test's own, in the thread of its connection. What it does not send
is not sent; what it leaves unread of a body is not read.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from servers.process import HOST

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close() sends RST


def answer_of(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """A whole answer with Content-Length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def error_of(code: bytes, status: bytes, *headers: bytes, extra: bytes = b"") -> bytes:
    """An S3 error answer."""
    document = b"<?xml version='1.0'?><Error><Code>%b</Code><Message>no</Message>%b</Error>" % (code, extra)
    return answer_of(document, status, b"Content-Type: application/xml", *headers)


def accept_all(exchange: Exchange) -> None:
    """Reads the body and answers 200 with an ETag."""
    exchange.read_body()
    exchange.send(answer_of(b"", b"200 OK", b'ETag: "00000000000000000000000000000000"'))


class Gone(Exception):
    """s3d closed its connection."""


@dataclass(eq=False)
class Visit:
    """One connection from s3d."""

    socket: socket.socket
    number: int
    thread: threading.Thread | None = None
    buffer: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)

    def receive(self) -> None:
        """More bytes into `buffer`; `Gone` at the end of the connection."""
        try:
            data = self.socket.recv(262144)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self.buffer += data

    def end(self) -> None:
        """Wakes the thread out of whatever it waits for."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


@dataclass(eq=False)
class Exchange:
    """One request, and the means to answer it."""

    visit: Visit
    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)
    keep: bool = True
    complete: bool = False

    @property
    def bucket(self) -> bytes:
        return self.target.split(b"?")[0].split(b"/")[1]

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; twice the same name is an error."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"s3d sent {name!r} {len(values)} times"
        return values[0] if values else None

    def read_body(self, limit: int | None = None, keep: bool = True) -> bytes:
        """The body, or up to `limit` bytes more of it. `Gone` if s3d breaks off."""
        length = int(self.header(b"content-length") or 0)
        wanted = length - len(self.body) if limit is None else min(limit, length - len(self.body))
        taken = bytearray()
        while wanted > 0:
            if not self.visit.buffer:
                self.visit.receive()
            piece = bytes(self.visit.buffer[:wanted])
            del self.visit.buffer[:wanted]
            wanted -= len(piece)
            taken += piece
            self.body += piece
        self.complete = len(self.body) == length
        return bytes(taken)

    def send(self, data: bytes) -> None:
        try:
            self.visit.socket.sendall(data)
        except OSError:
            raise Gone from None

    def close(self) -> None:
        """The connection ends after this exchange, as by close()."""
        self.keep = False

    def reset(self) -> None:
        """The connection ends after this exchange by a reset."""
        self.visit.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.keep = False

    def wait_until_gone(self, timeout_s: float = 20.0) -> bool:
        """Whether s3d closes its side within the time limit; what it sends meanwhile is kept in `visit.buffer`."""
        self.visit.socket.settimeout(timeout_s)
        try:
            while True:
                self.visit.receive()
        except Gone:
            return self._really_gone()

    def _really_gone(self) -> bool:
        # A time limit of recv() is an OSError as well; only the end of the connection counts.
        self.visit.socket.settimeout(0)
        try:
            return self.visit.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.visit.socket.settimeout(None)


class ScriptedRemote:
    """Listens on a free port. `answer` may be changed at any time and holds for the requests that begin afterwards.

    s3d's probes are answered by themselves and appear nowhere, unless `probes_answered` is false. `hang_up` ends every
    connection and forgets what was recorded.
    """

    def __init__(self, answer: Callable[[Exchange], None] = accept_all, *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self._tls = tls
        self.greet: Callable[[Visit], bool] | None = None
        self.probes_answered = True
        self.exchanges: list[Exchange] = []
        self.visits: list[Visit] = []
        self.errors: list[BaseException] = []
        self.accepted = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.port = 0
        self.listen()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    @property
    def open_visits(self) -> int:
        """Connections that neither side has ended."""
        with self._lock:
            return sum(not visit.ended.is_set() for visit in self.visits)

    def listen(self) -> None:
        """Listens (again), on the same port as ever."""
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.port))
        listener.listen(256)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._acceptor.start()

    def refuse(self) -> None:
        """Nobody listens any more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            assert self._acceptor is not None
            self._acceptor.join(10)

    def hang_up(self) -> None:
        """Ends every connection and starts over: `answer` as at first, nothing recorded."""
        deadline = time.monotonic() + 20
        while True:
            with self._lock:
                visits = [visit for visit in self.visits if visit.thread is not None and visit.thread.is_alive()]
            if not visits:
                break
            assert time.monotonic() < deadline, "a scripted answer does not end"
            for visit in visits:
                visit.end()
                assert visit.thread is not None
                visit.thread.join(0.1)
        with self._lock:
            errors, self.errors = self.errors, []
            self.visits, self.exchanges, self.accepted = [], [], 0
            self.answer, self.greet, self.probes_answered = accept_all, None, True
        if errors:
            raise errors[0]

    def close(self) -> None:
        self.refuse()
        self.hang_up()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Exchange]:
        """The requests so far, once there are `count` of them."""
        self.wait_until(lambda: len(self.exchanges) >= count, timeout_s)
        return list(self.exchanges)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s"
            time.sleep(0.01)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                visit = Visit(connection, self.accepted)
                visit.thread = threading.Thread(target=self._serve, args=(visit,), daemon=True)
                self.visits.append(visit)
            visit.thread.start()

    def _serve(self, visit: Visit) -> None:
        try:
            if self._tls is not None:
                visit.socket = self._tls.wrap_socket(visit.socket, server_side=True)
            if self.greet is not None and not self.greet(visit):
                return
            for exchange in self._requests(visit):
                self.answer(exchange)
                if not exchange.keep:
                    return
        except Gone:
            pass
        except BaseException as error:  # noqa: BLE001 - shown by `hang_up` in the test's own thread
            with self._lock:
                self.errors.append(error)
        finally:
            visit.socket.close()
            visit.ended.set()

    def _requests(self, visit: Visit) -> Iterator[Exchange]:
        while True:
            while b"\r\n\r\n" not in visit.buffer:
                visit.receive()
            head, rest = bytes(visit.buffer).split(b"\r\n\r\n", 1)
            visit.buffer[:] = rest
            line, *lines = head.split(b"\r\n")
            match = re.fullmatch(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1", line)
            assert match is not None, f"s3d sent the request line {line!r}"
            headers = []
            for text in lines:
                name, separator, value = text.partition(b": ")
                assert separator, f"s3d sent the header line {text!r}"
                assert name == name.lower(), f"s3d sent the header name {name!r}"
                headers.append((name, value))
            exchange = Exchange(visit, match.group(1), match.group(2), headers)
            if exchange.header(b"user-agent") == b"s3d-probe":
                if not self.probes_answered:
                    return
                exchange.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                continue
            with self._lock:
                self.exchanges.append(exchange)
            yield exchange
