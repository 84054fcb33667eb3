"""The end of a data file, by which it explains itself without the index.

A data file is ``data · record · footer``. The record is whatever its owner wants to find again (MessagePack of bucket,
key and metadata); the footer, `FOOTER.size` bytes at the very end, says where the others begin and proves all three.
docs/data-files.md has the table of its bytes.
"""

from __future__ import annotations

import os
import struct

import msgspec
import xxhash

MAGIC = b"S3DFILE\n"
VERSION = 1
MAX_RECORD_BYTES = 1 << 20
"""A key of 1,024 bytes and all metadata that S3 allows take a few KiB."""

# Little-endian: magic, version, flags (0), size of the record, file number, size of the data, XXH3 of the data;
# then XXH3 of the record and of all of the footer before it.
_FIELDS = struct.Struct("<8sHHIQQQ")
_SEAL = struct.Struct("<Q")
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


def encode(trailer: Trailer) -> bytes:
    """Record and footer: what goes behind the data."""
    if len(trailer.record) > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {len(trailer.record)} bytes is longer than {MAX_RECORD_BYTES}")
    fields = _FIELDS.pack(MAGIC, VERSION, 0, len(trailer.record), trailer.number, trailer.size_bytes, trailer.xxh3)
    return b"".join((trailer.record, fields, _SEAL.pack(xxhash.xxh3_64_intdigest(trailer.record + fields))))


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
    _, version, _, record_size, number, data_size, xxh3 = _FIELDS.unpack_from(footer)
    if version > VERSION:
        raise TrailerError(f"its footer has version {version}; this s3d knows versions up to {VERSION}")
    if record_size > MAX_RECORD_BYTES or data_size + record_size + FOOTER_SIZE != size_bytes:
        raise TrailerError("its footer names sizes that are not its own")
    record = os.pread(fd, record_size, data_size)
    (seal,) = _SEAL.unpack_from(footer, _FIELDS.size)
    if len(record) != record_size or xxhash.xxh3_64_intdigest(record + footer[: _FIELDS.size]) != seal:
        raise TrailerError("the checksum of its trailer is wrong")
    return Trailer(number=number, size_bytes=data_size, xxh3=xxh3, record=record)
