"""Conditional requests: reads, writes, deletes and the source of a copy.

Sources: RFC 9110 §13; "Conditional requests" in the Amazon S3 user guide; CopyObject, PutObject and DeleteObject in the
API reference. Times are compared in whole seconds, as headers carry them. ETags are without quotes here, and may come
without them, as S3 lets clients write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from s3d.s3.dates import parse_http_date
from s3d.s3.errors import S3Error
from s3d.s3.metadata import Headers

# An entity tag, weak or strong, in quotes; or a bare token.
_TAG = re.compile(rb'\s*(W/)?(?:"([^"]*)"|([^\s",]+))\s*(?:,|\Z)')

_READ = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))
_WRITE = frozenset((b"if-match", b"if-none-match", b"if-unmodified-since"))
_COPY = b"x-amz-copy-source-"
_IF_MATCH = "If-Match"
_IF_NONE_MATCH = "If-None-Match"
_IF_MODIFIED = "If-Modified-Since"
_IF_UNMODIFIED = "If-Unmodified-Since"


class Current(Protocol):
    """What conditions ask of an object; a Generation is one."""

    @property
    def etag(self) -> str: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...


def _failed(condition: str) -> S3Error:
    return S3Error("PreconditionFailed", extra={"Condition": condition})


def matches(value: bytes, etag: str, *, weak: bool) -> bool:
    """Whether the field value ``value``, ``*`` or a list of entity tags, names ``etag``.

    ``weak``: by weak comparison, as If-None-Match does; else a weak tag matches nothing (RFC 9110 §8.8.3.2).
    """
    if value.strip() == b"*":
        return True
    wanted = etag.encode()
    # Almost every request has one tag, quoted or bare.
    if value in (wanted, b'"%b"' % wanted):
        return True
    position = 0
    while position < len(value):
        found = _TAG.match(value, position)
        if found is None:
            return False
        if (weak or found[1] is None) and (found[2] if found[3] is None else found[3]) == wanted:
            return True
        position = found.end()
    return False


def check_read(headers: Headers, etag: str, modified_ms: int) -> None:
    """Hold GetObject's or HeadObject's conditions against an object, in the order of RFC 9110 §13.2.2.

    Raises NotModified (304; the answer needs the object's ETag and Last-Modified) or PreconditionFailed (412). A date
    that is malformed is ignored.
    """
    found = None
    for name, value in headers:
        if name in _READ:
            if found is None:
                found = {name: value}
            else:
                # A list that is spread over several fields is one list (RFC 9110 §5.3).
                found[name] = found[name] + b"," + value if name in found else value
    if found is not None:
        _evaluate(found, b"", etag, modified_ms)


def check_copy_source(headers: Headers, etag: str, modified_ms: int) -> None:
    """Hold the x-amz-copy-source-if- conditions of CopyObject or UploadPartCopy against the source.

    Raises PreconditionFailed (412), also where a read would get 304. If-Match that holds outweighs If-Unmodified-Since
    that does not, and If-None-Match that does not hold outweighs If-Modified-Since that does.
    """
    found = {name: value for name, value in headers if name.startswith(_COPY) and name[len(_COPY) :] in _READ}
    if not found:
        return
    try:
        _evaluate(found, _COPY, etag, modified_ms)
    except S3Error as error:
        if error.code != "NotModified":
            raise
        by = _IF_NONE_MATCH if _COPY + b"if-none-match" in found else _IF_MODIFIED
        raise _failed(f"x-amz-copy-source-{by}") from None


def _evaluate(found: Mapping[bytes, bytes], prefix: bytes, etag: str, modified_ms: int) -> None:
    named = prefix.decode()
    modified = modified_ms // 1000
    wanted = found.get(prefix + b"if-match")
    if wanted is not None:
        if not matches(wanted, etag, weak=False):
            raise _failed(named + _IF_MATCH)
    else:
        since = _seconds(found.get(prefix + b"if-unmodified-since"))
        if since is not None and modified > since:
            raise _failed(named + _IF_UNMODIFIED)
    unwanted = found.get(prefix + b"if-none-match")
    if unwanted is not None:
        if matches(unwanted, etag, weak=True):
            raise S3Error("NotModified")
    else:
        since = _seconds(found.get(prefix + b"if-modified-since"))
        if since is not None and modified <= since:
            raise S3Error("NotModified")


def _seconds(value: bytes | None) -> int | None:
    time_ms = None if value is None else parse_http_date(value)
    return None if time_ms is None else time_ms // 1000


def range_applies(headers: Headers, etag: str, modified_ms: int) -> bool:
    """Whether a Range may be served: If-Range, if there is one, names exactly this state (RFC 9110 §13.1.5)."""
    value = next((value for name, value in headers if name == b"if-range"), None)
    if value is None:
        return True
    time_ms = parse_http_date(value)
    if time_ms is not None:
        return time_ms // 1000 == modified_ms // 1000
    return value.strip() != b"*" and matches(value, etag, weak=False)


def conditional_write(headers: Headers) -> bool:
    """Whether `check_write` has anything to hold against what there is."""
    return any(name in _WRITE for name, _ in headers)


def check_write(headers: Headers, current: Current | None) -> None:
    """Hold the conditions of PutObject, CopyObject or CompleteMultipartUpload against what the key has now.

    Raises PreconditionFailed (412), or NoSuchKey (404) for If-Match where there is nothing. S3 takes only ``*`` for
    If-None-Match, and not both conditions at once, and no If-Unmodified-Since: NotImplemented (501). If-Modified-Since
    means nothing here (RFC 9110 §13.1.3). Whoever calls this must write in the same step, or the answer is of no worth.
    """
    wanted = unwanted = None
    for name, value in headers:
        if name == b"if-match":
            wanted = value
        elif name == b"if-none-match":
            unwanted = value
        elif name == b"if-unmodified-since":
            raise _not_taken(_IF_UNMODIFIED)
    if wanted is None and unwanted is None:
        return
    if wanted is not None and unwanted is not None:
        raise _not_implemented(
            f"{_IF_MATCH},{_IF_NONE_MATCH}", "Multiple conditional request headers present in the request"
        )
    if unwanted is not None and unwanted != b"*":
        raise _not_implemented(
            _IF_NONE_MATCH, "We don't accept the provided value of If-None-Match header for this API"
        )
    if wanted is not None:
        if current is None:
            raise S3Error("NoSuchKey")
        if not matches(wanted, current.etag, weak=False):
            raise _failed(_IF_MATCH)
    if unwanted is not None and current is not None:
        raise _failed(_IF_NONE_MATCH)


def _not_implemented(header: str, why: str) -> S3Error:
    return S3Error("NotImplemented", extra={"Header": header, "additionalMessage": why})


def _not_taken(header: str) -> S3Error:
    """For a condition that S3 does not have: to write as though it held could destroy what it was to protect."""
    return _not_implemented(header, f"We don't accept the {header} header for this API")


def check_delete(headers: Headers, current: Current | None) -> None:
    """Hold If-Match, x-amz-if-match-last-modified-time and x-amz-if-match-size of DeleteObject against the object.

    Raises PreconditionFailed (412). Deleting nothing succeeds, whatever these conditions: what the client wants gone is
    gone. InvalidArgument for a time or size that is none, NotImplemented (501) for If-None-Match and
    If-Unmodified-Since.
    """
    for name, _ in headers:
        if name == b"if-none-match":
            raise _not_taken(_IF_NONE_MATCH)
        if name == b"if-unmodified-since":
            raise _not_taken(_IF_UNMODIFIED)
    conditions: dict[bytes, bytes] = {
        name: value
        for name, value in headers
        if name in (b"if-match", b"x-amz-if-match-last-modified-time", b"x-amz-if-match-size")
    }
    if not conditions:
        return
    time = conditions.get(b"x-amz-if-match-last-modified-time")
    modified_ms = None if time is None else parse_http_date(time)
    size = conditions.get(b"x-amz-if-match-size")
    if time is not None and modified_ms is None:
        raise _bad_argument("x-amz-if-match-last-modified-time", time)
    if size is not None and not size.isdigit():
        raise _bad_argument("x-amz-if-match-size", size)
    check_delete_entry(
        current,
        conditions.get(b"if-match"),
        modified_ms,
        None if size is None else int(size[:20]),
    )


def _bad_argument(name: str, value: bytes) -> S3Error:
    return S3Error("InvalidArgument", extra={"ArgumentName": name, "ArgumentValue": value})


def check_delete_entry(
    current: Current | None, etag: bytes | None, modified_ms: int | None, size_bytes: int | None
) -> None:
    """The same for one entry of DeleteObjects, whose conditions are elements of the document."""
    if current is None:
        return
    if etag is not None and not matches(etag, current.etag, weak=False):
        raise _failed(_IF_MATCH)
    if modified_ms is not None and modified_ms // 1000 != current.modified_ms // 1000:
        raise _failed("If-Match-Last-Mod-Time")
    if size_bytes is not None and size_bytes != current.size_bytes:
        raise _failed("If-Match-Size")
