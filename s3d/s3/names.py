"""Names of buckets, keys and versions, and the header that names a copy's source.

Sources: "General purpose bucket naming rules" and "Naming Amazon S3 objects" in the Amazon S3 user guide; CopyObject in
the API reference for ``x-amz-copy-source``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import msgspec

from s3d.s3.errors import MAX_KEY_BYTES, S3Error

# Labels of letters, digits and hyphens between dots, none of which begins or ends with a hyphen: names that a host name
# can carry. S3 has dropped that rule for names with ".-" in them since; its own documentation still advises against
# them, and a virtual-host address could not name them.
_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# As opaque as AWS lets them be: 32 characters today, and "up to 1,024 bytes" by the documentation.
_VERSION = re.compile(rb"[A-Za-z0-9._-]{32}")
_VERSION_KEY = b"?versionId="


def check_bucket_name(name: str) -> None:
    """Raise InvalidBucketName unless a new bucket may be called ``name``."""
    if not _NAME.fullmatch(name) or _ADDRESS.fullmatch(name) or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES):
        raise S3Error("InvalidBucketName", extra={"BucketName": name})


def check_key(key: bytes) -> None:
    """Raise KeyTooLongError if ``key``, decoded, has more than `MAX_KEY_BYTES`."""
    if len(key) > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", extra={"Size": str(len(key)), "MaxSizeAllowed": str(MAX_KEY_BYTES)})


def check_version(version: bytes | None, key: bytes) -> None:
    """Hold a ``versionId`` against an object of an unversioned bucket, whose only version is ``null``.

    None, for no such parameter, passes. Raises InvalidArgument for what cannot be a version id, NoSuchVersion (404) for
    one that nothing here has.
    """
    if not is_current(version):
        raise S3Error("NoSuchVersion", extra={"Key": key, "VersionId": version or b""})


def is_current(version: bytes | None) -> bool:
    """Whether a ``versionId`` is that of an object of an unversioned bucket; InvalidArgument if it cannot be one."""
    if version is None or version == b"null":
        return True
    if not version:
        raise invalid_argument("versionId", "", "Version id cannot be the empty string")
    if not _VERSION.fullmatch(version):
        raise invalid_argument("versionId", version, "Invalid version id specified")
    return False


def refuse_version(version: bytes | None) -> None:
    """Raise InvalidArgument where an operation that makes an object is given a ``versionId``."""
    if version is not None:
        raise invalid_argument("versionId", version, "This operation does not accept a version-id.")


class CopySource(msgspec.Struct, frozen=True):
    """What ``x-amz-copy-source`` names."""

    bucket: str
    key: bytes
    version: bytes | None
    """As sent; None where there is none."""


def parse_copy_source(value: bytes) -> CopySource:
    """Read ``[/]bucket/key[?versionId=version]``, whose path is percent-encoded and has ``+`` for a space.

    Raises InvalidArgument, KeyTooLongError, or NotImplemented for the ARN of an access point.
    """
    path, mark, version = value.rpartition(_VERSION_KEY)
    if not mark:
        path, version = value, b""
    if b"?" in path:
        raise invalid_argument("x-amz-copy-source", value, "Unsupported copy source parameter.")
    if _ESCAPE.search(path):
        raise invalid_argument("x-amz-copy-source", value, "Invalid copy source encoding")
    decoded = unquote_to_bytes(path.replace(b"+", b" "))
    # One slash in front is a matter of taste; what follows the second one is the key, empty segments included.
    bucket, _, key = decoded.removeprefix(b"/").partition(b"/")
    if bucket.startswith(b"arn:"):
        raise S3Error("NotImplemented", extra={"Header": "x-amz-copy-source"})
    try:
        name = bucket.decode("ascii")
    except UnicodeDecodeError:
        name = ""
    if not name:
        raise invalid_argument("x-amz-copy-source", value, "Invalid copy source bucket name")
    if not key:
        raise invalid_argument("x-amz-copy-source", value, "Invalid copy source object key")
    check_key(key)
    return CopySource(name, key, unquote_to_bytes(version) if mark else None)


def invalid_argument(name: str, value: str | bytes, message: str) -> S3Error:
    """The InvalidArgument for the request's argument ``name``, to be raised."""
    return S3Error("InvalidArgument", message, extra={"ArgumentName": name, "ArgumentValue": value})
