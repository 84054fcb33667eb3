"""The remote behind an HTTP proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.daemon import S3dDaemon
from servers.raw import RawConnection
from servers.scripted import ScriptedRemote, answer_of
from servers.tunnel import TunnelProxy

PUT = b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
GET = b"GET /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def proxy() -> Iterator[TunnelProxy]:
    proxy = TunnelProxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_the_proxy(
    scheme: str, start_daemon: Callable[..., S3dDaemon], proxy: TunnelProxy, certificate: Path
) -> None:
    context = None
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    remote = ScriptedRemote(lambda exchange: exchange.send(answer_of(exchange.read_body() or b"hello")), tls=context)
    try:
        variable = f"{scheme.upper()}_PROXY"
        url = proxy.url.replace("http://", "http://user:se%20cret@")
        environment = {variable: url, "S3D_REMOTE_CA_BUNDLE": str(certificate)}
        daemon = start_daemon(remote.endpoint, identity=None, env=environment)
        with RawConnection(daemon.endpoint) as client:
            for size in (10, 1_000_000):
                client.send(PUT % size + bytes(size))
                assert client.read_response().body == bytes(size)
            client.send(GET)
            assert client.read_response().body == b"hello"
        assert set(proxy.targets) == {remote.endpoint.partition("//")[2]}
        # RFC 7617: user:se cret
        assert all(b"Proxy-Authorization: Basic dXNlcjpzZSBjcmV0\r\n" in head for head in proxy.heads)
        daemon.stop()
    finally:
        remote.close()


def test_a_proxy_that_refuses_is_503(start_daemon: Callable[..., S3dDaemon], scripted: ScriptedRemote) -> None:
    proxy = TunnelProxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    try:
        daemon = start_daemon(
            scripted.endpoint, until="live", identity=None, env={"HTTP_PROXY": proxy.url},
            expect_log=("the remote is offline",),
        )  # fmt: skip
        with RawConnection(daemon.endpoint) as client:
            client.send(GET)
            answer = client.read_response()
        assert answer.status == 503
        assert b"407 Proxy Authentication Required" in answer.body
        daemon.stop()
    finally:
        proxy.close()
