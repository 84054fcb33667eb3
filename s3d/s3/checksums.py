"""ETags and additional checksums: their names on the wire, their values, and those of objects made from parts.

Source: "Checking object integrity in Amazon S3" in the user guide; CreateMultipartUpload and CompleteMultipartUpload in
the API reference. A checksum is the base64 of its bytes, most significant first.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import Counter
from collections.abc import Mapping, Sequence

from s3d._core.digest import Algorithm, digests
from s3d.s3.errors import S3Error
from s3d.s3.metadata import Headers
from s3d.s3.steps import Steps, at_once

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

DEFAULT = "CRC64NVME"
"""The algorithm of the checksum that S3 computes for whatever came without one."""

ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in Algorithm}
"""By the name that x-amz-checksum-algorithm has for it."""

SIZES_BYTES: dict[Algorithm, int] = {
    Algorithm.MD5: 16,
    Algorithm.SHA1: 20,
    Algorithm.SHA256: 32,
    Algorithm.SHA512: 64,
    Algorithm.CRC32: 4,
    Algorithm.CRC32C: 4,
    Algorithm.CRC64NVME: 8,
    Algorithm.XXHASH64: 8,
    Algorithm.XXHASH3: 8,
    Algorithm.XXHASH128: 16,
}

HEADERS: dict[str, bytes] = {name: b"x-amz-checksum-" + name.lower().encode() for name in ALGORITHMS}
ELEMENTS: dict[str, str] = {name: "Checksum" + name for name in ALGORITHMS}
BY_HEADER: dict[bytes, str] = {header: name for name, header in HEADERS.items()}
BY_ELEMENT: dict[str, str] = {element: name for name, element in ELEMENTS.items()}

# What a multipart upload may choose: of the CRCs alone can the whole object's be had from those of the parts.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(ALGORITHMS, (COMPOSITE,)),
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
}
"""The kinds of checksum an upload by parts can have, the default first."""

_VALID = ", ".join(sorted(ALGORITHMS))


def to_text(digest: bytes) -> str:
    """A checksum's value as headers and documents carry it."""
    return b64encode(digest).decode()


def from_text(name: str, value: str | bytes) -> bytes | None:
    """The digest that ``value`` is for algorithm ``name``; None if it is malformed or of the wrong length."""
    try:
        digest = a2b_base64(value, strict_mode=True)
    except (Base64Error, ValueError):
        return None
    return digest if len(digest) == SIZES_BYTES[ALGORITHMS[name]] else None


def parse_algorithm(value: bytes) -> str:
    """The name in x-amz-checksum-algorithm; InvalidRequest for one that S3 does not have."""
    name = value.decode("latin-1").upper()
    if name not in ALGORITHMS:
        raise S3Error(
            "InvalidRequest",
            f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{_VALID}]",
        )
    return name


def upload_checksum(headers: Headers) -> tuple[str, str]:
    """Algorithm and kind that CreateMultipartUpload chooses, or two empty strings where it chooses none.

    Raises InvalidRequest for what S3 does not combine.
    """
    name = kind = ""
    for header, value in headers:
        if header == b"x-amz-checksum-algorithm":
            name = parse_algorithm(value)
        elif header == b"x-amz-checksum-type":
            kind = parse_kind(value)
    if not name:
        if kind:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return "", ""
    if not kind:
        return name, KINDS[name][0]
    if kind not in KINDS[name]:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {name.lower()} checksum algorithm.",
        )
    return name, kind


def parse_kind(value: bytes) -> str:
    """The kind in x-amz-checksum-type; InvalidRequest for neither of the two."""
    kind = value.decode("latin-1").upper()
    if kind not in (COMPOSITE, FULL_OBJECT):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    return kind


def multipart_etag(md5s: Sequence[bytes]) -> str:
    """The ETag of an object made from parts with these MD5s (16 bytes each): without quotes."""
    return f"{hashlib.md5(b''.join(md5s), usedforsecurity=False).hexdigest()}-{len(md5s)}"


def composite(name: str, parts: Sequence[bytes]) -> str:
    """The composite checksum of an object whose parts have the digests ``parts``."""
    algorithm = ALGORITHMS[name]
    digest: bytes = digests(b"".join(parts), [algorithm])[algorithm]
    return f"{to_text(digest)}-{len(parts)}"


_Shift = list[list[int]]
"""A linear map of CRCs: what each value of each byte becomes, the lowest byte first. The map is their sum (XOR)."""


def _shifted(shift: _Shift, crc: int) -> int:
    result = 0
    for row in shift:
        result ^= row[crc & 0xFF]
        crc >>= 8
    return result


def _shift_of(images: Sequence[int]) -> _Shift:
    """The map that turns bit i into ``images[i]``."""
    rows = []
    for first in range(0, len(images), 8):
        row = [0] * 256
        for value in range(1, 256):
            lowest = value & -value
            row[value] = row[value ^ lowest] ^ images[first + lowest.bit_length() - 1]
        rows.append(row)
    return rows


class _Crc:
    """Makes one CRC, of data in a row, from those of its pieces.

    The CRC of A followed by B is that of A, shifted by as many zero bytes as B has, plus (XOR) that of B: what the
    register begins and ends with cancels out, as in zlib's crc32_combine. To shift is linear, so a table does it in one
    look-up a byte; a shift by any size is made of those by powers of two, and one that is wanted often, as parts
    mostly have one size, gets a table of its own.
    """

    # A table costs some hundred look-ups to make.
    _OFTEN = 64

    def __init__(self, width: int, reflected: int) -> None:
        """``reflected``: the polynomial's coefficients below x^width, the highest power in the lowest bit."""
        self._width = width
        images = []
        for bit in range(width):
            crc = 1 << bit
            for _ in range(8):
                crc = crc >> 1 ^ (reflected if crc & 1 else 0)
            images.append(crc)
        # The shifts by 1, 2, 4 … bytes, made as they are needed.
        self._doubling = [_shift_of(images)]

    def _by(self, size_bytes: int, crc: int) -> int:
        """``crc`` shifted by ``size_bytes`` zero bytes."""
        level = 0
        while size_bytes:
            if size_bytes & 1:
                crc = _shifted(self._doubling[level], crc)
            size_bytes >>= 1
            level += 1
        return crc

    def _reach(self, size_bytes: int) -> Steps[None]:
        """Make what a shift by ``size_bytes`` needs; once for each power of two."""
        while len(self._doubling) < size_bytes.bit_length():
            yield
            last = self._doubling[-1]
            self._doubling.append(_shift_of([_shifted(last, _shifted(last, 1 << bit)) for bit in self._bits()]))

    def _bits(self) -> range:
        return range(self._width)

    def combine(self, parts: Sequence[tuple[bytes, int]]) -> Steps[bytes]:
        yield from self._reach(max((size for _, size in parts), default=0))
        often = {}
        for size, count in Counter(size for _, size in parts).items():
            if count >= self._OFTEN:
                often[size] = _shift_of([self._by(size, 1 << bit) for bit in self._bits()])
                yield
        total = 0
        for count, (digest, size) in enumerate(parts):
            if count % self._OFTEN == 0:
                yield
            shift = often.get(size)
            total = self._by(size, total) if shift is None else _shifted(shift, total)
            total ^= int.from_bytes(digest, "big")
        return total.to_bytes(self._width // 8, "big")


_CRCS = {
    "CRC32": _Crc(32, 0xEDB88320),
    "CRC32C": _Crc(32, 0x82F63B78),
    "CRC64NVME": _Crc(64, 0x9A6C9329AC4BC9B5),
}


def full_object(name: str, parts: Sequence[tuple[bytes, int]]) -> bytes:
    """The CRC ``name`` of the concatenation of parts, each given as its own CRC and its size in bytes.

    Nothing is read again. KeyError for an algorithm that is no CRC.
    """
    return at_once(full_object_in_steps(name, parts))


def full_object_in_steps(name: str, parts: Sequence[tuple[bytes, int]]) -> Steps[bytes]:
    """`full_object`: 10,000 parts take 20 to 40 ms."""
    return _CRCS[name].combine(parts)


def checksum_headers(name: str, value: str, kind: str) -> list[tuple[bytes, bytes]]:
    """The headers that say an object's checksum in an answer."""
    return [(HEADERS[name], value.encode()), (b"x-amz-checksum-type", kind.encode())]


def claimed(headers: Headers | Mapping[bytes, bytes]) -> tuple[str, bytes] | None:
    """The one x-amz-checksum-… value among ``headers``: algorithm's name and the value as sent, or None.

    Raises InvalidRequest where there is more than one.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found = [(BY_HEADER[name], value) for name, value in pairs if name in BY_HEADER]
    if len(found) > 1:
        raise S3Error(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    return found[0] if found else None


def claimed_algorithm(headers: Headers) -> str | None:
    """The algorithm of the checksum that comes with a body, in a header or in its trailer (x-amz-trailer); or None.

    Raises InvalidRequest where there is more than one header.
    """
    claim = claimed(headers)
    if claim is not None:
        return claim[0]
    named = next((value for name, value in headers if name == b"x-amz-trailer"), b"")
    for part in named.split(b","):
        algorithm = BY_HEADER.get(part.strip().lower())
        if algorithm is not None:
            return algorithm
    return None
