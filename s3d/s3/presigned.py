"""The x-amz- headers that a presigned URL carries in its query.

SDKs sign them there so that whoever gets the link need not know them; S3 takes them for the headers that they are.
Source: "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)" in the Amazon S3 API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from s3d.s3.checksums import BY_HEADER
from s3d.s3.metadata import Headers
from s3d.s3.names import invalid_argument

SIGNATURE = b"X-Amz-Signature"

# The signature's own; what says how this one message is framed, which no link can know; and the checksum of a body that
# was not there when the link was signed: SDKs put that of an empty one into it, and S3 does not look at it.
_NO_HEADERS = frozenset((
    b"x-amz-algorithm", b"x-amz-credential", b"x-amz-date", b"x-amz-expires", b"x-amz-signedheaders",
    b"x-amz-signature", b"x-amz-security-token", b"x-amz-content-sha256", b"x-amz-decoded-content-length",
    b"x-amz-trailer", b"x-amz-sdk-checksum-algorithm", *BY_HEADER,
))  # fmt: skip
# Of the name, a token of RFC 9110 §5.6.2 is all that a header can have.
_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def hoisted_headers(params: Iterable[tuple[bytes, bytes]], headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers that a presigned request has in its query, beyond ``headers``, which outweigh them.

    ``params`` are decoded; names come in any letter case and leave in lower case; of one that comes twice the first
    counts. Raises InvalidArgument for what no header can be: a line break in a link would end one.
    """
    there = {name for name, _ in headers}
    found = []
    for key, value in params:
        name = key.lower()
        if not name.startswith(b"x-amz-") or name in _NO_HEADERS or name in there:
            continue
        if not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise invalid_argument(key.decode("latin-1"), value, "Header value cannot be represented.")
        there.add(name)
        found.append((name, value.strip()))
    return found
