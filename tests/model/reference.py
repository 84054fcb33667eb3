"""What a bucket must hold and how it must list, computed from dictionaries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


def content(number: int, size_bytes: int) -> bytes:
    """Bytes that no other number has, cheap to make."""
    piece = b"%012d|" % number
    return (piece * (size_bytes // len(piece) + 1))[:size_bytes]


@dataclass(frozen=True)
class Object:
    """One object as a GET gives it back."""

    body: bytes
    etag: str
    content_type: str = "binary/octet-stream"
    note: str | None = None
    """User metadata `note`."""
    tags: tuple[tuple[str, str], ...] = ()
    parts: tuple[int, ...] = ()
    """Sizes of the parts it was uploaded in."""


@dataclass(frozen=True)
class Part:
    body: bytes
    etag: str


@dataclass
class Upload:
    key: bytes
    note: str | None
    parts: dict[int, Part] = field(default_factory=dict)


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def assembled(parts: list[Part], note: str | None) -> Object:
    """The object that parts make."""
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    sizes = tuple(len(part.body) for part in parts)
    body = b"".join(part.body for part in parts)
    return Object(body, f"{md5(digests)}-{len(parts)}", note=note, parts=sizes)


Entry = tuple[str, bytes]
"""("key", KEY) or ("prefix", PREFIX)."""


def listing(keys: set[bytes], prefix: bytes, delimiter: bytes, after: bytes) -> list[Entry]:
    """All entries of a listing in their order, as S3 defines it."""
    found: dict[Entry, None] = {}
    for key in sorted(keys):
        if not key.startswith(prefix) or key <= after:
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        found[("key", key) if cut < 0 else ("prefix", key[: cut + len(delimiter)])] = None
    return list(found)


def ranged(size: int, spec: tuple[int | None, int | None]) -> tuple[int, int] | None:
    """First and last byte of a range (RFC 9110 section 14.1.2), None if it cannot be satisfied."""
    first, last = spec
    if first is None:
        return (max(0, size - (last or 0)), size - 1) if last and size else None
    if first >= size:
        return None
    return first, size - 1 if last is None else min(last, size - 1)
