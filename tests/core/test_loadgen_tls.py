"""The load generator over TLS, where every byte goes through the transport."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop

from s3d._core.loadgen import Load

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()


@pytest.mark.parametrize("size", [100, 5_000_001])
def test_bodies_pass_whole_in_both_directions(certificate: Path, size: int) -> None:
    buffer = bytes(range(251)) * 400
    bodies = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.05)  # the client's buffers fill
                bodies.append(await reader.readexactly(size))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bodies[-1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate)
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=served)
        load = Load(
            asyncio.get_running_loop(),
            "localhost",
            server.sockets[0].getsockname()[1],
            [b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size] * 2,
            tls=ssl.create_default_context(cafile=certificate),
            body=buffer,
            body_size=size,
            expected_bytes=size,
        )
        await load.open()
        tally = await load.run_once()
        load.close()
        server.close()
        await asyncio.sleep(0.05)
        assert (tally.requests, tally.errors) == (2, 0)

    uvloop.run(asyncio.wait_for(main(), 30))
    expected = (buffer * (size // len(buffer) + 1))[:size]
    assert [body == expected for body in bodies] == [True, True]


def test_a_certificate_that_is_not_trusted_is_refused(certificate: Path) -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def main() -> None:
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate)
        server = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=served)
        port = server.sockets[0].getsockname()[1]
        load = Load(
            asyncio.get_running_loop(), "localhost", port, [b"GET / HTTP/1.1\r\n\r\n"], tls=ssl.create_default_context()
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            await load.open()
        server.close()
        await asyncio.sleep(0.05)

    uvloop.run(asyncio.wait_for(main(), 30))
