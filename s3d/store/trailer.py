"""The end of a data file, by which it explains itself without the index.

A data file is ``data · hashes · record · footer``. The hashes are XXH3 of each block of the data, if there are several.
The record is whatever its owner wants to find again (MessagePack of bucket, key and metadata); the footer,
`FOOTER_SIZE` bytes at the very end, says where the others begin and proves all of them. docs/data-files.md has the
table of its bytes.
"""

from __future__ import annotations

import os
import struct

import msgspec
import xxhash

from s3d._core.spool import HASHED_SIZE

MAGIC = b"S3DFILE\n"
VERSION = 2
"""1 had no hashes of blocks."""
MAX_RECORD_BYTES = 1 << 20
"""A key of 1,024 bytes and all metadata that S3 allows take a few KiB."""

# Little-endian: magic, version, block size as a power of two, size of the record, file number, size of the data, XXH3
# of the data; then XXH3 of the hashes, the record and all of the footer before it.
_FIELDS = struct.Struct("<8sHHIQQQ")
_SEAL = struct.Struct("<Q")
_BLOCK_BITS = HASHED_SIZE.bit_length() - 1
FOOTER_SIZE = _FIELDS.size + _SEAL.size


class TrailerError(Exception):
    """The end of a data file is not one that we wrote, or not any more."""


class Trailer(msgspec.Struct, frozen=True):
    number: int
    """Of the file, also where its name is another."""
    size_bytes: int
    """Of the data, which begins at offset 0."""
    xxh3: int
    """Of the data."""
    record: bytes
    hashes: bytes = b""
    """XXH3 of each `HASHED_SIZE` bytes of the data, 8 bytes little-endian each; empty for one such block or less."""


def _hashes_size(data_size: int) -> int:
    """In bytes."""
    return -(-data_size // HASHED_SIZE) * 8 if data_size > HASHED_SIZE else 0


def encode(trailer: Trailer) -> bytes:
    """Hashes, record and footer: what goes behind the data."""
    if len(trailer.record) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(trailer.record)} bytes is longer than {MAX_RECORD_BYTES}")
    if len(trailer.hashes) != _hashes_size(trailer.size_bytes):
        raise ValueError(f"{len(trailer.hashes)} bytes of hashes are not those of {trailer.size_bytes} bytes of data")
    fields = _FIELDS.pack(
        MAGIC, VERSION, _BLOCK_BITS, len(trailer.record), trailer.number, trailer.size_bytes, trailer.xxh3
    )
    sealed = b"".join((trailer.hashes, trailer.record, fields))
    return sealed + _SEAL.pack(xxhash.xxh3_64_intdigest(sealed))


def read(fd: int) -> Trailer:
    """The trailer of an open data file; the data itself is not looked at.

    Raises TrailerError saying what is wrong with it, OSError when it cannot be read.
    """
    size_bytes = os.fstat(fd).st_size
    if size_bytes < FOOTER_SIZE:
        raise TrailerError(f"it has {size_bytes} bytes, fewer than the {FOOTER_SIZE} of a footer")
    footer = os.pread(fd, FOOTER_SIZE, size_bytes - FOOTER_SIZE)
    if len(footer) != FOOTER_SIZE or footer[:8] != MAGIC:
        raise TrailerError("it does not end in a footer")
    _, version, block_bits, record_size, number, data_size, xxh3 = _FIELDS.unpack_from(footer)
    if version > VERSION:
        raise TrailerError(f"its footer has version {version}; this s3d knows versions up to {VERSION}")
    hashes_size = _hashes_size(data_size) if version > 1 else 0
    if record_size > MAX_RECORD_BYTES or data_size + hashes_size + record_size + FOOTER_SIZE != size_bytes:
        raise TrailerError("its footer names sizes that are not its own")
    before = os.pread(fd, hashes_size + record_size, data_size)
    (seal,) = _SEAL.unpack_from(footer, _FIELDS.size)
    if len(before) != hashes_size + record_size or (xxhash.xxh3_64_intdigest(before + footer[: _FIELDS.size]) != seal):
        raise TrailerError("the checksum of its trailer is wrong")
    if version > 1 and block_bits != _BLOCK_BITS:
        raise TrailerError(f"it has hashes of blocks of 2^{block_bits} bytes; this s3d knows those of 2^{_BLOCK_BITS}")
    return Trailer(
        number=number, size_bytes=data_size, xxh3=xxh3, record=before[hashes_size:], hashes=before[:hashes_size]
    )
