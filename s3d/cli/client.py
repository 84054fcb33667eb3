"""The command line's connection to the daemon: an S3 client, and a plain GET for `/_s3d/`.

The daemon is the first address of `S3D_ENDPOINT`. Requests are signed with `S3D_ACCESS_KEY_ID` and
`S3D_SECRET_ACCESS_KEY` when they are set and unsigned otherwise. Nothing of the AWS configuration of the shell is
used: its credentials are the remote's, and its proxies lead away from this machine.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import typer

from s3d import config as configuration
from s3d.cli.console import UNREACHABLE, USAGE, Failure
from s3d.config import Config
from s3d.values import Listener, bracketed

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 120.0
"""Longer than the daemon's own limits for the remote (60 s), so that its answer, not ours, tells what went wrong."""
PARALLEL_PARTS = 4


def load(context: typer.Context) -> Config:
    """The configuration of a client command. Rules that concern the daemon alone are not checked."""
    return configuration.read_sources(context.obj or {}, os.environ)


def daemon_address(config: Config) -> Listener:
    """The address that clients of this machine use: the first listener, with "all addresses" made loopback."""
    first = config.endpoint[0]
    if first.scheme == "unix":
        return first
    if first.port == 0:
        raise Failure("S3D_ENDPOINT has port 0: the daemon chose a free one. Give that with --endpoint.", USAGE)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(first.host, first.host)
    return Listener(first.scheme, host, first.port)


def connect(address: Listener) -> socket.socket:
    """A connected socket. Raises `Failure` with code 3 when nobody answers."""
    try:
        if address.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(CONNECT_TIMEOUT_S)
                connection.connect(address.path)
            except BaseException:
                connection.close()
                raise
            return connection
        return socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        reason = error.strerror or str(error)
        raise unreachable(address, reason) from None


def unreachable(address: Listener, reason: str) -> Failure:
    """The failure of every command when the daemon does not answer."""
    return Failure(
        f"s3d is not reachable at {address.url} ({reason}). Start it with `s3d run`, "
        "or give its address with S3D_ENDPOINT or --endpoint.",
        UNREACHABLE,
    )


def untrusted(url: str, error: object) -> Failure:
    """The failure of every command when TLS with the daemon does not come about."""
    return Failure(
        f"No trusted TLS connection to s3d at {url} ({error}). If its certificate is self-signed, set S3D_TLS_CERT "
        "to it.",
        UNREACHABLE,
    )


def tls_context(config: Config) -> ssl.SSLContext:
    """Trusts the system's CAs and the daemon's own certificate, which is often self-signed."""
    import ssl

    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    if config.tls_cert is not None and config.tls_cert.is_file():
        context.load_verify_locations(config.tls_cert)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def fetch(config: Config, path: str, timeout_s: float) -> tuple[int, bytes]:
    """GET one of the daemon's own endpoints: (status, body of at most 1 MiB)."""
    import http.client
    import ssl

    address = daemon_address(config)
    host = "localhost" if address.scheme == "unix" else address.host
    connection = http.client.HTTPConnection(host, address.port or None, timeout=timeout_s)
    plain_socket = connect(address)
    try:
        plain_socket.settimeout(timeout_s)
        tls = address.scheme == "https"
        connection.sock = tls_context(config).wrap_socket(plain_socket, server_hostname=host) if tls else plain_socket
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(2**20)
    except ssl.SSLError as error:
        raise untrusted(address.url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise unreachable(address, str(error) or type(error).__name__) from None
    finally:
        connection.close()
        plain_socket.close()


def s3_client(config: Config) -> Any:
    """A botocore S3 client of the daemon. Connects once first, so that a missing daemon is known at once."""
    import botocore.config
    import botocore.session
    from botocore import UNSIGNED

    address = daemon_address(config)
    connect(address).close()
    # A profile or file of the shell's AWS configuration, broken or not, is the remote's business.
    nothing: Any = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = botocore.session.Session(session_vars=nothing)
    identity = config.identity()
    unix = address.scheme == "unix"
    client = session.create_client(
        "s3",
        region_name=config.aws_region or "us-east-1",
        endpoint_url="http://localhost" if unix else f"{address.scheme}://{bracketed(address.host)}:{address.port}",
        aws_access_key_id=identity[0] if identity else None,
        aws_secret_access_key=identity[1].reveal() if identity else None,
        config=botocore.config.Config(
            signature_version="s3v4" if identity else UNSIGNED,
            s3={"addressing_style": "path", "disable_s3_express_session_auth": True},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 3, "mode": "standard"},
            max_pool_connections=PARALLEL_PARTS + 1,
            proxies={},
            inject_host_prefix=False,
        ),
    )
    if unix or address.scheme == "https":
        from s3d.cli.session import LocalSession

        client._endpoint.http_session = LocalSession(
            socket_path=address.path if unix else None,
            tls=None if unix else tls_context(config),
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            max_pool_connections=PARALLEL_PARTS + 1,
        )
    return client


def explain(error: Exception, address: str) -> Failure:
    """One sentence for an exception of botocore: what went wrong with `address`, and what to do."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return explain_answer(error, address)
    if isinstance(error, exceptions.ParamValidationError):
        reasons = str(error).removeprefix("Parameter validation failed:").strip().replace("\n", " ")
        return Failure(reasons, USAGE)
    if isinstance(error, exceptions.SSLError):
        return untrusted(error.kwargs["endpoint_url"].rstrip("/"), error.kwargs["error"])
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)):
        return Failure(f"s3d is not reachable ({error}). Start it with `s3d run`.", UNREACHABLE)
    if isinstance(error, (exceptions.ConnectionClosedError, exceptions.ResponseStreamingError)):
        return Failure(f"{address}: the connection broke before the transfer was complete; try again.")
    if isinstance(error, exceptions.IncompleteReadError):
        return Failure(f"{address}: the answer ended too early ({error}); try again.")
    if isinstance(error, exceptions.FlexibleChecksumError):
        return Failure(f"{address}: the bytes received do not match their checksum ({error}); try again.")
    return Failure(f"{address}: {error}")


def explain_answer(error: Any, address: str) -> Failure:
    """One sentence for an error that S3 answered with."""
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code", "unknown"))
    status = metadata.get("HTTPStatusCode", 0)
    message = str(details.get("Message") or "").rstrip(".")
    bucket = address.partition("/")[0]
    if code == "NoSuchBucket" or (code == "404" and "/" not in address):
        return Failure(f"There is no bucket {bucket!r}. `s3d ls` lists the buckets, `s3d mb {bucket}` makes one.")
    if code in ("NoSuchKey", "404", "NotFound"):
        return Failure(f"There is no object {address!r}. `s3d ls {bucket}` shows what the bucket holds.")
    if code == "BucketNotEmpty":
        return Failure(f"Bucket {bucket!r} is not empty; empty it first with `s3d rm -r {bucket}`.")
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return Failure(
            f"The request's signature was not accepted ({code}: {message}). Set S3D_ACCESS_KEY_ID and "
            "S3D_SECRET_ACCESS_KEY to those that the daemon was started with."
        )
    if status == 403:
        return Failure(
            f"Access to {address!r} is denied ({code}: {message}). If the daemon wants signed requests, set "
            "S3D_ACCESS_KEY_ID and S3D_SECRET_ACCESS_KEY; if the remote refuses, `s3d status` shows with which "
            "credentials s3d asks it."
        )
    if status == 503:
        return Failure(
            f"{address}: not available at the moment ({code}: {message}). `s3d status` says more; try again later."
        )
    request_id = metadata.get("RequestId")
    return Failure(
        f"{address}: {error.operation_name} failed: {message or 'no reason given'} "
        f"({code}, HTTP {status}{f', request {request_id}' if request_id else ''})."
    )
