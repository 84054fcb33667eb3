"""What stands beside s3d in the standalone suite and is no S3 server: files for nginx, the disk alone, listings."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from s3d.cli.bench_run import Contender, Side, Slice, Workload, sign

BATCH = 500
"""Heads of listings that are signed at a time."""


class Files(Contender):
    """nginx: the objects are files below ``root``, made without it."""

    def __init__(self, root: Path, side: Side, workload: Workload, bucket: str, prefix: str, body: bytes) -> None:
        super().__init__(side, workload, bucket, prefix, body)
        self._root = root

    async def make(self) -> None:
        whole, rest = divmod(self.workload.size_bytes, len(self.body))
        for path in self.paths:
            file = self._root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as out:
                for _ in range(whole):
                    out.write(self.body)
                out.write(self.body[:rest])

    async def clean(self) -> None:
        shutil.rmtree(self._root / self.bucket)


class Disk(Contender):
    """The disk's own limit: one writer that makes each write durable before the next."""

    def __init__(
        self, write: Callable[[], None], side: Side, workload: Workload, bucket: str, prefix: str, body: bytes
    ) -> None:
        super().__init__(side, workload, bucket, prefix, body)
        self._write = write

    async def make(self) -> None:
        """Nothing is to be prepared."""

    async def open(self) -> None:
        """There are no connections."""

    async def turn(self, seconds: float, *, count: bool) -> None:
        latencies = await asyncio.to_thread(self._loop, seconds)
        if not count:
            return
        ordered = sorted(latencies)
        for latency in ordered:
            self.outcome.latency.record(latency)
        self.outcome.slices.append(
            Slice(
                requests=len(ordered),
                body_bytes=len(ordered) * self.workload.size_bytes,
                elapsed_s=sum(ordered) / 1e9,
                p50_ms=ordered[len(ordered) // 2] / 1e6,
                p99_ms=ordered[len(ordered) * 99 // 100] / 1e6,
                errors=0,
                cpu_s=None,
            )
        )

    def _loop(self, seconds: float) -> list[int]:
        """Latencies in nanoseconds."""
        found: list[int] = []
        now = time.monotonic_ns()
        end = now + int(seconds * 1e9)
        while now < end:
            self._write()
            before, now = now, time.monotonic_ns()
            found.append(now - before)
        return found

    async def clean(self) -> None:
        """The files go with their directory."""


class Appender:
    """Appends to one file: write and fdatasync, as a log does with each small change."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._file = os.open(directory / "append", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._body = os.urandom(size_bytes)

    def __call__(self) -> None:
        os.write(self._file, self._body)
        os.fdatasync(self._file)


class Publisher:
    """Makes files one by one: O_TMPFILE, write, fdatasync, link, fsync of the directory."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._directory = str(directory)
        self._handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._body = os.urandom(size_bytes)
        self._count = 0

    def __call__(self) -> None:
        file = os.open(self._directory, os.O_WRONLY | os.O_TMPFILE, 0o600)
        try:
            os.write(file, self._body)
            os.fdatasync(file)
            self._count += 1
            # With a directory it is linkat(2), which follows the link in /proc.
            os.link(f"/proc/self/fd/{file}", f"{self._directory}/{self._count:08x}", src_dir_fd=self._handle)
            os.fsync(self._handle)
        finally:
            os.close(file)


class Pages(Contender):
    """Asks for pages of 1,000 keys from random places of a bucket that is there and has ``count`` keys."""

    def __init__(self, count: int, side: Side, workload: Workload, bucket: str, prefix: str, body: bytes) -> None:
        super().__init__(side, workload, bucket, prefix, body)
        self._count = count

    async def make(self) -> None:
        """The bucket is there."""

    def heads(self) -> list[bytes]:
        self.signed_at = time.monotonic()
        places = random.Random(1)
        last = self._count - 1000
        paths = [
            f"/{self.bucket}?list-type=2&max-keys=1000&start-after=" + quote(name_of(places.randrange(last)), safe="")
            for _ in range(BATCH)
        ]
        return sign(self.side, "GET", paths)

    async def open(self) -> None:
        self.load = self.connect(self.heads(), connections=self.workload.connections)
        await self.load.open()

    async def clean(self) -> None:
        """The bucket stays."""


def name_of(number: int) -> str:
    """Key of the object with this number in the bucket of a million; ten thousand to a directory."""
    return f"year/{number // 10_000:03d}/object-{number:08d}.parquet"
