"""Whether a web page may use a bucket: the bucket's CORS rules at the remote, remembered for a minute.

A browser lets any page send simple requests to any address, localhost included, and only withholds the answer. So a
request with an ``Origin`` that no rule of its bucket allows is refused before it does anything. The rules are S3's (AWS
S3 user guide, "Elements of a CORS configuration"); that they are enforced here and not only in the browser is ours.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from typing import NamedTuple
from xml.etree import ElementTree

from s3d._core.percent import encode
from s3d._core.request import Request
from s3d._core.response import Response
from s3d.remote.client import Remote, read_body
from s3d.s3.errors import S3Error, parse_error

_REMEMBERED_S = 60.0
_MAX_BUCKETS = 1000
_MAX_DOCUMENT_BYTES = 64 * 1024
"""S3 takes CORS configurations of up to 64 KB."""


class CorsRule(NamedTuple):
    """One rule: origins with at most one ``*`` each, and methods."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]

    def allows(self, origin: str, method: str) -> bool:
        """Whether a page from ``origin`` may use ``method``."""
        return method in self.methods and any(_matches(pattern, origin) for pattern in self.origins)


class CorsRules:
    """The CORS rules of buckets, fetched when a page first asks."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._rules: OrderedDict[str, tuple[float, tuple[CorsRule, ...]]] = OrderedDict()

    async def check(self, request: Request, origin: bytes) -> None:
        """Raise `S3Error` (AccessDenied) unless a rule of the request's bucket allows ``origin``."""
        text = origin.decode("latin-1")
        rules = await self._of(request.bucket) if request.bucket else ()
        method = "GET" if request.method == b"HEAD" else request.method.decode()
        if not any(rule.allows(text, method) for rule in rules):
            raise S3Error(
                "AccessDenied",
                f"No CORS rule of this bucket allows requests from the origin {text}. "
                "Programs other than web browsers should not send an Origin header.",
            )

    async def _of(self, bucket: str) -> tuple[CorsRule, ...]:
        known = self._rules.get(bucket)
        if known is not None and time.monotonic() - known[0] < _REMEMBERED_S:
            return known[1]
        rules = await self._fetch(bucket)
        self._rules[bucket] = (time.monotonic(), rules)
        self._rules.move_to_end(bucket)
        if len(self._rules) > _MAX_BUCKETS:
            self._rules.popitem(last=False)
        return rules

    async def _fetch(self, bucket: str) -> tuple[CorsRule, ...]:
        question = Request(b"GET", b"/" + encode(bucket.encode()) + b"?cors", [])
        question.bucket = bucket
        response: Response = await self._remote.forward(question, None)
        body = await read_body(response, _MAX_DOCUMENT_BYTES)
        if response.status == 200:
            return parse_rules(body)
        error = parse_error(body)
        if response.status == 404 and error is not None:
            return ()
        # Not being told the rules is not the same as there being none, but it allows nothing either.
        if error is not None and response.status < 500:
            raise S3Error("AccessDenied", f"The CORS rules of the bucket cannot be read: {error.message}")
        raise S3Error("ServiceUnavailable", "The CORS rules of the bucket cannot be read from the remote now.")


def parse_rules(document: bytes) -> tuple[CorsRule, ...]:
    """The rules in a CORSConfiguration document; `S3Error` (ServiceUnavailable) if it is none."""
    if b"<!DOCTYPE" in document:
        raise S3Error("ServiceUnavailable", "The remote's CORS configuration declares a document type.")
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise S3Error("ServiceUnavailable", f"The remote's CORS configuration is not XML: {error}") from error
    rules = []
    for element in root:
        if _local(element.tag) == "CORSRule":
            texts = [(_local(child.tag), (child.text or "").strip()) for child in element]
            rules.append(
                CorsRule(
                    tuple(text for name, text in texts if name == "AllowedOrigin"),
                    tuple(text for name, text in texts if name == "AllowedMethod"),
                )
            )
    return tuple(rules)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _matches(pattern: str, origin: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), origin) is not None
