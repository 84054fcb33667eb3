"""The load generator over TLS, where every byte goes through the transport."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from s3d._core.loadgen import Load

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and its own certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


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
