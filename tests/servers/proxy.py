"""A TCP proxy that does to a connection what networks do: cut, reset, stall, trickle, refuse, babble, half-close."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Literal

from servers.process import HOST

Direction = Literal["up", "down"]
Action = Literal["cut", "reset", "stall", "half_close"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close() sends RST
_READ_BYTES = 65536


@dataclass(frozen=True)
class Rule:
    """What happens in one direction ("up" is from the client to the upstream).

    `action` is taken as soon as `after_bytes` bytes have passed (0: when the first one arrives, which then does not
    pass). With `piece_bytes`, what passes does so in pieces of that size, `pause_s` apart.
    """

    action: Action | None = None
    after_bytes: int = 0
    piece_bytes: int = 0
    pause_s: float = 0.0


@dataclass(eq=False)
class Connection:
    """One proxied connection; the counts grow while it lives."""

    client: socket.socket
    upstream: socket.socket | None
    rules: dict[Direction, Rule]
    bytes_up: int = 0
    bytes_down: int = 0
    open_pumps: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)


class CuttingProxy:
    """Forwards TCP connections to `upstream` until told otherwise.

    What is told holds for connections accepted afterwards; `cut_now` and `release` act on the living ones. Every
    method may be called from any thread. Used as a context manager: at its end nothing of it is left.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.connections: list[Connection] = []
        self._rules: dict[Direction, Rule] = {"up": Rule(), "down": Rule()}
        self._answer: bytes | None = None
        self._silent = False
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    # What to do with new connections.

    def pass_through(self) -> None:
        """New connections are forwarded whole again."""
        with self._lock:
            self._rules = {"up": Rule(), "down": Rule()}
            self._answer = None
            self._silent = False
        self.accept()

    def cut(self, direction: Direction, after_bytes: int, *, reset: bool = False) -> None:
        """Both sides are closed (or reset) once `after_bytes` bytes went in `direction`."""
        self._set(direction, Rule("reset" if reset else "cut", after_bytes))

    def stall(self, direction: Direction, after_bytes: int = 0) -> None:
        """After `after_bytes` bytes nothing moves in `direction` any more, until `release`; nothing is closed."""
        self._released.clear()
        self._set(direction, Rule("stall", after_bytes))

    def half_close(self, direction: Direction, after_bytes: int) -> None:
        """The receiver in `direction` sees the end after `after_bytes` bytes, while the other way stays open."""
        self._set(direction, Rule("half_close", after_bytes))

    def trickle(self, direction: Direction, piece_bytes: int, pause_s: float) -> None:
        """Bytes in `direction` pass in pieces of `piece_bytes`, `pause_s` apart."""
        self._set(direction, Rule(piece_bytes=piece_bytes, pause_s=pause_s))

    def answer(self, data: bytes) -> None:
        """The client gets `data` as soon as it has sent something, and then the end; the upstream is not asked."""
        with self._lock:
            self._answer = data

    def silence(self) -> None:
        """Connections are accepted, read, and never answered."""
        with self._lock:
            self._silent = True

    def refuse(self) -> None:
        """Nobody listens any more: connecting is refused. Living connections stay."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone does not wake the thread in accept().
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept(self) -> None:
        """Listens (again), on the same port as ever."""
        with self._lock:
            if self._listener is not None:
                return
            listener = socket.create_server((HOST, self.port), backlog=128)
            self._listener = listener
            self.port = listener.getsockname()[1]
        self._spawn(self._accept_all, listener)

    # What to do with living connections.

    def release(self) -> None:
        """What is stalled flows on."""
        self._released.set()

    def cut_now(self, *, reset: bool = False) -> None:
        """Closes (or resets) every living connection on both sides."""
        with self._lock:
            living = [one for one in self.connections if not one.closed.is_set()]
        for connection in living:
            self._close(connection, reset)

    def close(self) -> None:
        """Stops listening, cuts everything and waits for every thread."""
        self._closing = True
        self.refuse()
        self.release()
        self.cut_now()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the proxy did not end"

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside.

    def _set(self, direction: Direction, rule: Rule) -> None:
        with self._lock:
            self._rules = {**self._rules, direction: rule}

    def _spawn(self, target, *args: object) -> None:  # type: ignore[no-untyped-def]
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                rules, answer, silent = self._rules, self._answer, self._silent
            self._spawn(self._serve, client, rules, answer, silent)

    def _serve(self, client: socket.socket, rules: dict[Direction, Rule], answer: bytes | None, silent: bool) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upstream: socket.socket | None = None
        if answer is None and not silent:
            try:
                upstream = socket.create_connection(self.upstream, timeout=10)
            except OSError:
                client.close()
                return
            upstream.settimeout(None)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client, upstream, rules, open_pumps=2)
        with self._lock:
            self.connections.append(connection)
        if self._closing:
            self._close(connection)
        elif upstream is not None:
            self._spawn(self._pump, connection, client, upstream, "up")
            self._pump(connection, upstream, client, "down")
        else:
            self._babble(connection, answer)

    def _babble(self, connection: Connection, answer: bytes | None) -> None:
        try:
            while data := connection.client.recv(_READ_BYTES):
                connection.bytes_up += len(data)
                if answer is not None:
                    connection.client.sendall(answer)
                    connection.bytes_down += len(answer)
                    connection.client.shutdown(socket.SHUT_WR)
                    answer = None
        except OSError:
            pass
        self._close(connection)

    def _pump(self, connection: Connection, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        rule = connection.rules[direction]
        acted = rule.action is None
        passed = 0
        try:
            while data := source.recv(_READ_BYTES):
                while data:
                    # Up to the point where the rule acts, and no more.
                    take = len(data) if acted else min(len(data), rule.after_bytes - passed)
                    self._send(sink, data[:take], rule)
                    passed += take
                    self._count(connection, direction, take)
                    data = data[take:]
                    if not acted and passed == rule.after_bytes:
                        acted = True
                        if not self._act(connection, sink, rule):
                            return
            if not connection.closed.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            # One side is gone: so is the connection.
            self._close(connection)
        finally:
            with self._lock:
                connection.open_pumps -= 1
                last = connection.open_pumps == 0
            if last:
                self._close(connection)

    def _send(self, sink: socket.socket, data: bytes, rule: Rule) -> None:
        if not rule.piece_bytes:
            sink.sendall(data)
            return
        for start in range(0, len(data), rule.piece_bytes):
            sink.sendall(data[start : start + rule.piece_bytes])
            # `release` also ends the slow motion, or closing the proxy would take as long as it.
            self._released.wait(rule.pause_s)

    def _act(self, connection: Connection, sink: socket.socket, rule: Rule) -> bool:
        """Takes the rule's action; False ends this direction."""
        if rule.action == "stall":
            connection.stalled.set()
            self._released.wait()
            return True
        if rule.action == "half_close":
            sink.shutdown(socket.SHUT_WR)
            return False
        self._close(connection, rule.action == "reset")
        return False

    def _count(self, connection: Connection, direction: Direction, size: int) -> None:
        if direction == "up":
            connection.bytes_up += size
        else:
            connection.bytes_down += size

    def _close(self, connection: Connection, reset: bool = False) -> None:
        with self._lock:
            if connection.closed.is_set():
                return
            connection.closed.set()
        for side in (connection.client, connection.upstream):
            if side is None:
                continue
            try:
                if reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # Wakes the thread that reads here, which closing does not. Shutting down reading alone sends nothing:
                # a reset must not be preceded by FIN.
                side.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            except OSError:
                pass
            side.close()
