"""What of a request's headers is stored with an object and comes back with it, and what is refused.

Sources: "Working with object metadata" in the Amazon S3 user guide; PutObject, CreateMultipartUpload and GetObject in
the API reference. Header names are in lower case throughout, as the connection hands them over.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

from s3d.s3.errors import S3Error
from s3d.s3.names import invalid_argument

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values without the white space around them."""

MAX_USER_METADATA_BYTES = 2048
DEFAULT_CONTENT_TYPE = b"binary/octet-stream"

_USER = b"x-amz-meta-"
_REDIRECT = b"x-amz-website-redirect-location"
_SYSTEM = frozenset((
    b"cache-control", b"content-disposition", b"content-encoding", b"content-language", b"content-type", b"expires",
    _REDIRECT,
))  # fmt: skip
# RFC 2047 §2.
_MAX_WORD_BYTES = 75
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]*")
_UNPRINTABLE = re.compile(rb"[^\t\n\r\x20-\x7e]")
# RFC 2047 §4.2, rule 3; a space becomes an underscore instead.
_QUOTED = re.compile(rb"[^\x20-\x7e]|[=?_]")

_STORAGE_CLASSES = frozenset((
    b"STANDARD", b"REDUCED_REDUNDANCY", b"STANDARD_IA", b"ONEZONE_IA", b"INTELLIGENT_TIERING", b"GLACIER_IR",
))  # fmt: skip
# An object in one of these can be read only after it was restored.
_ARCHIVES = frozenset((b"GLACIER", b"DEEP_ARCHIVE"))

# Each changes what happens to the object in a way that nothing here carries out yet: to take the request as though the
# header were not there would be a lie about encryption, retention or access.
_REFUSED = frozenset((
    b"x-amz-server-side-encryption-aws-kms-key-id",
    b"x-amz-server-side-encryption-context", b"x-amz-server-side-encryption-bucket-key-enabled",
    b"x-amz-server-side-encryption-customer-algorithm", b"x-amz-server-side-encryption-customer-key",
    b"x-amz-server-side-encryption-customer-key-md5",
    b"x-amz-copy-source-server-side-encryption-customer-algorithm",
    b"x-amz-copy-source-server-side-encryption-customer-key",
    b"x-amz-copy-source-server-side-encryption-customer-key-md5",
    b"x-amz-object-lock-mode", b"x-amz-object-lock-retain-until-date", b"x-amz-object-lock-legal-hold",
    b"x-amz-grant-full-control", b"x-amz-grant-read", b"x-amz-grant-read-acp", b"x-amz-grant-write",
    b"x-amz-grant-write-acp", b"x-amz-write-offset-bytes", b"x-amz-mfa",
))  # fmt: skip
_SSE = b"x-amz-server-side-encryption"
_KEYS_OF_KMS = frozenset((b"aws:kms", b"aws:kms:dsse", b"aws:fsx"))
_CANNED_ACLS = frozenset((
    b"private", b"public-read", b"public-read-write", b"authenticated-read", b"aws-exec-read", b"bucket-owner-read",
    b"bucket-owner-full-control", b"log-delivery-write",
))  # fmt: skip
_OWNERSHIPS = frozenset((b"BucketOwnerEnforced", b"BucketOwnerPreferred", b"ObjectWriter"))

_OVERRIDES = {
    b"response-cache-control": b"cache-control",
    b"response-content-disposition": b"content-disposition",
    b"response-content-encoding": b"content-encoding",
    b"response-content-language": b"content-language",
    b"response-content-type": b"content-type",
    b"response-expires": b"expires",
}
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def stored_headers(request_headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """The system and user metadata of a new object, as its answers will carry them.

    Content-Type is always among them, ``binary/octet-stream`` when the client gave none; ``aws-chunked`` is taken out
    of Content-Encoding; values of one x-amz-meta- name are joined by commas; values with bytes outside ASCII become
    encoded words (RFC 2047), which is how S3 returns them. System metadata come first, each kind in order of arrival.

    Raises MetadataTooLarge over `MAX_USER_METADATA_BYTES` of user metadata (names without their prefix, and values,
    as they came), InvalidRedirectLocation.
    """
    system: dict[bytes, bytes] = {b"content-type": DEFAULT_CONTENT_TYPE}
    user: dict[bytes, bytes] = {}
    for name, value in request_headers:
        if name in _SYSTEM:
            if name == b"content-encoding":
                value = _without_framing(value)  # noqa: PLW2901
            if value:
                system[name] = value
        elif name.startswith(_USER):
            user[name] = user[name] + b"," + value if name in user else value
    size_bytes = sum(len(name) - len(_USER) + len(value) for name, value in user.items())
    if size_bytes > MAX_USER_METADATA_BYTES:
        raise S3Error(
            "MetadataTooLarge", extra={"Size": str(size_bytes), "MaxSizeAllowed": str(MAX_USER_METADATA_BYTES)}
        )
    redirect = system.get(_REDIRECT)
    if redirect is not None and not redirect.startswith((b"/", b"http://", b"https://")):
        raise S3Error("InvalidRedirectLocation")
    return (*system.items(), *((name, mail_safe(value)) for name, value in user.items()))


def _without_framing(value: bytes) -> bytes:
    """A Content-Encoding without ``aws-chunked``, which is how the request came and not what the object is."""
    if b"aws-chunked" not in value.lower():
        return value
    codings = (coding.strip() for coding in value.split(b","))
    return b", ".join(coding for coding in codings if coding and coding.lower() != b"aws-chunked")


def mail_safe(value: bytes) -> bytes:
    """``value`` if it is printable ASCII, else encoded words of it (RFC 2047), one space between them.

    S3 takes each byte for a character of ISO 8859-1 and encodes those in UTF-8, so that the word of a client that
    sends UTF-8 decodes to UTF-8 read as ISO 8859-1; its user guide shows ``ÄMÄZÕÑ S3`` coming back as
    ``=?UTF-8?B?w4PChE3Dg8KEWsODwpXDg8KRIFMz?=``. Clients have learnt to undo just that. The words are base64 unless
    most characters are printable ASCII, and a text too long for one is halved until it fits.
    """
    if _PRINTABLE.fullmatch(value):
        return value
    text = value.decode("latin-1")
    others = len(_UNPRINTABLE.findall(value))
    return b" ".join(_encoded_words(text, _base64_word if 2 * others >= len(value) else _quoted_word))


def _encoded_words(text: str, encode: Callable[[str], bytes]) -> Iterator[bytes]:
    word = encode(text)
    if len(word) > _MAX_WORD_BYTES and len(text) > 1:
        half = len(text) // 2
        yield from _encoded_words(text[:half], encode)
        yield from _encoded_words(text[half:], encode)
    else:
        yield word


def _base64_word(text: str) -> bytes:
    return b"=?UTF-8?B?" + b64encode(text.encode()) + b"?="


def _quoted_word(text: str) -> bytes:
    quoted = _QUOTED.sub(lambda found: b"=%02X" % ord(found[0]), text.encode()).replace(b" ", b"_")
    return b"=?UTF-8?Q?" + quoted + b"?="


def storage_class(headers: Headers) -> str:
    """What x-amz-storage-class asks for, ``STANDARD`` by default.

    Raises InvalidStorageClass, or NotImplemented for the archives that need RestoreObject.
    """
    value = _value(headers, b"x-amz-storage-class")
    if value is None:
        return "STANDARD"
    if value in _ARCHIVES:
        raise refused(b"x-amz-storage-class")
    if value not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", extra={"StorageClassRequested": value})
    return value.decode()


Encryption = Literal["accept", "refuse"]
"""What becomes of a request to encrypt an object with the store's own keys (SSE-S3, ``AES256``)."""


def check_supported(headers: Headers, *, bucket: bool = False, encryption: Encryption | None = None) -> None:
    """Raise NotImplemented, naming the header, where a request asks for something that is not carried out yet.

    ``bucket``: it makes a bucket. ``encryption``: it makes an object; any other request cannot ask for encryption. Only
    ACLs that say what is so anyway pass: ``private``, and for objects ``bucket-owner-full-control``. Raises
    InvalidArgument for an ACL, ownership or encryption that S3 does not know either.
    """
    for name, value in headers:
        if not name.startswith(b"x-amz-"):
            continue
        if name in _REFUSED:
            raise refused(name)
        if name == _SSE:
            _check_encryption(value, encryption)
        elif name == b"x-amz-acl":
            if value not in _CANNED_ACLS:
                raise invalid_argument("x-amz-acl", value, "")
            if value != b"private" and (bucket or value != b"bucket-owner-full-control"):
                raise refused(name)
        elif name == b"x-amz-object-ownership":
            if value not in _OWNERSHIPS:
                raise S3Error(
                    "InvalidArgument",
                    f"Invalid x-amz-object-ownership header: {value.decode('latin-1')}",
                    extra={"ArgumentName": "x-amz-object-ownership"},
                )
            if value != b"BucketOwnerEnforced":
                raise refused(name)
        elif name == b"x-amz-bucket-object-lock-enabled" and value.lower() != b"false":
            raise refused(name)


def asks_encryption(headers: Headers) -> bool:
    """Whether a request that `check_supported` let pass asks for encryption with the store's own keys."""
    return _value(headers, _SSE) is not None


def _check_encryption(value: bytes, encryption: Encryption | None) -> None:
    """S3's words and order: UploadPart and reads refuse the header, whatever it says."""
    if encryption is None:
        raise invalid_argument(_SSE.decode(), value, f"{_SSE.decode()} header is not supported for this operation.")
    if value in _KEYS_OF_KMS:
        raise refused(_SSE)
    if value != b"AES256":
        raise invalid_argument(_SSE.decode(), value, "The encryption method specified is not supported")
    if encryption == "refuse":
        raise S3Error(
            "NotImplemented",
            "s3d does not encrypt what it stores, and S3D_STANDALONE_SSE_S3=refuse keeps it from taking objects that "
            "are to be encrypted.",
            extra={"Header": _SSE},
        )


def refused(header: bytes) -> S3Error:
    """The NotImplemented for ``header``, to be raised."""
    return S3Error("NotImplemented", extra={"Header": header})


def response_overrides(params: Iterable[tuple[bytes, bytes]] | None, signed: bool) -> list[tuple[bytes, bytes]]:
    """The headers that ``response-…`` query parameters put in place of an object's own (GetObject, HeadObject).

    ``params`` are decoded. Raises InvalidRequest where the request is anonymous, as S3 does, and InvalidArgument for a
    value that no header can hold. Of a parameter that comes twice the first value counts.
    """
    if not params:
        return []
    overrides: dict[bytes, bytes] = {}
    for name, value in params:
        header = _OVERRIDES.get(name)
        if header is None:
            continue
        if not signed:
            raise S3Error(
                "InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests."
            )
        # A line break would end the header and begin whatever the sender of a link likes.
        if _CONTROL.search(value):
            raise invalid_argument(name.decode(), value, "Header value cannot be represented.")
        overrides.setdefault(header, value)
    return list(overrides.items())


def directive(headers: Headers, name: bytes) -> bool:
    """Whether ``x-amz-metadata-directive`` or ``x-amz-tagging-directive`` (``name``) says REPLACE; else it is COPY.

    Raises InvalidArgument for any other value.
    """
    value = _value(headers, name)
    if value is None or value == b"COPY":
        return False
    if value == b"REPLACE":
        return True
    kind = name.decode().split("-")[2]
    raise invalid_argument(name.decode(), value, f"Unknown {kind} directive.")


def _value(headers: Headers, name: bytes) -> bytes | None:
    return next((value for header, value in headers if header == name), None)
