"""Times as S3 writes and reads them: HTTP dates in headers, ISO 8601 in documents.

All times are milliseconds since 1970; S3 shows objects' times in whole seconds and compares them so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import gmtime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = {name: number for number, name in enumerate(_MONTHS, 1)}

# RFC 9110 §5.6.7: the form that is sent today, and the two obsolete ones that a recipient takes too.
_IMF = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|UTC)", re.ASCII)
_RFC850 = re.compile(r"[A-Z][a-z]{5,8}, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_ASCTIME = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})", re.ASCII)
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> bytes:
    at = gmtime(seconds)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} "
        f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    ).encode()


def http_date(time_ms: int) -> bytes:
    """As Last-Modified and Date carry it: ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    return _http_date(time_ms // 1000)


@lru_cache(maxsize=4096)
def _iso_seconds(seconds: int) -> str:
    at = gmtime(seconds)
    return f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"


def iso_date(time_ms: int) -> str:
    """As documents carry it: ``1994-11-06T08:49:37.000Z``, whole seconds.

    A listing's time then equals the Last-Modified of a read, which clients compare.
    """
    return _iso_seconds(time_ms // 1000) + ".000Z"


def parse_http_date(value: bytes) -> int | None:
    """The time in milliseconds; None unless it is an HTTP date (RFC 9110 §5.6.7) or ISO 8601, which S3 also takes."""
    text = value.decode("latin-1")
    try:
        if match := _IMF.fullmatch(text):
            day, month, year, *clock = match.groups()
        elif match := _RFC850.fullmatch(text):
            day, month, year, *clock = match.groups()
            # Two digits: fifty years back or less. No object here is older than this century.
            year = f"20{year}"
        elif match := _ASCTIME.fullmatch(text):
            month, day, *clock, year = match.groups()
        else:
            return parse_iso_date(text)
        hour, minute, second = map(int, clock)
        # A leap second is the second before it.
        at = datetime(int(year), _MONTH[month], int(day), hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, KeyError):
        return None
    return (at - _EPOCH) // _MILLISECOND


def parse_iso_date(text: str) -> int | None:
    """The time in milliseconds; None unless it is ISO 8601 with a zone."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, off_hours, off_minutes = match.groups()[6:]
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        if sign:
            offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
            at = at - offset if sign == "+" else at + offset
    except (ValueError, OverflowError):
        return None
    return (at - _EPOCH) // _MILLISECOND + int((fraction or "0").ljust(3, "0")[:3])
