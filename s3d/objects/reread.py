"""Digests of bytes that are here already: what a copy needs to know and its source does not say."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Final, Protocol

import xxhash
from awscrt import checksums

from s3d.index.records import Checksum, Extent

SMALL_BYTES: Final = 8 << 20
"""MD5 of them takes 15 ms."""
LARGE_AT_ONCE: Final = 2
"""Of `s3d.store.store.REREAD_THREADS`; MD5 keeps a core busy."""


class _Hasher(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC as hashlib's objects are used."""

    def __init__(self, update: Callable[[bytes | memoryview, int], int], size_bytes: int) -> None:
        self._update = update
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


_MAKERS: dict[str, Callable[[], _Hasher]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(checksums.crc32c, 4),
    "CRC64NVME": lambda: _Crc(checksums.crc64nvme, 8),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "XXHASH64": xxhash.xxh64,
    "XXHASH3": xxhash.xxh3_64,
    "XXHASH128": xxhash.xxh3_128,
}


def digest(pieces: Iterable[bytes | memoryview], algorithm: str) -> tuple[bytes, Checksum | None]:
    """The MD5 of ``pieces`` together, and the full-object checksum by ``algorithm``, None for ""."""
    md5 = hashlib.md5(usedforsecurity=False)
    other = _MAKERS[algorithm]() if algorithm else None
    for piece in pieces:
        md5.update(piece)
        if other is not None:
            other.update(piece)
    checksum = None if other is None else Checksum(algorithm, b64encode(other.digest()).decode())
    return md5.digest(), checksum


ReadFile = Callable[[int, int, int], Iterable[memoryview]]
"""``read_file(number, offset, size)`` gives the bytes of one data file, proved to be what was written: the digest of
damaged bytes would pass the damage for the real thing. In pieces, each good until the next."""


class Rereads:
    """Reads objects again in threads of ``executor``, large ones in some of these at most. Loop's thread.

    So neither what is small waits behind what is large, nor anything else behind these: they have the threads to
    themselves. ``stopped()``, asked in a thread, ends all of them.
    """

    def __init__(self, executor: Executor, read_file: ReadFile, stopped: Callable[[], bool]) -> None:
        self._executor = executor
        self._read_file = read_file
        self._stopped = stopped
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def digest(self, extents: Sequence[Extent], algorithm: str) -> tuple[bytes, Checksum | None]:
        """`digest` of the bytes of ``extents``; raises what reading them does.

        Once the wait is cancelled no other piece is read, and the thread is free when it is through with the last.
        """
        ends = [] if sum(extent.size_bytes for extent in extents) <= SMALL_BYTES else [self._large.release]
        if ends:
            await self._large.acquire()
        loop = asyncio.get_running_loop()
        wanted = True

        def pieces() -> Iterator[memoryview]:
            for extent in extents:
                for piece in self._read_file(extent.file, extent.offset_bytes, extent.size_bytes):
                    if not wanted or self._stopped():
                        raise ConnectionAbortedError("nobody waits for these bytes any more")
                    yield piece

        def ended(_: Future[tuple[bytes, Checksum | None]]) -> None:
            # Without a loop nobody waits for a place any more.
            with suppress(RuntimeError):
                for end in ends:
                    loop.call_soon_threadsafe(end)

        try:
            running = self._executor.submit(digest, pieces(), algorithm)
        except BaseException:
            for end in ends:
                end()
            raise
        # Not when the wait ends: the thread may be at it for a while, on a disk that hangs for ever.
        running.add_done_callback(ended)
        try:
            return await asyncio.wrap_future(running)
        finally:
            wanted = False
