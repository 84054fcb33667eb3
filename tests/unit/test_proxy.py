"""The cutting proxy does what it is told: otherwise the fault tests would prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from servers.process import HOST
from servers.proxy import CuttingProxy
from servers.raw import Disconnected, ProtocolError, RawConnection, exchange

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD_BYTES = len(ANSWER) - 10


@pytest.fixture
def upstream() -> Iterator[str]:
    """A server that answers every request it reads whole with ANSWER."""
    listener = socket.create_server((HOST, 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            pending = b""
            try:
                while data := connection.recv(65536):
                    pending += data
                    while b"\r\n\r\n" in pending:
                        pending = pending.split(b"\r\n\r\n", 1)[1]
                        connection.sendall(ANSWER)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    threads = [threading.Thread(target=accept, daemon=True)]
    threads[0].start()
    yield f"http://{HOST}:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(10)


@pytest.fixture
def proxy(upstream: str, proxy_to: Callable[[str], CuttingProxy]) -> CuttingProxy:
    return proxy_to(upstream)


def test_proxy_forwards_both_ways(proxy: CuttingProxy) -> None:
    assert exchange(proxy.endpoint, REQUEST).body == b"0123456789"
    # The proxy counts after it has passed the bytes on; the answer may be here before.
    deadline = time.monotonic() + 10
    while proxy.connections[0].bytes_up < len(REQUEST) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert proxy.connections[0].bytes_up == len(REQUEST)


@pytest.mark.parametrize("after_bytes", [0, 1, HEAD_BYTES, HEAD_BYTES + 9])
def test_cut_down_lets_exactly_that_much_of_the_answer_pass(proxy: CuttingProxy, after_bytes: int) -> None:
    proxy.cut("down", after_bytes)
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        assert client.read_until_closed() == ANSWER[:after_bytes]


def test_cut_up_lets_exactly_that_much_of_the_request_pass(proxy: CuttingProxy) -> None:
    proxy.cut("up", 5)
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        assert client.is_closed()
    assert proxy.connections[0].bytes_up == 5


def test_reset_is_seen_as_a_reset(proxy: CuttingProxy) -> None:
    proxy.cut("down", HEAD_BYTES, reset=True)
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        with pytest.raises(ConnectionResetError):
            while client.socket.recv(1):
                pass


def test_stall_holds_the_answer_until_released(proxy: CuttingProxy) -> None:
    proxy.stall("down", HEAD_BYTES + 4)
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        received = b""
        while len(received) < HEAD_BYTES + 4:
            received += client.socket.recv(100)
        assert proxy.connections[0].stalled.wait(10)
        assert proxy.connections[0].bytes_down == HEAD_BYTES + 4
        proxy.release()
        assert client.socket.recv(100) == b"456789"


def test_half_close_ends_one_way_and_keeps_the_other(proxy: CuttingProxy) -> None:
    proxy.half_close("down", len(ANSWER))
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        assert client.read_response().status == 200
        assert client.is_closed()
        client.send(REQUEST)
        client.end()
        assert proxy.connections[0].closed.wait(10)
    assert proxy.connections[0].bytes_up == 2 * len(REQUEST)


def test_trickle_passes_everything(proxy: CuttingProxy) -> None:
    proxy.trickle("down", 1, 0.001)
    assert exchange(proxy.endpoint, REQUEST).body == b"0123456789"


def test_answer_is_sent_without_the_upstream(proxy: CuttingProxy) -> None:
    proxy.answer(b"\x00garbage")
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        assert client.read_until_closed() == b"\x00garbage"
    assert proxy.connections[0].upstream is None


def test_silence_reads_and_never_answers(proxy: CuttingProxy) -> None:
    proxy.silence()
    with RawConnection(proxy.endpoint, timeout_s=0.2) as client:
        client.send(REQUEST)
        assert not client.is_closed()


def test_refused_connections_are_accepted_again_on_the_same_port(proxy: CuttingProxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        RawConnection(proxy.endpoint)
    proxy.accept()
    assert exchange(proxy.endpoint, REQUEST).status == 200


def test_cut_now_ends_a_living_connection(proxy: CuttingProxy) -> None:
    with RawConnection(proxy.endpoint) as client:
        client.send(REQUEST)
        assert client.read_response().status == 200
        proxy.cut_now()
        assert client.is_closed()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno framing",
    ],
)
def test_raw_reader_refuses_a_malformed_answer(proxy: CuttingProxy, answer: bytes) -> None:
    proxy.answer(answer)
    with pytest.raises(ProtocolError):
        exchange(proxy.endpoint, REQUEST)


def test_raw_reader_refuses_a_short_body(proxy: CuttingProxy) -> None:
    proxy.answer(ANSWER[:-1])
    with pytest.raises(Disconnected):
        exchange(proxy.endpoint, REQUEST)


def test_raw_reader_decodes_chunks(proxy: CuttingProxy) -> None:
    proxy.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert exchange(proxy.endpoint, REQUEST).body == b"abcde"
