"""Form uploads from browsers: the signed policy that says what a form may upload.

Sources, Amazon S3 API reference: "Authenticating Requests: Browser-Based Uploads Using POST" and "POST Policy".
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec

from s3d._core.sigv4 import Credentials
from s3d.auth.identity import Identity
from s3d.s3.errors import S3Error

MAX_POLICY_BYTES = 20_480
"""Above S3's own limit for all form fields but the file (20 KB)."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_REQUIRED = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_NEED_NO_CONDITION = frozenset({"policy", "x-amz-signature", "file"})
_VERSION_2 = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
_TIME = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_EXPIRATION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class PostPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified form may still get wrong: the size of its file, in bytes."""

    identity: Identity
    min_bytes: int = 0
    max_bytes: int | None = None

    def check_size(self, size_bytes: int) -> None:
        """Raise S3Error EntityTooSmall or EntityTooLarge if a file of ``size_bytes`` is outside the policy's range."""
        if size_bytes < self.min_bytes:
            raise S3Error(
                "EntityTooSmall", extra={"ProposedSize": str(size_bytes), "MinSizeAllowed": str(self.min_bytes)}
            )
        if self.max_bytes is not None and size_bytes > self.max_bytes:
            raise S3Error(
                "EntityTooLarge", extra={"ProposedSize": str(size_bytes), "MaxSizeAllowed": str(self.max_bytes)}
            )


def verify_post_policy(
    fields: Mapping[str, str], find: Callable[[bytes], Credentials | None], now_s: float
) -> PostPolicy:
    """Check a form's signature and hold its fields against its policy.

    ``fields``: the form's fields before the file, names in lower case, and ``bucket`` as the request addressed it.
    ``find`` gives the credentials of an access key; their ``owner`` is the `Identity`. ``now_s``: seconds since 1970.

    Raises S3Error: InvalidArgument for missing fields, AuthorizationHeaderMalformed for a bad credential,
    InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch, InvalidPolicyDocument, and AccessDenied when the policy
    has expired or a field does not meet it. A form without ``policy`` is an anonymous upload: AccessDenied.
    """
    if "policy" not in fields:
        raise S3Error("AccessDenied")
    if "awsaccesskeyid" in fields and "x-amz-signature" not in fields:
        raise S3Error("InvalidRequest", _VERSION_2)
    for name in _REQUIRED:
        if not fields.get(name):
            raise S3Error(
                "InvalidArgument",
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the "
                "fields.",
            )
    if fields["x-amz-algorithm"] != _ALGORITHM:
        raise S3Error("InvalidArgument", f"X-Amz-Algorithm only supports {_ALGORITHM}")
    credentials = _authenticate(fields, find)
    policy = _parse(fields["policy"])
    if _expiration(policy) <= now_s:
        _refuse("Policy expired.")
    smallest, largest = _hold(policy, fields)
    identity: Identity = credentials.owner
    return PostPolicy(identity=identity, min_bytes=smallest, max_bytes=largest)


def _authenticate(fields: Mapping[str, str], find: Callable[[bytes], Credentials | None]) -> Credentials:
    access_key, *scope = fields["x-amz-credential"].rsplit("/", 4)
    date = fields["x-amz-date"]
    if len(scope) != 4 or not access_key:
        _malformed('expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    day, _, service, terminal = scope
    if service != "s3":
        _malformed(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminal != "aws4_request":
        _malformed(f'incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    if not _TIME.fullmatch(date):
        raise S3Error("InvalidArgument", "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if day != date[:8]:
        _malformed(f'Invalid credential date "{day}". This date is not the same as X-Amz-Date: "{date[:8]}".')
    credentials = find(access_key.encode("utf-8", "surrogateescape"))
    if credentials is None:
        raise S3Error("InvalidAccessKeyId", extra={"AWSAccessKeyId": access_key})
    token = fields.get("x-amz-security-token", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(token, credentials.session_token or b""):
        raise S3Error("InvalidToken")
    key = credentials.signing_key("/".join(scope).encode("utf-8", "surrogateescape"))
    signature = key.signature(fields["policy"].encode("utf-8", "surrogateescape"))
    if not hmac.compare_digest(signature, fields["x-amz-signature"].encode("utf-8", "surrogateescape")):
        raise S3Error("SignatureDoesNotMatch", _MISMATCH)
    return credentials


def _malformed(what: str) -> NoReturn:
    raise S3Error(
        "AuthorizationHeaderMalformed", f"Error parsing the x-amz-credential field; the Credential is malformed; {what}"
    )


def _bad_document(what: str) -> NoReturn:
    raise S3Error("InvalidPolicyDocument", f"Invalid Policy: {what}")


def _refuse(what: str) -> NoReturn:
    raise S3Error("AccessDenied", f"Invalid according to Policy: {what}")


def _unescape(match: re.Match[str]) -> str:
    """The policy's escapes that JSON lacks ("POST Policy", Character Escaping)."""
    return {"$": "$", "v": "\\u000b"}.get(match[1], match[0])


def _parse(encoded: str) -> dict[str, Any]:
    if len(encoded) > MAX_POLICY_BYTES:
        raise S3Error("MaxPostPreDataLengthExceededError")
    try:
        # Line breaks inside the base64 are common in forms made by hand.
        text = binascii.a2b_base64("".join(encoded.split()), strict_mode=True).decode("utf-8")
        policy = json.loads(_ESCAPE.sub(_unescape, text))
    except (ValueError, RecursionError):  # binascii.Error and UnicodeDecodeError are ValueErrors
        _bad_document("Invalid JSON.")
    if not isinstance(policy, dict):
        _bad_document("Invalid JSON.")
    return policy


def _expiration(policy: dict[str, Any]) -> float:
    value = policy.get("expiration")
    if value is None:
        _bad_document("Policy missing expiration.")
    if not isinstance(value, str) or not _EXPIRATION.fullmatch(value):
        _bad_document("Invalid 'expiration' value.")
    try:
        return datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        _bad_document("Invalid 'expiration' value.")


def _hold(policy: dict[str, Any], fields: Mapping[str, str]) -> tuple[int, int | None]:
    """Hold ``fields`` against the conditions; returns the size range that the file must keep."""
    conditions = policy.get("conditions")
    if not isinstance(conditions, list):
        _bad_document("Policy missing conditions.")
    named: set[str] = set()
    smallest, largest = 0, None
    for condition in conditions:
        match condition:
            case dict() if condition:
                for name, value in condition.items():
                    _check("eq", name, value, fields, named)
            case [str() as operator, low, high] if operator.lower() == "content-length-range":
                low, high = _size(low), _size(high)
                smallest = max(smallest, low)
                largest = high if largest is None else min(largest, high)
            case [str() as operator, str() as name, value] if operator.lower() in ("eq", "starts-with"):
                if not name.startswith("$"):
                    _bad_document("Invalid Condition: a field's name must begin with $.")
                _check(operator.lower(), name[1:], value, fields, named)
            case _:
                _bad_document("Invalid Condition.")
    extra = [
        name
        for name in fields
        if name not in named and name not in _NEED_NO_CONDITION and not name.startswith("x-ignore-")
    ]
    if extra:
        _refuse(f"Extra input fields: {', '.join(extra)}")
    return smallest, largest


def _size(value: object) -> int:
    """A bound of content-length-range: a number, or its digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        _bad_document("Invalid content-length-range.")
    return value


def _check(operator: str, name: str, value: object, fields: Mapping[str, str], named: set[str]) -> None:
    name = name.lower()
    if not isinstance(value, str):
        _bad_document("Invalid Condition: a value must be a string.")
    named.add(name)
    actual = fields.get(name, "")
    if operator == "eq":
        met = actual == value
    elif name == "content-type":  # a list, each of which must match
        met = all(part.strip().startswith(value) for part in actual.split(","))
    else:
        met = actual.startswith(value)
    if not met:
        _refuse(f"Policy Condition failed: {json.dumps([operator, '$' + name, value])}")
