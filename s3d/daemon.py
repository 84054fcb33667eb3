"""The composition root: builds s3d from its configuration, starts it, stops it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import hashlib
import logging
import os
import resource
import signal
import sys
import time
from typing import Any

import botocore.session
import uvloop
from botocore.exceptions import BotoCoreError

from s3d import __version__, crash_point
from s3d._core.route import Router
from s3d._core.server import Service
from s3d.auth.authenticate import Authenticator
from s3d.auth.identity import Identity
from s3d.config import Config
from s3d.gateway.gateway import Gateway, Operations
from s3d.gateway.local.house import House
from s3d.gateway.standalone import Standalone
from s3d.objects.local import LocalError, LocalObjects
from s3d.remote.client import Remote, RemoteLimits
from s3d.remote.connect import tls_context
from s3d.s3.operations import load_operations
from s3d.server.dispatch import Dispatcher, refuse
from s3d.server.hosts import Hosts
from s3d.server.internal import Internal
from s3d.server.listen import ListenError, listen_tcp, listen_unix, remove_socket, server_context

_log = logging.getLogger("s3d")

ROOT_ID = hashlib.sha256(b"s3d root").hexdigest()
"""Canonical user id of the root identity: owns everything, whatever its access key is at the time."""

_MAX_FILES = 65536
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0 after a clean end, 1 if s3d could not start."""
    logging.basicConfig(
        stream=sys.stderr, level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    _tune_process()
    if config.testing and config.crash_at is not None:
        crash_point.arm(config.crash_at)
    try:
        return uvloop.run(Daemon(config).serve())
    except (ListenError, LocalError, BotoCoreError) as error:
        _log.error("s3d cannot start: %s", error)
        return 1


def _tune_process() -> None:
    """Keep freed buffers of up to 8 MiB in the heap instead of asking the kernel for them again and again.

    Bodies pass through as 256 KiB pieces; giving each back costs up to five times the CPU of moving it. 16 MiB at the
    top of the heap stay ours, which bounds what that costs in memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none, and needs none
        mallopt(_M_MMAP_THRESHOLD, 8 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)
    # A connection takes one descriptor, and up to two more for its body and the remote's side.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    # Nothing on the request path makes cycles; collecting young objects each 700 allocations only costs.
    gc.set_threshold(20_000, 20, 50)


class Daemon:
    """One running s3d. Builds every part from ``config`` and hands each what it needs."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._started_s = time.monotonic()
        self._auth = config.resolve_auth()
        self._ready = False
        self._remote: Remote | None = None
        self._local: LocalObjects | None = None
        self._service: Service | None = None

    async def serve(self) -> int:
        """Start, serve until told to stop, stop.

        Raises `ListenError`, `LocalError` or botocore's errors if it cannot start.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, stop)
        servers: list[asyncio.AbstractServer] = []
        try:
            # Opening the index, or finding credentials by somebody else's program or network, may take long.
            starting = asyncio.ensure_future(self._start())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait((starting,))
                return 0
            stopping.cancel()
            operations = starting.result()
            self._service = service = self._build_service(loop, operations)
            servers += await self._listen(service)
            self._ready = True
            gc.collect()
            gc.freeze()
            _log.info("s3d %s serves %s, %s", __version__, self._addresses(), self._destination())
            if self._local is not None:
                self._local.begin()
            await stop.wait()
            self._ready = False
            await self._finish(servers)
        finally:
            for server in servers:
                server.close()
            if self._remote is not None:
                await self._remote.close()
            if self._local is not None:
                await self._local.close()
        _log.info("s3d has stopped")
        return 0

    async def _start(self) -> Operations:
        """Bring up what requests are answered from: a remote, or local objects."""
        config = self._config
        self._operations = load_operations()
        if config.standalone:
            self._local = await LocalObjects.open(
                config.local_dir,
                inline_size_bytes=config.inline_size_bytes,
                sync=config.write_queue_sync,
                reserve_bytes=config.disk_reserve_bytes,
            )
            house = House(
                self._local.engine,
                owner_id=ROOT_ID,
                owner_name="root",
                region=config.aws_region or "us-east-1",
                max_object_size_bytes=config.max_object_size_bytes,
                encryption=config.standalone_sse_s3,
            )
            return Standalone(house, self._operations)
        self._remote = self._build_remote()
        await self._remote.start()
        return Gateway(self._remote, self._operations, max_object_size_bytes=config.max_object_size_bytes)

    def _told_to_stop(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            _log.warning("told to stop a second time: cutting the requests in flight")
            if self._service is not None:
                self._service.abort()
        stop.set()

    def _build_remote(self) -> Remote:
        config = self._config
        session = botocore.session.Session()
        region = config.aws_region or session.get_config_variable("region") or "us-east-1"
        return Remote(
            session,
            url=config.s3_endpoint,
            region=region,
            addressing=config.remote_addressing,
            tls=tls_context(config.remote_ca_bundle, config.remote_verify_tls),
            limits=RemoteLimits(
                connections=config.remote_connections,
                retries=config.remote_retries,
                connect_timeout_s=config.remote_connect_timeout_s,
                first_byte_timeout_s=config.remote_read_timeout_s,
                stall_timeout_s=config.remote_stall_timeout_s,
                total_timeout_s=config.remote_total_timeout_s,
            ),
        )

    def _build_service(self, loop: asyncio.AbstractEventLoop, answering: Operations) -> Service:
        config, operations = self._config, self._operations
        identities = []
        if config.access_key_id is not None and config.secret_access_key is not None:
            identities.append(
                Identity(
                    access_key_id=config.access_key_id,
                    secret_access_key=config.secret_access_key.reveal(),
                    is_root=True,
                )
            )
        names = [listener.host for listener in config.endpoint if listener.host]
        dispatcher = Dispatcher(
            answering,
            operations,
            Router(operations.routes, config.domain),
            Authenticator(self._auth, identities, take_any=config.standalone),
            Hosts(config.domain, (*config.allowed_hosts, *names)),
            Internal(self.status),
        )
        return Service(
            dispatcher, refuse, loop=loop, operations=len(operations), max_connections=config.max_connections,
            max_head_size=config.max_header_size_bytes, head_timeout_s=config.header_timeout_s,
            idle_timeout_s=config.idle_timeout_s, body_timeout_s=config.body_timeout_s,
        )  # fmt: skip

    async def _listen(self, service: Service) -> list[asyncio.AbstractServer]:
        config = self._config
        tls = None
        if config.tls_cert is not None and config.tls_key is not None:
            tls = server_context(config.tls_cert, config.tls_key)
        servers: list[asyncio.AbstractServer] = []
        for listener in config.endpoint:
            if listener.scheme == "unix":
                servers.append(await listen_unix(service, listener.path))
            else:
                secure = tls if listener.scheme == "https" else None
                servers.append(await listen_tcp(service, listener.url, listener.host, listener.port, secure))
        return servers

    async def _finish(self, servers: list[asyncio.AbstractServer]) -> None:
        """Take no more, finish what is in flight, cut what takes too long."""
        timeout_s = self._config.shutdown_timeout_s
        for server in servers:
            server.close()
        for listener in self._config.endpoint:
            if listener.scheme == "unix":
                remove_socket(listener.path)
        service = self._service
        assert service is not None
        drained = service.close()
        if not drained.done():
            _log.info("stopping: %d requests are in flight", service.active_requests)
        try:
            await asyncio.wait_for(asyncio.shield(drained), timeout_s)
        except TimeoutError:
            _log.warning("cutting %d connections after %g s", service.open_connections, timeout_s)
            service.abort()
            await drained

    def _addresses(self) -> str:
        return ", ".join(listener.url for listener in self._config.endpoint)

    def _destination(self) -> str:
        if self._remote is None:
            where = f"standalone, with the objects in {self._config.local_dir}"
        else:
            endpoints = self._remote.endpoints
            where = f"forwarding to {endpoints.url or f'AWS, region {endpoints.region}'}"
        return f"{where}; clients' signatures are {'checked' if self._auth == 'sigv4' else 'not checked'}"

    def status(self) -> dict[str, Any]:
        """The state of everything as plain data, for ``/_s3d/status``. No secrets."""
        config, service = self._config, self._service
        assert service is not None  # which is whose endpoint this answers
        meter = service.meter
        rows = {
            operation.name: meter.read(operation.index) for operation in self._operations
        } | {"other": meter.read(len(self._operations))}  # fmt: skip
        rows = {name: row for name, row in rows.items() if row["requests"]}
        parts: dict[str, Any] = {}
        verdict = "ok"
        if self._remote is not None:
            parts |= remote_status(self._remote)
            if parts["credentials"]["state"] != "ok" or parts["remote"]["state"] == "offline":
                verdict = "failing"
            elif parts["remote"]["state"] != "online":
                verdict = "degraded"
        if self._local is not None:
            parts["local"] = self._local.status()
            verdict = parts["local"]["health"]
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "mode": "standalone" if config.standalone else "gateway",
            "endpoint": [listener.url for listener in config.endpoint],
            "auth": self._auth,
            "ready": self._ready,
            "health": verdict,
            **parts,
            "connections": {"open": service.open_connections, "max": config.max_connections},
            "requests": {
                "total": sum(row["requests"] for row in rows.values()),
                "refused": sum(row["client_errors"] for row in rows.values()),
                "errors": sum(row["server_errors"] for row in rows.values()),
                "by_operation": {name: row["requests"] for name, row in rows.items()},
            },
        }


def remote_status(remote: Remote) -> dict[str, Any]:
    """How the remote and its credentials are."""
    health, credentials = remote.health, remote.credentials
    current = credentials.current
    return {
        "remote": {
            "endpoint": remote.endpoints.url or "AWS",
            "region": remote.endpoints.region,
            "state": health.state,
            "since_s": round(time.monotonic() - health.since_s, 3),
            "last_error": health.last_error,
            "latency_ms": None if health.latency_s is None else round(health.latency_s * 1000, 3),
            "connections": remote.open_connections,
        },
        "credentials": {
            "source": credentials.source,
            "access_key_id": current.access_key.decode() if current is not None else None,
            "expires_in_s": credentials.expires_in_s,
            "state": credentials.state,
            "error": credentials.error,
        },
    }
