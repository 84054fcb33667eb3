"""Many clients and a remote that all do something at random: no answer may be wrong, and nothing may be left behind."""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest

from servers.daemon import S3dDaemon
from servers.raw import Disconnected, ProtocolError, RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of, error_of

GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESET = struct.pack("ii", 1, 0)
CLIENTS = 8


def content(target: bytes) -> bytes:
    """The bytes that belong to a target: its name says how many, and what they are."""
    match = re.search(rb"-(\d+)$", target)
    assert match is not None, target
    seed = hashlib.sha256(target).digest()
    size = int(match.group(1))
    return (seed * (size // len(seed) + 1))[:size]


def etag(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


class Chaos:
    """The remote's and the clients' behaviour; `wrong` collects what must not have happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.wrong: list[str] = []
        self.counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._random = random.Random(seed)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    # The remote.

    def answer(self, exchange: Exchange) -> None:
        with self._lock:
            dice = random.Random(self._random.random())
        if dice.random() < 0.1:
            time.sleep(dice.random() * 0.02)
        fault = dice.choice([None] * 8 + ["close", "reset", "early error", "early success", "garbage"])
        if fault in ("close", "reset"):
            if dice.random() < 0.5:
                exchange.read_body(dice.randrange(100_000))
            exchange.reset() if fault == "reset" else exchange.close()
            return
        if fault == "garbage":
            exchange.read_body()
            exchange.send(dice.randbytes(dice.randrange(1, 300)))
            exchange.close()
            return
        if fault == "early error" and exchange.method == b"PUT":
            exchange.read_body(dice.randrange(1 + int(exchange.header(b"content-length") or 0)))
            exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
            exchange.close()
            return
        if fault == "early success" and exchange.method == b"PUT":
            length = int(exchange.header(b"content-length") or 0)
            if length > 1:
                exchange.read_body(dice.randrange(length - 1))
                exchange.send(answer_of(b"", b"200 OK", b'ETag: "early"'))
                exchange.close()
                return
        if exchange.header(b"expect") and dice.random() < 0.7:
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = exchange.read_body()
        if exchange.method == b"PUT":
            if body != content(exchange.target):
                self.wrong.append(f"the remote got other bytes than {exchange.target!r} has")
            exchange.send(answer_of(b"", b"200 OK", b"ETag: " + etag(body)))
            return
        self.send_content(exchange, dice)
        if dice.random() < 0.1:
            exchange.close()

    def send_content(self, exchange: Exchange, dice: random.Random) -> None:
        body = content(exchange.target)
        if dice.random() < 0.5:
            data = answer_of(body)
        else:
            data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            position = 0
            while position < len(body):
                piece = body[position : position + dice.choice([1, 100, 10_000, 100_000])]
                data += b"%x\r\n%b\r\n" % (len(piece), piece)
                position += len(piece)
            data += b"0\r\n\r\n"
        end = len(data)
        fault = dice.choice([None] * 6 + ["short", "long"])
        if fault == "short":
            end = dice.randrange(len(data))
        elif fault == "long":
            data += answer_of(b"evil") if dice.random() < 0.5 else b"x"
            end = len(data)
        position = 0
        while position < end:
            step = dice.choice([7, 1000, 70_000, 1_000_000])
            exchange.send(data[position : min(end, position + step)])
            position += step
            if dice.random() < 0.1:
                time.sleep(dice.random() * 0.005)
        if fault is not None:
            exchange.reset() if dice.random() < 0.5 else exchange.close()

    # The clients.

    def client(self, endpoint: str, number: int, until_s: float) -> None:
        dice = random.Random(self.seed * 1000 + number)
        serial = 0
        while time.monotonic() < until_s and not self.wrong:
            with contextlib.suppress(OSError), RawConnection(endpoint, timeout_s=20) as connection:
                for _ in range(dice.randrange(1, 8)):
                    serial += 1
                    if not self.one(connection, dice, b"%d-%d" % (number, serial)):
                        break

    def one(self, connection: RawConnection, dice: random.Random, name: bytes) -> bool:
        """One thing that a client does; returns whether its connection can be used again."""
        count = dice.choice([1, 1, 1, 3])
        puts = dice.random() < 0.4
        sizes = [dice.choice([0, 1, 5, 1000, 70_000, 700_000]) for _ in range(count)]
        bucket = dice.choice([b"a", b"b", b"c-%d" % dice.randrange(1000)])
        targets = [b"/%b/%b-%d-%d" % (bucket, name, index, size) for index, size in enumerate(sizes)]
        expect = puts and count == 1 and dice.random() < 0.2
        data = b""
        for target in targets:
            if puts:
                body = content(target)
                more = b"Expect: 100-continue\r\n" if expect else b""
                if dice.random() < 0.3 and body:
                    more += b"x-amz-decoded-content-length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(body)
                    half = len(body) // 2
                    for piece in (body[:half], body[half:]):
                        more += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
                    data += b"PUT " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + more + b"0\r\n\r\n"
                else:
                    data += b"PUT " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + more
                    data += b"Content-Length: %d\r\n\r\n" % len(body) + body
            else:
                data += b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        leave = dice.choice([None] * 6 + ["reset", "close", "end"])
        end = len(data) if leave is None or dice.random() < 0.5 else dice.randrange(len(data))
        try:
            connection.send(data[:end], piece_bytes=dice.choice([0, 0, 100_000]))
            if leave == "end":
                connection.end()
            elif leave is not None:
                if dice.random() < 0.7:
                    time.sleep(dice.random() * 0.02)
                if leave == "reset":
                    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.count(leave)
                return False
            for target in targets:
                answer = connection.read_response()
                self.count(str(answer.status))
                if answer.status == 500:
                    self.wrong.append(f"{target!r} was answered 500: {answer.body!r}")
                # All of the body may be on its way when the remote lies that it has it.
                if answer.status == 200 and puts and answer.header(b"etag") not in (etag(content(target)), b'"early"'):
                    self.wrong.append(f"the upload of {target!r} was answered {answer!r}")
                if answer.status == 200 and not puts and answer.body != content(target):
                    self.wrong.append(f"{target!r} was answered with {len(answer.body)} other bytes")
                if answer.header(b"connection") == b"close":
                    return False
        except Disconnected:
            self.count("disconnected")
            return False
        except TimeoutError:
            self.wrong.append(f"{targets!r} was never answered")
            return False
        except (BrokenPipeError, ConnectionResetError):
            self.count("reset by s3d")
            return False
        except ProtocolError as error:
            self.wrong.append(f"{targets!r}: {error}")
            return False
        return leave is None


def soak(daemon: S3dDaemon, scripted: ScriptedRemote, seed: int, seconds: float) -> dict[str, int]:
    chaos = Chaos(seed)
    scripted.answer = chaos.answer
    until_s = time.monotonic() + seconds
    threads = [
        threading.Thread(target=chaos.client, args=(daemon.endpoint, number, until_s)) for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chaos.wrong == [], f"seed {seed}"
    return chaos.counts


def check_nothing_is_left(daemon: S3dDaemon, scripted: ScriptedRemote, fds: int) -> None:
    # Every time limit of `daemon` is over: what is still there belongs to connections that idle.
    time.sleep(6)
    scripted.answer = lambda exchange: exchange.close()
    deadline = time.monotonic() + 20
    idle = scripted.open_visits
    for visit in list(scripted.visits):
        visit.end()
    while daemon.fd_count() > fds + 2:
        assert time.monotonic() < deadline, f"{daemon.fd_count()} descriptors, {fds} before; {idle} were open"
        time.sleep(0.1)
    assert idle <= CLIENTS + 2, f"{idle} connections to the remote for {CLIENTS} clients"


def test_random_faults_on_both_sides_never_give_a_wrong_answer(daemon: S3dDaemon, scripted: ScriptedRemote) -> None:
    fds = daemon.fd_count()
    seed = random.SystemRandom().randrange(1 << 30)
    counts = soak(daemon, scripted, seed, 10)
    assert counts.get("200", 0) > 50, counts
    check_nothing_is_left(daemon, scripted, fds)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_random_faults_over_many_seeds(daemon: S3dDaemon, scripted: ScriptedRemote) -> None:
    fds = daemon.fd_count()
    before = daemon.rss_bytes()
    for seed in range(20):
        soak(daemon, scripted, seed, 30)
        scripted.hang_up()
    check_nothing_is_left(daemon, scripted, fds)
    assert daemon.rss_bytes() - before < 50_000_000


def test_connections_left_at_random_moments_all_come_free(
    daemon: S3dDaemon, scripted: ScriptedRemote, connect: Callable[[], RawConnection]
) -> None:
    dice = random.Random(1)

    def answer(exchange: Exchange) -> None:
        time.sleep(dice.random() * 0.004)
        exchange.send(answer_of(b"x" * 300_000))

    scripted.answer = answer
    fds = daemon.fd_count()
    for number in range(300):
        client = RawConnection(daemon.endpoint)
        client.send(GET.replace(b"/bucket/", b"/bucket-%d/" % (number % 7)) * dice.randrange(1, 3))
        time.sleep(dice.random() * 0.008)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
    check_nothing_is_left(daemon, scripted, fds)
