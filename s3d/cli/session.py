"""botocore's HTTP session with the two things it lacks: unix sockets, and a TLS context of our choice."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import NewConnectionError


class LocalSession(URLLib3Session):  # type: ignore[misc]
    """Sends every `http://` request to the unix socket `socket_path`, or `https://` ones with the context `tls`."""

    def __init__(self, *, socket_path: str | None, tls: ssl.SSLContext | None, **options: Any) -> None:
        # The base class builds its connection manager, and asks for the context, while it is constructed.
        self._tls = tls
        super().__init__(**options)
        if socket_path is not None:
            self._manager.pool_classes_by_scheme = {"http": unix_pool(socket_path)}

    def _get_ssl_context(self) -> Any:
        return super()._get_ssl_context() if self._tls is None else self._tls


def unix_pool(socket_path: str) -> type:
    """A connection pool class whose connections go to one unix socket, whatever host the URL names."""

    class UnixConnection(AWSHTTPConnection):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                if isinstance(self.timeout, (int, float)):
                    connection.settimeout(self.timeout)
                connection.connect(socket_path)
            except OSError as error:
                connection.close()
                raise NewConnectionError(self, f"{socket_path}: {error}") from error
            return connection

    class UnixPool(AWSHTTPConnectionPool):  # type: ignore[misc]
        ConnectionCls = UnixConnection

    return UnixPool
