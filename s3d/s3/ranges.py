"""Byte ranges and part numbers of reads, and the range of a part that is copied.

Sources: RFC 9110 §14; GetObject and UploadPartCopy in the Amazon S3 API reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from s3d.s3.errors import S3Error
from s3d.s3.names import invalid_argument

# S3 takes one range; a request for several, like one with a unit or syntax it does not know, gets the whole object
# (RFC 9110 §14.2 allows a server to ignore Range).
_RANGE = re.compile(rb"bytes=(?:(\d+)-(\d*)|-(\d+))", re.ASCII | re.IGNORECASE)
_COPY_RANGE = re.compile(rb"bytes=(\d+)-(\d+)", re.ASCII)
# More digits than any size has; int() of thousands of digits takes time, and refuses some.
_MAX_DIGITS = 19
_BEYOND: int = 10**_MAX_DIGITS

MAX_COPY_BYTES = 5 * 2**30


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    if len(digits) > _MAX_DIGITS:
        return _BEYOND
    return int(digits or b"0")


def parse_range(value: bytes, size: int) -> tuple[int, int] | None:
    """The bytes of an object of ``size`` bytes that a Range header asks for: offset of the first, and of the one after
    the last; None where the header is to be ignored.

    Raises InvalidRange (416) where none of the object's bytes lie in the range.
    """
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        length = _number(suffix)
        if length == 0:
            raise _unsatisfiable(value, size)
        # A suffix of nothing is nothing, which no Content-Range can say.
        return (max(size - length, 0), size) if size else None
    start = _number(first)
    end = _number(last) + 1 if last else size
    if last and end <= start:
        return None
    if start >= size:
        raise _unsatisfiable(value, size)
    return start, min(end, size)


def _unsatisfiable(value: bytes, size: int) -> S3Error:
    return S3Error("InvalidRange", extra={"RangeRequested": value, "ActualObjectSize": str(size)})


def content_range(start: int, end: int, size: int) -> bytes:
    """The Content-Range of bytes ``start`` to before ``end`` of ``size``."""
    return b"bytes %d-%d/%d" % (start, end - 1, size)


def parse_copy_range(value: bytes | None, size: int) -> tuple[int, int]:
    """The bytes of a source of ``size`` bytes that UploadPartCopy takes, the end exclusive; all of them for None.

    Raises InvalidArgument for anything but ``bytes=first-last``, InvalidRange where that is not wholly inside the
    source, InvalidRequest over `MAX_COPY_BYTES`.
    """
    start, end = 0, size
    if value is not None:
        match = _COPY_RANGE.fullmatch(value)
        if match is None or _number(match[2]) < _number(match[1]):
            raise invalid_argument(
                "x-amz-copy-source-range",
                value,
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                "zero-based offsets of the first and last bytes to copy",
            )
        start, end = _number(match[1]), _number(match[2]) + 1
        if end > size:
            raise S3Error(
                "InvalidRange",
                f"Range specified is not valid for source object of size: {size}",
                status=400,
                extra={"RangeRequested": value, "ActualObjectSize": str(size)},
            )
    check_copy_size(end - start)
    return start, end


def check_copy_size(size: int) -> None:
    """Raise InvalidRequest where ``size`` bytes are more than one CopyObject or UploadPartCopy takes."""
    if size > MAX_COPY_BYTES:
        raise S3Error(
            "InvalidRequest",
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}",
        )


def part_range(number: int, sizes: Sequence[int], size: int) -> tuple[int, int]:
    """The bytes of the part that ``partNumber=number`` asks for, the end exclusive.

    ``sizes`` are those of the object's parts in order, empty for an object that was not uploaded in parts: part 1 is
    then all of it. The n-th part is meant, whatever number it was uploaded under, as S3 does. Raises InvalidPartNumber
    (416) where there is none such.
    """
    if not sizes:
        if number == 1:
            return 0, size
    elif number <= len(sizes):
        start = sum(sizes[: number - 1])
        return start, start + sizes[number - 1]
    raise S3Error(
        "InvalidPartNumber",
        extra={"ActualPartCount": str(len(sizes) or 1), "PartNumberRequested": str(number)},
    )


def parse_part_number(value: bytes) -> int:
    """A ``partNumber`` query parameter; InvalidArgument unless it is a number from 1 to 10,000."""
    number = int(value) if value.isdigit() and len(value) <= _MAX_DIGITS else 0
    if not 1 <= number <= 10_000:
        raise invalid_argument("partNumber", value, "Part number must be an integer between 1 and 10000, inclusive")
    return number


def check_part_read(range_header: bytes | None, part_number: bytes | None) -> None:
    """Raise InvalidRequest where a read asks for a range and for a part."""
    if range_header is not None and part_number is not None:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
