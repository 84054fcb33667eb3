"""The command line and a daemon with a self-signed certificate."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from s3d import cli

BUCKETS = b"<ListAllMyBucketsResult><Buckets><Bucket><Name>box</Name></Bucket></Buckets></ListAllMyBucketsResult>"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"health": "ok"}' if self.path == "/_s3d/status" else BUCKETS
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us breaks the handshake: meant here."""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for localhost, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(encoding) + key.private_bytes(encoding, *plain))
    return path


@pytest.fixture
def endpoint(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an HTTPS server with that certificate."""
    for name in ("S3D_TLS_CERT", "S3D_TLS_KEY", "S3D_ACCESS_KEY_ID", "S3D_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    server = QuietServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", ["ls", "status"])
def test_the_daemons_own_certificate_is_trusted(
    endpoint: str, certificate: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("S3D_TLS_CERT", str(certificate))
    monkeypatch.setenv("S3D_TLS_KEY", str(certificate))
    assert cli.main(["--endpoint", endpoint, command]) == 0


@pytest.mark.parametrize(("command", "code"), [("ls", 3), ("status", 2)])
def test_another_certificate_is_refused_with_what_to_do(
    endpoint: str, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    assert cli.main(["--endpoint", endpoint, command]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"s3d: No trusted TLS connection to s3d at {endpoint} (")
    assert "set S3D_TLS_CERT" in err
