"""Tags of objects and buckets: how they come, and S3's limits.

Sources: "Categorizing your objects using tags" in the Amazon S3 user guide; PutObjectTagging, PutBucketTagging and
PutObject (``x-amz-tagging``) in the API reference. Lengths count UTF-16 code units, as S3 does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from s3d.s3.errors import S3Error
from s3d.s3.names import invalid_argument
from s3d.s3.reading import malformed, parse_document, parse_tags

Tags = tuple[tuple[str, str], ...]

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_KEY_UNITS = 128
MAX_VALUE_UNITS = 256

# Besides letters, digits and spaces of any script.
_MARKS = frozenset("+-=._:/@")
_PLAIN = re.compile(r"[A-Za-z0-9 +\-=._:/@]*")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_ENCODING = (
    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
    "duplicates."
)


def parse_tagging(body: bytes, *, bucket: bool = False) -> Tags:
    """The tags of a Tagging document (PutObjectTagging; ``bucket``: PutBucketTagging), by key.

    Raises MalformedXML, or what `check_tags` raises.
    """
    root = parse_document(body, "Tagging")
    if len(root.children) != 1 or root.children[0].name != "TagSet":
        raise malformed()
    return check_tags(parse_tags(root.children[0]), bucket=bucket)


def parse_tagging_header(value: bytes) -> Tags:
    """The tags that ``x-amz-tagging`` carries as query parameters, by key.

    Raises InvalidArgument for what is not so encoded or has a key twice, or what `check_tags` raises.
    """
    tags: list[tuple[str, str]] = []
    for pair in value.split(b"&"):
        if not pair:
            continue
        if _ESCAPE.search(pair):
            raise invalid_argument("x-amz-tagging", value, _ENCODING)
        key, _, text = pair.replace(b"+", b" ").partition(b"=")
        try:
            tags.append((unquote_to_bytes(key).decode(), unquote_to_bytes(text).decode()))
        except UnicodeDecodeError:
            raise invalid_argument("x-amz-tagging", value, _ENCODING) from None
        if not key:
            raise invalid_argument("x-amz-tagging", value, _ENCODING)
    if len({name for name, _ in tags}) < len(tags):
        raise invalid_argument("x-amz-tagging", value, _ENCODING)
    return check_tags(tags)


def check_tags(tags: Sequence[tuple[str, str]], *, bucket: bool = False) -> Tags:
    """``tags`` in order of their keys if they keep S3's limits for an object, or for a bucket.

    Raises BadRequest for too many, InvalidTag for a key or value that is too long or has characters that tags cannot
    have, for a key that comes twice or begins with ``aws:``.
    """
    if len(tags) > (MAX_BUCKET_TAGS if bucket else MAX_OBJECT_TAGS):
        raise S3Error(
            "BadRequest",
            f"Bucket tag count cannot be greater than {MAX_BUCKET_TAGS}"
            if bucket
            else f"Object tags cannot be greater than {MAX_OBJECT_TAGS}",
        )
    seen: set[str] = set()
    for key, value in tags:
        if not key or not _fits(key, MAX_KEY_UNITS):
            raise S3Error("InvalidTag", "The TagKey you have provided is invalid", extra={"TagKey": key})
        if not _fits(value, MAX_VALUE_UNITS):
            raise S3Error(
                "InvalidTag",
                "The TagValue you have provided is invalid",
                extra={"TagKey": key, "TagValue": value},
            )
        if key.lower().startswith("aws:"):
            raise S3Error("InvalidTag", "System tags cannot be added/updated by requester", extra={"TagKey": key})
        if key in seen:
            raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key", extra={"TagKey": key})
        seen.add(key)
    return tuple(sorted(tags))


def _fits(text: str, units: int) -> bool:
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * units:
        return False
    return bool(_PLAIN.fullmatch(text)) or all(
        character in _MARKS or unicodedata.category(character)[0] in "LNZ" for character in text
    )
