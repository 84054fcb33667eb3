"""The canonical layout: every column family, the bytes of its keys, and the encoding of its rows.

============  =======================================================  ===================================
family        key                                                      row
============  =======================================================  ===================================
default       a name of `Name`                                         integer, big-endian, 8 bytes
buckets       bucket name                                              `Bucket`
heads         bucket name, 00, key as it is                            the current `Generation`
generations   bucket name, 00, escaped key, 00 01, BE64(~number)       a superseded `Generation`
details       BE64(generation number)                                  (extents, parts) of a long one
bodies        BE64(generation number)                                  the inline body, raw
files         BE64(file number)                                        `DataFile`
blocks        BE64(file number), BE32(row)                             `BlockRow`: 128 blocks
uploads       bucket name, 00, escaped key, 00 01, upload id (16)      `Upload`
parts         upload id (16), BE16(part number)                        `UploadedPart`
queue         BE64(sequence)                                           `QueueEntry`
garbage       ``d``, BE64(generation number)                           `Dropped`
garbage       ``u``, upload id (16)                                    `Dropped`
============  =======================================================  ===================================

A bucket name has no NUL, so a name with NUL behind it is a prefix of that bucket's rows alone. Where the key comes last
(``heads``) it stands as it is and sorts as it is. Where something follows it, it is escaped: NUL becomes ``00 FF``
and ``00 01`` ends it, which keeps the order of any key bytes (``00 01`` sorts before ``00 FF`` and before any
other byte). Numbers are big-endian so that they sort; ``~number`` sorts the newest first.

Rows are MessagePack arrays (`s3d.index.records`), whose fields only ever grow at the end. A head of a generation
with more than `MAX_EXTENTS_IN_HEAD` extents and parts begins with `DETAILED`, a byte that MessagePack never uses; its
extents and parts then lie in ``details``, so that a listing reads short rows.

A change that drops much (an object of 10,000 parts, an upload) leaves the ``details`` of the generation, or the
``parts`` of the upload, where they are, and a row in ``garbage`` that says so. Their extents stay counted in ``files``
until `s3d.index.garbage` has gone through them in small changes.
"""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import Final

import msgspec

from s3d.index.records import Bucket, DataFile, Extent, Generation, Listed, Part, State, Upload, UploadedPart

FORMAT: Final = 1
"""Of keys and rows. A change that this version's code cannot read raises it."""

INLINE: Final = int(State.INLINE)
"""As a plain number: ``&`` with a member of an enumeration takes 1.5 us."""
MAX_EXTENTS_IN_HEAD: Final = 8
DETAILED: Final = b"\xc1"
BLOCKS_PER_ROW: Final = 128
BOOT_SHIFT: Final = 40
"""Numbers of generations and files are ``boot << BOOT_SHIFT | counter``."""
MAX_BOOT: Final = (1 << 24) - 1


class Family(StrEnum):
    """Column families."""

    DEFAULT = "default"
    BUCKETS = "buckets"
    HEADS = "heads"
    GENERATIONS = "generations"
    DETAILS = "details"
    BODIES = "bodies"
    FILES = "files"
    BLOCKS = "blocks"
    UPLOADS = "uploads"
    PARTS = "parts"
    QUEUE = "queue"
    GARBAGE = "garbage"


class Name:
    """Keys of the default family."""

    FORMAT: Final = b"format"
    BOOT: Final = b"boot"
    """Number of the last start."""
    DURABLE: Final = b"durable"
    """A sequence number that had been synced when this row was written: what a check of the log knows for sure."""


class BlockRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which of 128 consecutive blocks of a sparse file are there, and their hashes."""

    present: bytes
    """16 bytes; bit ``i % 8`` of byte ``i // 8`` is block ``i``."""
    hashes: bytes
    """128 times XXH3, 64 bits, little-endian; zero where the block is not there."""


class Dropped(msgspec.Struct, frozen=True, array_like=True):
    """Extents that nothing needs any more and that are counted still."""

    released: int = 0
    """Of a generation's: the first so many are not any more."""
    moved: tuple[int, ...] = ()
    """Of an upload's: numbers of the parts whose extents have become an object's; their rows count for nothing."""


class QueueEntry(msgspec.Struct, frozen=True, array_like=True):
    """A change that waits to be sent to the remote."""

    bucket: str
    key: bytes
    generation: int
    priority: int = 0
    request_id: str = ""
    trace_context: str = ""
    """The ``traceparent`` header of the request that made it (W3C Trace Context)."""


Details = tuple[tuple[Extent, ...], tuple[Part, ...]]

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
"""Any record as a row."""

decode_bucket = msgspec.msgpack.Decoder(Bucket).decode
decode_file = msgspec.msgpack.Decoder(DataFile).decode
decode_upload = msgspec.msgpack.Decoder(Upload).decode
decode_part = msgspec.msgpack.Decoder(UploadedPart).decode
decode_blocks = msgspec.msgpack.Decoder(BlockRow).decode
decode_queue_entry = msgspec.msgpack.Decoder(QueueEntry).decode
decode_dropped = msgspec.msgpack.Decoder(Dropped).decode
decode_extents = msgspec.msgpack.Decoder(tuple[tuple[Extent, ...], msgspec.Raw]).decode
"""Of details, without the parts: in a third of the time."""
decode_details = msgspec.msgpack.Decoder(Details).decode
_decode_listed = msgspec.msgpack.Decoder(Listed).decode
_decode_generation = msgspec.msgpack.Decoder(Generation).decode

DETAILS_OF: Final = b"d"
PARTS_OF: Final = b"u"
"""What a row of ``garbage`` is about."""

_u64 = struct.Struct(">Q")
_u32 = struct.Struct(">I")
_u16 = struct.Struct(">H")
_MASK = (1 << 64) - 1


def number_key(number: int) -> bytes:
    """Key of a generation's details or body, of a file, of a queue entry; also the rows of the default family."""
    return _u64.pack(number)


def number_of(row: bytes) -> int:
    (number,) = _u64.unpack(row)
    return int(number)


def bucket_prefix(bucket: str) -> bytes:
    """What the rows of a bucket begin with, and those of no other. ValueError for what can be no bucket's name.

    A NUL in the name would reach into the keys of another bucket.
    """
    if "\0" in bucket:
        raise ValueError(f"{bucket!r} cannot be the name of a bucket")
    return bucket.encode() + b"\0"


def bucket_end(bucket: str) -> bytes:
    """The first key behind the rows of a bucket."""
    return bucket_prefix(bucket)[:-1] + b"\1"


def head_key(bucket: str, key: bytes) -> bytes:
    return bucket_prefix(bucket) + key


def escaped(key: bytes) -> bytes:
    """``key`` with its end marked, in a form that sorts as the key does."""
    return key.replace(b"\0", b"\0\xff") + b"\0\1"


def unescaped(row_key: bytes, start: int) -> tuple[bytes, int]:
    """The key whose escaped form begins at ``start``, and where what follows it begins."""
    end = start
    while True:
        end = row_key.index(b"\0", end)
        if row_key[end + 1] == 1:
            return row_key[start:end].replace(b"\0\xff", b"\0"), end + 2
        end += 2


def generation_key(bucket: str, key: bytes, number: int) -> bytes:
    return bucket_prefix(bucket) + escaped(key) + _u64.pack(~number & _MASK)


def blocks_key(file: int, row: int) -> bytes:
    return _u64.pack(file) + _u32.pack(row)


def upload_id_bytes(upload_id: str) -> bytes | None:
    """The 16 bytes of an upload id; None for what cannot be one (32 lower-case hex digits)."""
    if len(upload_id) != 32 or not upload_id.isascii() or upload_id != upload_id.lower():
        return None
    try:
        raw = bytes.fromhex(upload_id)
    except ValueError:
        return None
    # fromhex overlooks spaces.
    return raw if len(raw) == 16 else None


def upload_key(bucket: str, key: bytes, upload_id: bytes) -> bytes:
    return bucket_prefix(bucket) + escaped(key) + upload_id


def parse_upload_key(row_key: bytes) -> tuple[bytes, str]:
    """Key and upload id."""
    key, end = unescaped(row_key, row_key.index(b"\0") + 1)
    return key, row_key[end:].hex()


def part_key(upload_id: bytes, number: int) -> bytes:
    return upload_id + _u16.pack(number)


def encode_head(generation: Generation) -> tuple[bytes, bytes | None]:
    """The row of a head, and that of its details if it needs one."""
    if len(generation.extents) + len(generation.parts) <= MAX_EXTENTS_IN_HEAD:
        return encode(generation), None
    details = encode((generation.extents, generation.parts))
    return DETAILED + encode(msgspec.structs.replace(generation, extents=(), parts=())), details


def decode_head(row: bytes) -> Generation:
    """The generation of a head's row; without extents and parts where `is_detailed`."""
    return _decode_generation(memoryview(row)[1:]) if row[0] == 0xC1 else _decode_generation(row)


def decode_listed(row: bytes) -> Listed:
    """What a listing needs of a head's row. It keeps the row alive."""
    return _decode_listed(memoryview(row)[1:]) if row[0] == 0xC1 else _decode_listed(row)


def is_detailed(row: bytes) -> bool:
    return row[0] == 0xC1


def with_details(generation: Generation, row: bytes) -> Generation:
    extents, parts = decode_details(row)
    return msgspec.structs.replace(generation, extents=extents, parts=parts)
