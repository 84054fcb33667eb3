"""The remote's own address in its answers."""

from __future__ import annotations

from fault.wire import OPERATIONS, sends
from servers.raw import RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of


def test_white_space_before_a_completed_upload_streams_through(client: RawConnection, scripted: ScriptedRemote) -> None:
    seen: list[bytes] = []

    def answer(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/xml\r\n\r\n")
        for _ in range(3):
            exchange.send(b"1\r\n \r\n")
            scripted.wait_until(lambda: len(seen) > 0)
        document = b"<R><Location>http://remote.example/bucket/key</Location></R>"
        exchange.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(document), document))

    scripted.answer = answer
    client.send(OPERATIONS["CompleteMultipartUpload"])
    client.socket.settimeout(10)
    received = b""
    while b"\r\n\r\n1\r\n \r\n" not in received:
        received += client.socket.recv(65536)
    seen.append(received)
    rest = received.partition(b"\r\n\r\n")[2]
    while not rest.endswith(b"0\r\n\r\n"):
        rest += client.socket.recv(65536)
    assert b"<Location>http://localhost/bucket/key</Location>" in rest
    assert b"remote.example" not in rest


def test_the_location_header_of_a_new_bucket_is_ours(client: RawConnection, scripted: ScriptedRemote) -> None:
    scripted.answer = sends(answer_of(b"", b"200 OK", b"Location: http://bucket.remote.example/"))
    client.send(OPERATIONS["CreateBucket"])
    assert client.read_response().header(b"location") == b"http://localhost/bucket"


def test_an_error_document_of_a_completed_upload_passes_unchanged(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    document = b"\n<Error><Code>InternalError</Code></Error>"
    scripted.answer = sends(answer_of(document))
    client.send(OPERATIONS["CompleteMultipartUpload"])
    assert client.read_response().body == document
