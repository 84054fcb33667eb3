"""ETags and additional checksums: their names on the wire, their values, and those of objects made from parts.

Source: "Checking object integrity in Amazon S3" in the user guide; CreateMultipartUpload and CompleteMultipartUpload in
the API reference. A checksum is the base64 of its bytes, most significant first.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Mapping, Sequence

from s3d._core.digest import Algorithm, digests
from s3d.s3.errors import S3Error
from s3d.s3.metadata import Headers

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

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
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{_VALID}]",
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


class _Crc:
    """Arithmetic with the polynomials of one CRC: of the CRC of two pieces, make that of the two in a row.

    The CRC of A followed by B is (CRC of A) · x^(8·|B|) + (CRC of B), modulo the CRC's polynomial and over GF(2); the
    ones that both registers begin and end with cancel out (as in zlib's crc32_combine).

    A polynomial is held as an integer with one byte per coefficient. Integers multiply as polynomials do as long as no
    coefficient of the product, a count of at most 64, leaves its byte; its parity is the coefficient over GF(2). So one
    multiplication of long integers stands for the 64 steps of a loop, and Barrett's two more for the division.
    """

    def __init__(self, width: int, polynomial: int) -> None:
        """``polynomial``: its coefficients below x^width, highest first, as specifications write them."""
        self._width = width
        self._low = _spread(width)
        self._mask = _spread(2 * width)
        self._modulus = self._of_bits(f"1{polynomial:0{width}b}")
        # floor(x^2w / modulus): Barrett's quotient.
        quotient, remainder = 0, 1 << (8 * 2 * width)
        for degree in range(2 * width, width - 1, -1):
            if remainder >> (8 * degree) & 1:
                quotient |= 1 << (8 * (degree - width))
                remainder ^= self._modulus << (8 * (degree - width))
        self._quotient = quotient
        # x^(8·n·16^k) for n below 16, made as they are needed.
        self._powers: list[list[int]] = []
        self._by_size: dict[int, int] = {}

    @staticmethod
    def _of_bits(bits: str) -> int:
        # The digits are 0x30 and 0x31: their lowest bits are the coefficients.
        return int.from_bytes(bits.encode(), "big") & _spread(len(bits))

    def _multiply(self, left: int, right: int) -> int:
        shift = 8 * self._width
        product = left * right & self._mask
        quotient = (((product >> shift) * self._quotient & self._mask) >> shift) & self._low
        return (product ^ (quotient * self._modulus)) & self._low

    def _shift(self, size_bytes: int) -> int:
        """x^(8·size_bytes)."""
        found = self._by_size.get(size_bytes)
        if found is not None:
            return found
        result, rest, level = 1, size_bytes, 0
        while rest:
            if level == len(self._powers):
                # Each row's base is the sixteenth power of the one before; the first is x^8.
                self._add_level(self._multiply(self._powers[-1][15], self._powers[-1][1]) if level else 1 << (8 * 8))
            if rest & 15:
                result = self._multiply(result, self._powers[level][rest & 15])
            rest >>= 4
            level += 1
        if len(self._by_size) < 64:
            # Nearly all parts of an upload have one size; that of the last differs.
            self._by_size[size_bytes] = result
        return result

    def _add_level(self, base: int) -> None:
        row = [1]
        for _ in range(15):
            row.append(self._multiply(row[-1], base))
        self._powers.append(row)

    def combine(self, parts: Iterable[tuple[bytes, int]]) -> bytes:
        total = 0
        for digest, size_bytes in parts:
            # The CRCs in use are reflected: the lowest bit is the coefficient of the highest power.
            bits = f"{int.from_bytes(digest, 'big'):0{self._width}b}"[::-1]
            total = self._multiply(total, self._shift(size_bytes)) ^ self._of_bits(bits)
        bits = "".join(map(str, total.to_bytes(self._width, "big")))[::-1]
        return int(bits, 2).to_bytes(self._width // 8, "big")


def _spread(count: int) -> int:
    """``count`` coefficients, all 1."""
    return int.from_bytes(b"\x01" * count, "big")


_CRCS = {
    "CRC32": _Crc(32, 0x04C11DB7),
    "CRC32C": _Crc(32, 0x1EDC6F41),
    "CRC64NVME": _Crc(64, 0xAD93D23594C93659),
}


def full_object(name: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """The CRC ``name`` of the concatenation of parts, each given as its own CRC and its size in bytes.

    Nothing is read again. KeyError for an algorithm that is no CRC.
    """
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
