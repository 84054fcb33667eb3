"""Digests of bytes that are here already: what a copy needs to know and its source does not say."""

from __future__ import annotations

import hashlib
import os
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Protocol

import xxhash
from awscrt import checksums

from s3d.index.records import Checksum, Extent

_PIECE_BYTES = 1 << 20


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC as hashlib's objects are used."""

    def __init__(self, update: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._update = update
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes) -> None:
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


def digest(pieces: Iterable[bytes], algorithm: str) -> tuple[bytes, Checksum | None]:
    """The MD5 of ``pieces`` together, and the full-object checksum by ``algorithm``, None for ""."""
    md5 = hashlib.md5(usedforsecurity=False)
    other = _MAKERS[algorithm]() if algorithm else None
    for piece in pieces:
        md5.update(piece)
        if other is not None:
            other.update(piece)
    checksum = None if other is None else Checksum(algorithm, b64encode(other.digest()).decode())
    return md5.digest(), checksum


def read(extents: Iterable[Extent], open_file: Callable[[int], int]) -> Iterable[bytes]:
    """The bytes of ``extents``, for a worker thread; OSError if a file is gone or too short."""
    for extent in extents:
        fd = open_file(extent.file)
        try:
            offset, left = extent.offset_bytes, extent.size_bytes
            while left:
                piece = os.pread(fd, min(left, _PIECE_BYTES), offset)
                if not piece:
                    raise OSError(f"data file {extent.file:016x} ends {left} bytes too early")
                yield piece
                offset += len(piece)
                left -= len(piece)
        finally:
            os.close(fd)
