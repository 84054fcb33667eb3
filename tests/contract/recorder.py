"""An upstream that writes down, byte for byte, what s3d sends it: for what real stores will not store or not show."""

from __future__ import annotations

import queue
import re
import socket
import threading
from dataclasses import dataclass

from contract.wire import signature_of, signing_key
from servers.process import HOST
from servers.remotes import Credentials

OK = b'HTTP/1.1 200 OK\r\nETag: "0123"\r\nx-amz-request-id: REC\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'


@dataclass
class Recorded:
    """One request as it came: `headers` in order, names in lower case; `body` still in its framing."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that must not come twice."""
        values = [value for one, value in self.headers if one == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[str]:
        return [part for part in self.target.partition("?")[2].split("&") if part]

    def assert_signed(self, credentials: Credentials) -> None:
        """Its SigV4 signature is made with these credentials and covers every x-amz-* header."""
        authorization = self.header("authorization") or ""
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/([^/]+)/s3/aws4_request), ?SignedHeaders=([a-z0-9;-]+), ?"
            r"Signature=([0-9a-f]{64})",
            authorization,
        )
        assert match, authorization
        access_key_id, scope, region, names, signature = match.groups()
        assert access_key_id == credentials.access_key_id
        signed = names.split(";")
        must = {name for name, _ in self.headers if name.startswith("x-amz-")} | {"host"}
        assert must <= set(signed)
        key = signing_key(credentials, self.header("x-amz-date") or "", region)
        assert key.scope == scope
        payload = self.header("x-amz-content-sha256") or ""
        assert signature_of(self.method, self.target, self.headers, signed, payload, key) == signature


class Recorder:
    """Listens on `endpoint`; `take` hands out the requests in the order in which they came."""

    def __init__(self) -> None:
        self.answer = OK
        self._requests: queue.Queue[Recorded] = queue.Queue()
        self._listener = socket.create_server((HOST, 0))
        self.endpoint = f"http://{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def take(self) -> Recorded:
        """The next request; its connection is closed by now."""
        return self._requests.get(timeout=10)

    def nothing_came(self) -> bool:
        """Whether there is no request that nobody took."""
        return self._requests.empty()

    def forget(self) -> None:
        """Drops what nobody took, and what it was told to answer."""
        self.answer = OK
        while not self._requests.empty():
            self._requests.get()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        request = None
        with connection:
            connection.settimeout(10)
            try:
                request = self._read(connection)
                if request is not None:
                    connection.sendall(self.answer)
            except OSError:
                # Given up by s3d, as it must for a bad body: not a request that came.
                request = None
        # s3d asks for "/" by itself, to see whether its remote is there.
        if request is not None and request.path != "/":
            self._requests.put(request)

    @staticmethod
    def _read(connection: socket.socket) -> Recorded | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        fields = dict(headers)
        if fields.get("expect"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(fields.get("content-length", "0"))
        while len(body) < length:
            piece = connection.recv(65536)
            if not piece:
                return None
            body += piece
        return Recorded(method, target, headers, body)
