"""A bucket of a million objects: made without HTTP, started, and read from a cold disk."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from bench.servers import Server
from bench.sides import name_of
from s3d._core.loadgen import Load
from s3d.cli.bench_run import Side, sign
from s3d.index.index import Index
from s3d.index.records import Bucket, Checksum, DataFile, Extent, Generation, State

BUCKET = "million"
GROUP = 5_000
PROBES_PER_S = 500.0
COLD_S = 4.0
COLD_CONNECTIONS = 8


def fill(home: Path, count: int) -> None:
    """Put ``count`` objects, as large as objects in files are, into the index of a new data directory."""
    uvloop.run(_fill(home, count))


async def _fill(home: Path, count: int) -> None:
    index = Index.open(home / "index", sync=False)
    try:
        index.create_bucket(Bucket(BUCKET, created_ms=1_700_000_000_000, region="us-east-1"))
        numbers = random.Random(0)
        for first in range(0, count, GROUP):
            for number in range(first, min(first + GROUP, count)):
                file = index.next_file()
                size = numbers.randrange(20_000, 50_000_000)
                generation = Generation(
                    number=index.next_generation(),
                    size_bytes=size,
                    etag=f"{numbers.getrandbits(128):032x}",
                    modified_ms=1_700_000_000_000 + number,
                    state=int(State.RESIDENT),
                    headers=((b"content-type", b"application/octet-stream"),),
                    checksum=Checksum("CRC64NVME", "0123456789A="),
                    owner="75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a",
                    extents=(Extent(file, 0, size),),
                )
                row = (file, DataFile(size, numbers.getrandbits(63)))
                index.put_object(BUCKET, name_of(number).encode(), generation, new_files=(row,))
            await index.durable()
    finally:
        index.close()


class Start(msgspec.Struct, frozen=True):
    """How long it took from the command to the first answer that says it is ready, and its memory then."""

    ready_s: float
    rss_bytes: int


def start(make: Callable[[], Server]) -> tuple[Server, Start]:
    """Start s3d on the bucket."""
    began_s = time.monotonic()
    server = make()
    ready_s = time.monotonic() - began_s
    return server, Start(ready_s, rss_bytes(server))


def rss_bytes(server: Server) -> int:
    """Resident memory of the process now."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


class Stalls(msgspec.Struct, frozen=True):
    """How long the event loop was busy with one thing, as a client of an endpoint without the index sees it."""

    reads: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def cold(server: Server, directory: Path, side: Side, count: int) -> Stalls:
    """Ask for random objects whose rows are on the disk only, and see how long others wait meanwhile."""
    forget(directory)
    return uvloop.run(_cold(server, side, count))


def forget(directory: Path) -> None:
    """Let the kernel drop what it has of these files in memory."""
    os.sync()
    for path in directory.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


async def _cold(server: Server, side: Side, count: int) -> Stalls:
    loop = asyncio.get_running_loop()
    places = random.Random(2)
    paths = [f"/{BUCKET}/{name_of(places.randrange(count))}" for _ in range(20_000)]
    reads = Load(loop, "127.0.0.1", server.port, sign(side, "HEAD", paths), bodiless=True, connections=COLD_CONNECTIONS)
    head = f"GET /_s3d/health/live HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    probes = Load(loop, "127.0.0.1", server.port, [head], connections=4, rate=PROBES_PER_S)
    try:
        await reads.open()
        await probes.open()
        reads.begin()
        probes.begin()
        await asyncio.sleep(COLD_S)
        probed, done = await probes.end(), await reads.end()
    finally:
        reads.close()
        probes.close()
    if done.errors or probed.errors:
        raise SystemExit(f"the reads from a cold index failed: {done.sample or probed.sample!r}")
    latency = probed.latency
    return Stalls(done.requests, latency.percentile(50) / 1e6, latency.percentile(99) / 1e6, latency.max_ns / 1e6)


def fill_elsewhere(home: Path, count: int) -> None:
    """`fill` in a process of its own, so that this one keeps its memory."""
    command = [sys.executable, "-c", f"from bench.million import *; fill(Path({str(home)!r}), {count})"]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
