"""The servers that a measurement needs, on free loopback ports: an upstream, nginx, s3d."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from s3d.cli.bench_run import family

HERE = Path(__file__).parent
START_S = 20.0
STOP_S = 10.0

NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; client_max_body_size 0;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  {content}
}}
"""
PROXY = """
  upstream store {{
    server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://store; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
      # Stream both ways, as a gateway must; buffers large enough for a 4 KiB object with its head in one read.
      proxy_request_buffering off; proxy_max_temp_file_size 0;
      proxy_buffer_size 16k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;
    }}
  }}
"""
FILES = """
  # At its best: files stay open, and a file's head and first bytes leave in one packet.
  tcp_nopush on; open_file_cache max=10000; open_file_cache_valid 600s;
  server {{ listen 127.0.0.1:{port}; root {root}; default_type application/octet-stream; }}
"""


class Server:
    """A process that this one started, and the address it serves."""

    def __init__(self, name: str, process: subprocess.Popen[str], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pin(self, cores: Iterable[int]) -> None:
        """Let it, its children and all their threads run on these cores only."""
        allowed = set(cores)
        for pid in family([self.process.pid]):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setaffinity(int(thread.name), allowed)
                except ProcessLookupError:
                    continue  # a thread that has just ended needs no core

    def stop(self) -> None:
        """End it, by force when it does not go by itself."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A loopback port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_upstream(directory: Path) -> Server:
    """Compile and start ``upstream.c``."""
    binary = directory / "upstream"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("The upstream of the measurements is a C program, and there is no C compiler here.")
    subprocess.run([compiler, "-O2", "-o", str(binary), str(HERE / "upstream.c")], check=True)
    process = subprocess.Popen([str(binary)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server("direct", process, int(process.stdout.readline().split()[1]))


def start_nginx(directory: Path, upstream: Server) -> Server | None:
    """nginx with one worker that passes everything on to the upstream, unsigned; None when it is not installed."""
    port = free_port()
    return run_nginx(directory, port, PROXY.format(upstream=upstream.port, port=port))


def start_nginx_files(directory: Path, root: Path) -> Server | None:
    """nginx with one worker that serves the files below ``root`` by sendfile; None when it is not installed."""
    port = free_port()
    return run_nginx(directory, port, FILES.format(root=root, port=port))


def run_nginx(directory: Path, port: int, content: str) -> Server | None:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if binary is None:
        return None
    home = directory / "nginx"
    home.mkdir()
    text = NGINX.format(directory=home, content=content)
    if os.geteuid() == 0:
        text = "user root;" + text  # its default user could not enter the directory
    (home / "nginx.conf").write_text(text)
    process = subprocess.Popen([binary, "-p", str(home), "-c", str(home / "nginx.conf")], text=True)
    return wait(Server("nginx", process, port), "/")


def start_s3d(directory: Path, upstream: Server, access_key: str, secret_key: str) -> Server:
    """s3d as a gateway to the upstream: signatures verified from the client, made for the upstream."""
    settings = {
        "S3_ENDPOINT": upstream.url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return run_s3d("s3d", directory / "s3d", access_key, secret_key, settings)


def start_standalone(name: str, home: Path, access_key: str, secret_key: str, **settings: str) -> Server:
    """s3d with its objects in ``home``, and no remote: every request's signature is verified."""
    return run_s3d(name, home, access_key, secret_key, {"S3D_STANDALONE": "true"} | settings)


def run_s3d(name: str, home: Path, access_key: str, secret_key: str, settings: dict[str, str]) -> Server:
    port = free_port()
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3D_", "S3_", "OTEL_"))}
    environment = kept | {
        "S3D_ENDPOINT": f"http://127.0.0.1:{port}",
        "S3D_LOCAL_DIR": str(home),
        "S3D_AUTH": "sigv4",
        "S3D_ACCESS_KEY_ID": access_key,
        "S3D_SECRET_ACCESS_KEY": secret_key,
    }
    said = home / "log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "s3d", "run"],
            env=environment | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        return wait(Server(name, process, port), "/_s3d/health/ready")
    except SystemExit as error:
        raise SystemExit(f"{error}\n{said.read_text()[-2000:]}") from None


def wait(server: Server, path: str) -> Server:
    """Wait until it answers at all; stop it and give up when it does not in time."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(server.url + path, timeout=2):
                return server
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return server
        except OSError:
            pass  # not listening yet
        time.sleep(0.01)
    server.stop()
    raise SystemExit(f"{server.name} did not start within {START_S:g} s.")
