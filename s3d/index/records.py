"""What the index knows: the records that its rows hold, and nothing of how they are stored.

All are frozen: a change makes a new record. They are written as MessagePack arrays in the order of their fields, so a
field may be added at the end, with a default, and records without it still read (invariant 13).
"""

from __future__ import annotations

from enum import IntFlag

import msgspec


class State(IntFlag):
    """What is true of a generation."""

    INLINE = 1
    """Its body lies in the index itself; it has no extents."""
    RESIDENT = 2
    """All its bytes are here."""
    DIRTY = 4
    """Newer than the remote."""
    PINNED = 8
    """Never evicted."""
    TOMBSTONE = 16
    """A delete; it has no body."""


class Extent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A range of a data file."""

    file: int
    """Number of the data file; its upper 24 bits are the boot that wrote it, so that no number comes twice."""
    offset_bytes: int
    size_bytes: int


class Checksum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An additional checksum as S3 returns it (Amazon S3 user guide, "Checking object integrity")."""

    algorithm: str
    """``CRC32``, ``CRC32C``, ``CRC64NVME``, ``SHA1``, ``SHA256``, as x-amz-checksum-algorithm spells them."""
    value: str
    """Base64; of a composite one with ``-`` and the number of parts behind it."""
    kind: str = "FULL_OBJECT"
    """``FULL_OBJECT`` or ``COMPOSITE``, as x-amz-checksum-type spells them."""


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One part of an object that was uploaded in parts."""

    number: int
    size_bytes: int
    checksum: Checksum | None = None


class Generation(msgspec.Struct, frozen=True, array_like=True):
    """One state of one object: its metadata, and where its bytes are."""

    number: int
    """Grows with every change in the whole index, over restarts too: order is by it, never by a clock."""
    size_bytes: int
    etag: str
    """Without quotes: the MD5 in hex, or that of the parts' MD5s, ``-`` and their count."""
    modified_ms: int
    """Last-Modified, milliseconds since 1970."""
    state: int = State.RESIDENT
    """A `State`."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """System and user metadata as they are sent back: lower-case names, Content-Type among them."""
    tags: tuple[tuple[str, str], ...] = ()
    checksum: Checksum | None = None
    owner: str = ""
    storage_class: str = "STANDARD"
    xxh3: int = 0
    """Of an inline body (XXH3, 64 bits)."""
    extents: tuple[Extent, ...] = ()
    parts: tuple[Part, ...] = ()
    """Empty unless the object was uploaded in parts."""
    upload_id: str = ""
    """Of the multipart upload that it was, so that completing that again can be answered again."""


class Listed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a listing says of an object: the first fields of a `Generation`, read in half the time."""

    number: int
    size_bytes: int
    etag: str
    modified_ms: int
    state: int = State.RESIDENT
    headers: msgspec.Raw = msgspec.Raw(b"\x90")
    """As they lie in the row."""
    tags: msgspec.Raw = msgspec.Raw(b"\x90")
    checksum: Checksum | None = None
    owner: str = ""
    storage_class: str = "STANDARD"


class DataFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A data file that something refers to."""

    size_bytes: int
    """Of its data, without the trailer."""
    xxh3: int
    """Of its data (XXH3, 64 bits)."""
    references: int = 1
    """Extents of generations and parts that lie in it; the index counts them."""


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    name: str
    created_ms: int
    owner: str = ""
    region: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    settings: dict[str, bytes] = {}
    """Further documents by the name of their subresource, as they were put."""


class Upload(msgspec.Struct, frozen=True, array_like=True):
    """A multipart upload under way."""

    bucket: str
    key: bytes
    upload_id: str
    """32 lower-case hex digits; they sort by time of creation."""
    created_ms: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    """Empty: the client chose none."""
    checksum_kind: str = ""


class UploadedPart(msgspec.Struct, frozen=True, array_like=True):
    number: int
    size_bytes: int
    etag: str
    """MD5 in hex, without quotes."""
    modified_ms: int
    extents: tuple[Extent, ...] = ()
    checksum: Checksum | None = None
