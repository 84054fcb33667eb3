"""An HTTP server that answers every request with what the test gave it, on a free port or a unix socket."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers (Content-Length is added when it is not there), body."""


class Answer(BaseHTTPRequestHandler):
    """Answers every request with what the server was given for it; keeps what was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        status, headers, reply = self.server.reply(self.command, self.path, body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(reply)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)
        if int(headers.get("Content-Length", len(reply))) != len(reply):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""

    def address_string(self) -> str:
        return "client"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(reply: Callable[[str, str, bytes], Reply], path: Path | None = None) -> Iterator[tuple[str, list]]:
    """A server on a free port, or the unix socket `path`: (its S3D_ENDPOINT, the requests it saw)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer) if path is None else UnixServer(str(path), Answer)
    server.reply, server.asked = reply, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        where = f"unix://{path}" if path else f"http://127.0.0.1:{server.server_address[1]}"
        yield where, server.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
