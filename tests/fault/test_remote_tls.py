"""A remote over HTTPS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from fault.wire import GET, PUT, check_unavailable
from servers.daemon import S3dDaemon
from servers.raw import RawConnection, exchange
from servers.scripted import ScriptedRemote, answer_of


def test_an_https_remote_carries_large_bodies_both_ways(
    start_daemon: Callable[..., S3dDaemon], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    remote = ScriptedRemote(lambda exchange: exchange.send(answer_of(exchange.read_body())), tls=context)
    try:
        daemon = start_daemon(remote.endpoint, identity=None, env={"S3D_REMOTE_CA_BUNDLE": str(certificate)})
        for size in (0, 10, 100_000, 3_000_000):
            body = bytes(size)
            with RawConnection(daemon.endpoint) as client:
                for _ in range(2):
                    client.send(PUT.replace(b"Content-Length: 5", b"Content-Length: %d" % size)[:-5] + body)
                    assert client.read_response().body == body
        daemon.stop()
    finally:
        remote.close()


def test_an_https_remote_whose_certificate_nobody_knows_is_503(
    start_daemon: Callable[..., S3dDaemon], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    remote = ScriptedRemote(tls=context)
    try:
        daemon = start_daemon(remote.endpoint, until="live", identity=None)
        daemon.expect_log(" WARNING s3d.remote: ")
        check_unavailable(exchange(daemon.endpoint, GET))
        assert remote.exchanges == []
        daemon.stop()
    finally:
        remote.errors.clear()
        remote.close()
