"""Digests of bytes that are here already: what a copy needs to know and its source does not say."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import xxhash
from awscrt import checksums

from s3d.index.records import Checksum, Extent


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


def read(extents: Iterable[Extent], read_file: Callable[[int, int, int], Iterable[memoryview]]) -> Iterator[memoryview]:
    """The bytes of ``extents``, for a worker thread, each piece good until the next; raises what ``read_file`` does.

    ``read_file(number, offset, size)`` gives those of one data file, proved to be what was written: the digest of
    damaged bytes would pass the damage for the real thing.
    """
    for extent in extents:
        yield from read_file(extent.file, extent.offset_bytes, extent.size_bytes)
