"""Over https botocore sends bodies as STREAMING-UNSIGNED-PAYLOAD-TRAILER: the same operations, another framing."""

from __future__ import annotations

import datetime
import hashlib
import io
import ipaddress

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from contract.multipart import MIN_PART_BYTES, upload_parts
from contract.refusals import refused
from contract.wire import checksum
from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon
from servers.process import HOST, free_ports
from servers.remotes import REGION, Remote

pytestmark = pytest.mark.s3d


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for loopback: paths of certificate and key."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "s3d test")])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@pytest.fixture(scope="session")
def _secure_daemons(tmp_path_factory, certificate):
    daemons = {}

    def start(name, **options):
        if name not in daemons:
            [port] = free_ports(1)
            daemon = S3dDaemon(tmp_path_factory.mktemp(f"s3d-tls-{name}"), **options)
            address = f"https://{HOST}:{port}"
            daemon.process.env |= {
                "S3D_ENDPOINT": f"{daemon.endpoint},{address}",
                "S3D_TLS_CERT": str(certificate[0]),
                "S3D_TLS_KEY": str(certificate[1]),
            }
            daemon.start()
            daemons[name] = daemon, address
        return daemons[name]

    yield start
    for daemon, _ in daemons.values():
        daemon.stop()


@pytest.fixture(params=["seaweedfs", "moto", "alone"])
def remote(request, _secure_daemons):
    """Each remote in turn; "alone" is the s3d under test itself, by its plain address."""
    if request.param != "alone":
        return request.getfixturevalue(request.param)
    daemon, _ = _secure_daemons("alone", standalone=True)
    return Remote("alone", daemon.endpoint, LOCAL_CREDENTIALS, daemon.process)


@pytest.fixture
def address(_secure_daemons, remote):
    """The https address of an s3d that checks signatures."""
    daemon, address = _secure_daemons(remote.name, remote=remote.endpoint, credentials=remote.credentials)
    yield address
    daemon.check_log()


@pytest.fixture
def secure(address, certificate):
    """A boto3 client over https with today's defaults; `sent` has the headers of its requests, names in lower case."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=LOCAL_CREDENTIALS.access_key_id,
        aws_secret_access_key=LOCAL_CREDENTIALS.secret_access_key,
        verify=str(certificate[0]),
        config=Config(s3={"addressing_style": "path"}, read_timeout=15, retries={"total_max_attempts": 1}),
    )
    client.sent = []
    client.meta.events.register(
        "before-send.s3",
        lambda request, **_: client.sent.append({name.lower(): value for name, value in request.headers.items()}),
    )
    yield client
    client.close()


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_put_with_a_trailer(secure, direct, bucket, key, size):
    body = b"0123456789abcdef" * (size // 16 + 1)
    answer = secure.put_object(Bucket=bucket, Key=key, Body=body[:size])
    # What the test is about: it was a trailer and no header.
    assert secure.sent[0]["x-amz-content-sha256"] == b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert answer["ETag"] == f'"{hashlib.md5(body[:size]).hexdigest()}"'
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == body[:size]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_every_checksum_in_the_trailer(secure, direct, bucket, key, algorithm):
    answer = secure.put_object(Bucket=bucket, Key=key, Body=b"body" * 1000, ChecksumAlgorithm=algorithm)
    assert answer[f"Checksum{algorithm}"] == checksum(algorithm, b"body" * 1000)
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"body" * 1000


def test_body_of_a_stream_that_cannot_seek(secure, direct, bucket, key):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.left = 300_000

        def readable(self):
            return True

        def readinto(self, buffer):
            size = min(len(buffer), self.left)
            buffer[:size] = b"p" * size
            self.left -= size
            return size

    secure.upload_fileobj(Pipe(), bucket, key, Config=TransferConfig(use_threads=False))
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"p" * 300_000


def test_get(secure, direct, bucket, key):
    body = b"0123456789" * 300_000
    direct.put_object(Bucket=bucket, Key=key, Body=body)
    assert secure.get_object(Bucket=bucket, Key=key)["Body"].read() == body


def test_range(secure, direct, bucket, key):
    direct.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    assert secure.get_object(Bucket=bucket, Key=key, Range="bytes=2-4")["Body"].read() == b"234"


def test_multipart(secure, address, direct, bucket, key):
    parts = [b"a" * MIN_PART_BYTES, b"b" * 1000]
    upload = secure.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = upload_parts(secure, bucket, key, upload, parts)
    answer = secure.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    assert answer["Location"] == f"{address}/{bucket}/{key}"
    assert direct.get_object(Bucket=bucket, Key=key)["Body"].read() == b"".join(parts)


def test_error(secure, bucket, key):
    with refused("NoSuchKey", 404):
        secure.get_object(Bucket=bucket, Key=key)
