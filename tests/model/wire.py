"""S3 requests with keys of any bytes, unsigned, and answers with the little XML that the model looks at."""

from __future__ import annotations

import http.client
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote_from_bytes, unquote_to_bytes

Value = bytes | str | int


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """S3's code of an error; empty for a success."""
        return self.text("Code") if self.status >= 300 and self.body else ""

    @cached_property
    def document(self) -> ET.Element:
        root = ET.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def text(self, path: str) -> str:
        return self.document.findtext(path) or ""

    def all(self, path: str, *fields: str) -> list[tuple[str, ...]]:
        """The texts of some fields of every element at a path."""
        return [tuple(one.findtext(name) or "" for name in fields) for one in self.document.iterfind(path)]

    @property
    def etag(self) -> str:
        return self.headers["ETag"].strip('"')


def encoded(value: Value) -> str:
    if isinstance(value, bytes):
        return quote_from_bytes(value, safe="")
    return quote_from_bytes(str(value).encode(), safe="")


def decoded(text: str) -> bytes:
    """A key or prefix out of a listing with encoding-type=url."""
    return unquote_to_bytes(text.replace("+", " "))


class Wire:
    """A connection to one bucket. Made anew after the server was started again."""

    def __init__(self, port: int, bucket: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._bucket = bucket

    def close(self) -> None:
        self._connection.close()

    def path(self, key: bytes) -> str:
        return f"/{self._bucket}/{quote_from_bytes(key, safe='/')}" if key else f"/{self._bucket}"

    def ask(
        self,
        method: str,
        key: bytes = b"",
        *,
        query: Mapping[str, Value | None] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `query` values of None are left out, empty ones stand without a "="."""
        pairs = [(name, value) for name, value in (query or {}).items() if value is not None]
        text = "&".join(name if value == "" else f"{name}={encoded(value)}" for name, value in pairs)
        self._connection.request(method, self.path(key) + ("?" + text if text else ""), body, dict(headers or {}))
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
