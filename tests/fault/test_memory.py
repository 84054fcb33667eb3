"""The size of an object does not show in the memory of the daemon."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from servers.daemon import S3dDaemon
from servers.raw import RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of

LIMIT_BYTES = 150_000_000
PIECE = bytes(1 << 20)


def sink_and_source(exchange: Exchange) -> None:
    """Takes any upload, counting its bytes, and serves as many zeros as the key says."""
    visit = exchange.visit
    if exchange.method == b"PUT":
        left = int(exchange.header(b"content-length") or 0) - len(visit.buffer)
        visit.buffer.clear()
        room = bytearray(1 << 20)
        while left > 0:
            taken = visit.socket.recv_into(room, min(left, len(room)))
            assert taken, "the upload broke off"
            left -= taken
        exchange.send(answer_of(b""))
        return
    size = int(exchange.target.rpartition(b"/")[2])
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(size // len(PIECE)):
        exchange.send(PIECE)


def upload(endpoint: str, size: int) -> int:
    with RawConnection(endpoint, timeout_s=600) as client:
        client.send(b"PUT /bucket/%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (size, size))
        for _ in range(size // len(PIECE)):
            client.send(PIECE)
        return client.read_response().status


def download(endpoint: str, size: int) -> int:
    with RawConnection(endpoint, timeout_s=600) as client:
        client.send(b"GET /bucket/%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % size)
        room = bytearray(1 << 20)
        count = client.socket.recv_into(room)
        head, separator, rest = bytes(room[:count]).partition(b"\r\n\r\n")
        assert separator
        assert b"Content-Length: %d\r\n" % size in head
        got = len(rest)
        while taken := client.socket.recv_into(room):
            got += taken
        return got


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [256 << 20, pytest.param(2 << 30, marks=pytest.mark.full)], ids=["256 MiB", "2 GiB"])
def test_two_large_objects_at_once_up_and_down_stay_within_the_limit(
    size: int, start_daemon: Callable[..., S3dDaemon], scripted: ScriptedRemote
) -> None:
    daemon = start_daemon(scripted.endpoint, identity=None)
    scripted.answer = sink_and_source
    results: list[int] = []
    work = [upload, upload, download, download]
    threads = [
        threading.Thread(target=lambda one=one: results.append(one(daemon.endpoint, size)))  # type: ignore[misc]
        for one in work
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200, 200, size, size]
    assert daemon.rss_bytes(peak=True) < LIMIT_BYTES
