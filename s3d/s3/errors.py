"""Errors as data: raised as `S3Error` anywhere, written as XML once at the edge, read back from a remote's answer.

XML 1.0 (fifth edition, §2.2) cannot carry most control characters, not even as references, and keys may hold any
bytes. In our documents every byte that is not part of valid UTF-8, and every character that XML excludes, is written
as ``%XX``, byte for byte. A reader thus always gets a document that parses. That a key which really contains the text
``%01`` looks the same is harmless here: error documents describe a request to whoever just made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self
from xml.parsers import expat

import msgspec

from s3d._core.fault import Fault
from s3d.s3.error_codes import ERRORS, FAULTS

# S3's own error documents are below 2 KiB; one with the canonical request in it can be as long as a request's head.
MAX_ERROR_BYTES = 64 * 1024


MAX_KEY_BYTES = 1024
_ABOUT_BUCKET = frozenset((
    "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "BucketNotEmpty", "InvalidBucketName", "NoSuchBucket",
    "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration", "NoSuchTagSet",
    "NoSuchWebsiteConfiguration", "ReplicationConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
))  # fmt: skip


class S3Error(Exception):
    """A request fails with ``code``.

    ``status`` and ``message`` are the code's own unless given; a code that is not in `ERRORS`, such as a compatible
    store's, needs its ``status`` (ValueError otherwise). ``resource`` is the path of bucket and key, decoded: text, or
    bytes as they came. ``extra`` becomes further elements of the document, in order (``Key``, ``BucketName``,
    ``ArgumentName``…); its names must be XML names, so never take them from a request. ``cause`` also becomes
    ``__cause__``.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        resource: str | bytes = "",
        status: int = 0,
        extra: Mapping[str, str | bytes] | None = None,
        cause: BaseException | None = None,
    ) -> None:
        if not status and code not in ERRORS:
            raise ValueError(f"{code!r} is no error code of S3, so its status must be given")
        own_status, own_message = ERRORS.get(code, (status, code))
        self.code = code
        self.message = message or own_message
        self.status = status or own_status
        self.resource = resource
        self.extra: dict[str, str | bytes] = dict(extra or {})
        self.cause = cause
        self.__cause__ = cause
        super().__init__(code, self.message)

    @classmethod
    def from_fault(cls, fault: Fault, resource: str | bytes = "") -> Self:
        """The error that a refusal by the core means; its detail, if it has one, is the message."""
        code, message = FAULTS[fault.code]
        return cls(code, fault.detail or message, resource=resource, extra=dict(fault.fields), cause=fault)

    def tell(self, *, method: str, bucket: str, key: bytes, target: str | bytes) -> None:
        """Add to `extra` what S3 says of the request with this code, where whoever raised the error did not.

        ``target`` is the request's path as it came.
        """
        told: dict[str, str | bytes] = {}
        if self.code in _ABOUT_BUCKET and bucket:
            told["BucketName"] = bucket
        elif self.code == "NoSuchKey":
            told["Key"] = key
        elif self.code == "KeyTooLongError":
            told.update(Size=str(len(key)), MaxSizeAllowed=str(MAX_KEY_BYTES))
        elif self.code == "InvalidURI":
            told["URI"] = target
        elif self.code == "MethodNotAllowed":
            told.update(Method=method, ResourceType="OBJECT" if key else "BUCKET" if bucket else "SERVICE")
        for name, value in told.items():
            self.extra.setdefault(name, value)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def to_xml(self, request_id: str, host_id: str = "") -> bytes:
        """The ``Error`` document (Amazon S3 API reference, "REST error responses"), UTF-8.

        An answer to HEAD, and one with status 304, has no body: whoever sends it leaves the document out.
        """
        elements = [("Code", self.code), ("Message", self.message), *self.extra.items()]
        if self.resource:
            elements.append(("Resource", self.resource))
        elements.append(("RequestId", request_id))
        if host_id:
            elements.append(("HostId", host_id))
        body = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in elements)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'.encode()


def _percent(data: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in data)


# What becomes of a character in XML text.
_ESCAPES: dict[int, str] = {
    **{code: _percent(chr(code).encode("utf-8", "surrogatepass")) for code in (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)},
    # The surrogates that `surrogateescape` puts in place of bytes that are not UTF-8.
    **{0xDC00 + byte: _percent(bytes([byte])) for byte in range(0x80, 0x100)},
    **{byte: _percent(bytes([byte])) for byte in range(0x20)},
    # Allowed, but a parser would turn them into something else.
    **{ord(character): f"&#{ord(character)};" for character in "\t\n\r"},
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
}


def xml_text(value: str | bytes) -> str:
    """``value`` as XML character data; what XML cannot carry becomes ``%XX`` (see the module's own text)."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return text.translate(_ESCAPES)


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an S3 error document says; an element that is missing is ``""``."""

    code: str
    message: str = ""
    region: str = ""
    """The bucket's region, where the request went to another one."""
    endpoint: str = ""
    """Where to send the request instead, in a PermanentRedirect or TemporaryRedirect: a host name."""
    bucket: str = ""
    resource: str = ""
    request_id: str = ""
    host_id: str = ""


_FIELDS = {
    "Code": "code",
    "Message": "message",
    "Region": "region",
    "Endpoint": "endpoint",
    "Bucket": "bucket",
    "BucketName": "bucket",
    "Resource": "resource",
    "RequestId": "request_id",
    "HostId": "host_id",
}


class _Refused(Exception):
    """The document is none of S3's."""


class _Reader:
    """Takes the text of the elements directly below ``Error``; the first of a name counts."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._depth = 0
        self._field = ""
        self._text: list[str] = []

    def start(self, name: str, _: object) -> None:
        self._depth += 1
        local = name.rpartition(":")[2]
        if self._depth == 1 and local != "Error":
            raise _Refused(local)
        self._field = _FIELDS.get(local, "") if self._depth == 2 else ""
        self._text.clear()

    def text(self, text: str) -> None:
        if self._field:
            self._text.append(text)

    def end(self, _: str) -> None:
        self._depth -= 1
        if self._field and self._depth == 1:
            self.found.setdefault(self._field, "".join(self._text).strip())
        self._field = ""

    def doctype(self, *_: object) -> None:
        # S3 sends none. Without one there are no entities, so nothing in the document can multiply or refer outwards.
        raise _Refused("doctype")


def parse_error(body: bytes, *, whole: bool = True) -> ErrorBody | None:
    """Read a remote's error document; None when ``body`` is not one.

    Not one is: no ``Error`` element with a ``Code``, XML that is not well-formed or declares a document type, or more
    than `MAX_ERROR_BYTES`. A proxy's or captive portal's page therefore never passes for an answer of S3. Never
    raises, whatever the bytes. ``whole`` is false where ``body`` is only how a document begins: what stands in its
    first `MAX_ERROR_BYTES` is read.
    """
    if not whole:
        body = body[:MAX_ERROR_BYTES]
    elif len(body) > MAX_ERROR_BYTES:
        return None
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        # A long operation keeps its connection alive with white space before its document.
        parser.Parse(body.lstrip(b" \t\r\n"), whole)
    # ValueError and LookupError: an encoding in the XML declaration that Python does not have.
    except (expat.ExpatError, _Refused, ValueError, LookupError):
        return None
    if not reader.found.get("code"):
        return None
    return ErrorBody(**reader.found)
