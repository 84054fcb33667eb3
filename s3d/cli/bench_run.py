"""Runs one S3 workload against one or more endpoints, in turns, and keeps what each turn measured.

The machine that measures is never quiet, and slow minutes come in runs. Each side therefore gets a short slice of time,
then the next side one, round after round (A B A B …): whatever disturbs one side disturbs the others too, and the ratio
of two sides within one round says more than either figure. Connections stay open over the whole run.

Requests are signed before a slice begins, never during it; progress is reported, and garbage collected, only between
slices.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import random
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3d._core.loadgen import Load
from s3d._core.tally import Histogram, Tally

Operation = Literal["get", "put", "head", "range"]
OPERATIONS: tuple[Operation, ...] = ("get", "put", "head", "range")

BODY_BYTES = 1 << 20
"""Bodies are read from one random buffer of this size, over and over: it stays in a core's cache."""

PREPARE_CONNECTIONS = 8
RESIGN_S = 240.0
"""Signatures are good for 15 minutes; they are made anew between two slices when they are this old."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


class BenchError(Exception):
    """The benchmark cannot be run; the text says why, with what the server answered."""


class Side(msgspec.Struct, frozen=True):
    """One endpoint under test, and the processes whose CPU time is to be counted (with their descendants)."""

    name: str
    url: str
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    region: str = "us-east-1"
    pids: tuple[int, ...] = ()

    @property
    def signed(self) -> bool:
        return bool(self.access_key)


class Workload(msgspec.Struct, frozen=True):
    """What every side is asked to do. ``bucket`` "": one is created for the run, and deleted after it."""

    operation: Operation
    size_bytes: int = 4096
    objects: int = 1000
    connections: int = 32
    duration_s: float = 10.0
    slice_s: float = 1.0
    warmup_s: float = 1.0
    rate: float = 0.0
    range_bytes: int = 4096
    timeout_s: float = 30.0
    sign_payload: bool = False
    bucket: str = ""

    @property
    def rounds(self) -> int:
        """How many slices each side gets."""
        return max(1, round(self.duration_s / self.slice_s))

    @property
    def body_bytes(self) -> int:
        """Body bytes that one request moves, in whichever direction."""
        match self.operation:
            case "head":
                return 0
            case "range":
                return min(self.range_bytes, self.size_bytes)
            case _:
                return self.size_bytes


class Slice(msgspec.Struct, frozen=True):
    """What one side did in one slice. ``cpu_s`` is None when no process was named."""

    requests: int
    body_bytes: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s: float | None

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.elapsed_s if self.elapsed_s else 0.0


class Outcome:
    """All that one side did: its slices in order, and over all of them the latencies and errors."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.slices: list[Slice] = []
        self.latency = Histogram()
        self.errors = dict.fromkeys(
            ("wrong_status", "wrong_length", "malformed", "disconnects", "timeouts", "connect_failures"), 0
        )
        self.backlog = 0
        self.sample = b""

    def add(self, tally: Tally, cpu_s: float | None) -> None:
        """Count one finished slice."""
        self.slices.append(
            Slice(
                requests=tally.requests,
                body_bytes=tally.bytes_in + tally.bytes_out,
                elapsed_s=tally.elapsed_s,
                p50_ms=tally.latency.percentile(50) / 1e6,
                p99_ms=tally.latency.percentile(99) / 1e6,
                errors=tally.errors,
                cpu_s=cpu_s,
            )
        )
        self.latency.merge(tally.latency)
        for name in self.errors:
            self.errors[name] += getattr(tally, name)
        self.backlog += tally.backlog
        self.sample = self.sample or tally.sample

    @property
    def requests(self) -> int:
        return sum(piece.requests for piece in self.slices)

    @property
    def cpu_s_per_request(self) -> float | None:
        """CPU-seconds that the named processes used for one request; None when none was named."""
        used = [piece.cpu_s for piece in self.slices if piece.cpu_s is not None]
        return sum(used) / self.requests if used and self.requests else None


class PresetHashAuth(S3SigV4Auth):  # type: ignore[misc]
    """botocore's signer, told what the body hashes to: the bodies here are never in its hands."""

    def __init__(self, side: Side, payload_hash: str) -> None:
        super().__init__(Credentials(side.access_key, side.secret_key, side.session_token or None), "s3", side.region)
        self._payload_hash = payload_hash

    def payload(self, request: object) -> str:
        return self._payload_hash


def sign(
    side: Side,
    method: str,
    paths: Sequence[str],
    *,
    body_bytes: int = 0,
    payload_hash: str = EMPTY_SHA256,
    fields: Sequence[tuple[str, str]] = (),
) -> list[bytes]:
    """Whole request heads for these paths (percent-encoded, with their query), signed now if the side has a key."""
    where = urlsplit(side.url)
    host = where.netloc.rpartition("@")[2]
    signer = PresetHashAuth(side, payload_hash) if side.signed else None
    heads = []
    for path in paths:
        request = AWSRequest(method=method, url=f"{where.scheme}://{host}{path}")
        for name, value in fields:
            request.headers[name] = value
        if signer is not None:
            signer.add_auth(request)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        if method in ("PUT", "POST"):
            lines.append(f"Content-Length: {body_bytes}")
        heads.append("\r\n".join([*lines, "", ""]).encode("latin-1"))
    return heads


def hash_of(body: bytes, size_bytes: int) -> str:
    """The SHA-256 of ``size_bytes`` read from ``body`` over and over."""
    digest = hashlib.sha256()
    whole, rest = divmod(size_bytes, len(body))
    for _ in range(whole):
        digest.update(body)
    digest.update(body[:rest])
    return digest.hexdigest()


def family(pids: Sequence[int]) -> set[int]:
    """These processes and all their living descendants."""
    found: set[int] = set()
    open_pids = list(pids)
    while open_pids:
        pid = open_pids.pop()
        if pid in found:
            continue
        found.add(pid)
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                open_pids += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return found


def cpu_clock(pids: Sequence[int]) -> float:
    """CPU seconds used so far by these processes, their threads and their living descendants.

    It reads each process's own CPU clock, which counts in nanoseconds where /proc/PID/stat counts ticks of 10 ms. The
    clock's id is the kernel's encoding of a pid (``MAKE_PROCESS_CPUCLOCK`` in linux/posix-timers.h, CPUCLOCK_SCHED).
    """
    used_s = 0.0
    for pid in family(pids):
        try:
            used_s += time.clock_gettime(~pid << 3 | 2)
        except OSError:
            continue  # it has ended meanwhile
    return used_s


class Contender:
    """One side during a run: its bucket, its signed requests, its load."""

    def __init__(self, side: Side, workload: Workload, bucket: str, prefix: str, body: bytes) -> None:
        self.side = side
        self.workload = workload
        self.outcome = Outcome(side)
        self.owns_bucket = not workload.bucket
        self.bucket = bucket
        self.body = body
        self.paths = [f"/{bucket}/{quote(prefix)}{number:06d}" for number in range(workload.objects)]
        self.signed_at = 0.0
        self.load: Load | None = None
        if workload.sign_payload:
            self.payload_hash = hash_of(body, workload.size_bytes)
        else:
            self.payload_hash = UNSIGNED
        where = urlsplit(side.url)
        self.host = where.hostname or ""
        self.port = where.port or (443 if where.scheme == "https" else 80)
        self.tls: ssl.SSLContext | None = None
        if where.scheme == "https":
            self.tls = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))

    def connect(self, heads: list[bytes], **options: Any) -> Load:
        """A load of these heads at this side's address, not yet open."""
        return Load(
            asyncio.get_running_loop(),
            self.host,
            self.port,
            heads,
            tls=self.tls,
            timeout_s=self.workload.timeout_s,
            **options,
        )

    async def once(self, doing: str, heads: list[bytes], **options: Any) -> None:
        """Send each head once; raises BenchError when any is not answered as expected."""
        load = self.connect(heads, connections=min(PREPARE_CONNECTIONS, len(heads)), **options)
        try:
            await load.open()
            tally = await load.run_once()
        except (OSError, ssl.SSLError) as error:
            raise BenchError(f"{self.side.name}: cannot connect to {self.side.url}: {error}") from error
        finally:
            load.close()
        if tally.errors or tally.requests < len(heads):
            raise BenchError(f"{self.side.name}: {doing} failed: {explain(tally)}")

    def upload_heads(self) -> list[bytes]:
        size = self.workload.size_bytes
        return sign(self.side, "PUT", self.paths, body_bytes=size, payload_hash=self.payload_hash)

    def heads(self) -> list[bytes]:
        """The workload's requests, signed now."""
        self.signed_at = time.monotonic()
        match self.workload.operation:
            case "put":
                return self.upload_heads()
            case "head":
                return sign(self.side, "HEAD", self.paths)
            case "range":
                span = self.workload.body_bytes
                last = max(1, self.workload.size_bytes // span) if span else 1
                heads = []
                for number, path in enumerate(self.paths):
                    start = number % last * span
                    heads += sign(self.side, "GET", [path], fields=[("Range", f"bytes={start}-{start + span - 1}")])
                return heads
            case _:
                return sign(self.side, "GET", self.paths)

    async def make(self) -> None:
        """Create bucket and objects."""
        workload = self.workload
        if self.owns_bucket:
            body = b""
            if self.side.region != "us-east-1":
                body = (
                    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>'
                    f"{self.side.region}</LocationConstraint></CreateBucketConfiguration>"
                ).encode()
            heads = sign(
                self.side,
                "PUT",
                [f"/{self.bucket}"],
                body_bytes=len(body),
                payload_hash=hashlib.sha256(body).hexdigest(),
            )
            await self.once(f"creating the bucket {self.bucket}", heads, body=body, body_size=len(body))
        if workload.operation != "put":
            await self.once("preparing the objects", self.upload_heads(), body=self.body, body_size=workload.size_bytes)

    async def open(self) -> None:
        """Open the connections."""
        workload = self.workload
        options: dict[str, Any] = {"expected_bytes": workload.body_bytes}
        if workload.operation == "put":
            options = {"body": self.body, "body_size": workload.size_bytes}
        elif workload.operation == "head":
            options = {"bodiless": True}
        elif workload.operation == "range":
            options["expected_status"] = 206
        load = self.connect(self.heads(), connections=workload.connections, rate=workload.rate, **options)
        try:
            await load.open()
        except OSError as error:
            raise BenchError(f"{self.side.name}: cannot connect to {self.side.url}: {error}") from error
        self.load = load

    async def turn(self, seconds: float, *, count: bool) -> None:
        """One slice; a warm-up when it is not counted."""
        load = self.load
        assert load is not None, "open() comes first"
        if self.side.signed and time.monotonic() - self.signed_at > RESIGN_S:
            load.replace(self.heads())
        gc.collect(0)
        before_s = cpu_clock(self.side.pids) if self.side.pids else 0.0
        load.begin()
        await asyncio.sleep(seconds)
        tally = await load.end()
        used_s = cpu_clock(self.side.pids) - before_s if self.side.pids else None
        if count:
            self.outcome.add(tally, used_s)
        elif tally.requests == 0:
            raise BenchError(f"{self.side.name}: no request of the warm-up succeeded: {explain(tally)}")

    def close(self) -> None:
        """Close the connections."""
        if self.load is not None:
            self.load.close()

    async def clean(self) -> None:
        """Delete what `make` and the workload made."""
        # DELETE of a key that was never written is answered 204 too, so that a broken run is cleaned as a whole one.
        await self.once("deleting the objects", sign(self.side, "DELETE", self.paths), expected_status=204)
        if self.owns_bucket:
            heads = sign(self.side, "DELETE", [f"/{self.bucket}"])
            await self.once(f"deleting the bucket {self.bucket}", heads, expected_status=204)


def explain(tally: Tally) -> str:
    """What went wrong, in words: the errors by class and the beginning of an unexpected answer."""
    counts = {
        "an unexpected status": tally.wrong_status,
        "a body of the wrong length": tally.wrong_length,
        "a malformed answer": tally.malformed,
        "a broken connection": tally.disconnects,
        "a time-out": tally.timeouts,
        "a failed connect": tally.connect_failures,
    }
    said = ", ".join(f"{count} × {name}" for name, count in counts.items() if count) or "no answer"
    if tally.sample:
        said += "; the first unexpected answer: " + tally.sample.decode("utf-8", "replace").replace("\r\n", " | ")
    return said


async def compare(
    sides: Sequence[Side],
    workload: Workload,
    on_turn: Callable[[Outcome, int, int], None] = lambda *_: None,
    contend: Callable[[Side, Workload, str, str, bytes], Contender] = Contender,
) -> list[Outcome]:
    """Run the workload on every side in turns; returns one Outcome per side, in their order.

    ``on_turn(outcome, turns_done, turns_in_all)`` is called between slices; ``contend(side, workload, bucket, prefix,
    body)`` makes each side's contender, for sides that take no uploads or do something else altogether.

    Buckets and objects of the run are deleted at its end, on cancellation too. Raises BenchError when a side cannot be
    prepared or answers nothing as expected.
    """
    body = os.urandom(BODY_BYTES)
    token = secrets.token_hex(6)
    contenders = [
        contend(side, workload, workload.bucket or f"s3d-bench-{token}-{number}", f"s3d-bench-{token}/{number}/", body)
        for number, side in enumerate(sides)
    ]
    started: list[Contender] = []
    collecting = gc.isenabled()
    try:
        for contender in contenders:
            started.append(contender)
            await contender.make()
            await contender.open()
        gc.collect()
        gc.disable()
        if workload.warmup_s:
            for contender in contenders:
                await contender.turn(workload.warmup_s, count=False)
        turns = workload.rounds * len(contenders)
        # In another order each round: whoever follows a side that leaves its core idle pays for waking the core up.
        orders = random.Random(0)
        for number in range(workload.rounds):
            for place, contender in enumerate(orders.sample(contenders, len(contenders)), 1):
                await contender.turn(workload.slice_s, count=True)
                on_turn(contender.outcome, number * len(contenders) + place, turns)
    finally:
        if collecting:
            gc.enable()
        for contender in started:
            contender.close()
            try:
                await contender.clean()
            except BenchError:
                # A failed run's own error matters more; a good run must say what it could not remove.
                if all(len(each.outcome.slices) == workload.rounds for each in contenders):
                    raise
    return [contender.outcome for contender in contenders]
