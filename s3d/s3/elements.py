"""What documents are made of: elements, and the few that many documents share.

XML 1.0 cannot carry every character of a key, nor bytes that are no UTF-8. With ``encoding-type=url`` keys are
percent-encoded and arrive whole; without it, what XML cannot carry is written as ``%XX`` (see `errors`), so that the
rest of a page can be read: S3's own ``&#x1;`` makes a parser give up all of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

import msgspec

from s3d.s3.checksums import ELEMENTS
from s3d.s3.errors import xml_text

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Value = str | int | bool | bytes


class Owner(msgspec.Struct, frozen=True):
    """An account as listings show it."""

    id: str
    display_name: str = ""


class ChecksumLike(Protocol):
    """An additional checksum: algorithm, value, and ``FULL_OBJECT`` or ``COMPOSITE``."""

    @property
    def algorithm(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def kind(self) -> str: ...


def element(name: str, value: Value) -> str:
    """``<name>value</name>``; truth is written as S3 does, in lower case."""
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    return f"<{name}>{xml_text(value)}</{name}>"


def document(name: str, content: str | bytes) -> bytes:
    """A whole document: the declaration, and element ``name`` in S3's namespace with the ready ``content``."""
    head = f'{_DECLARATION}<{name} xmlns="{_NAMESPACE}">'.encode()
    body = content if isinstance(content, bytes) else content.encode()
    return b"%b%b</%b>" % (head, body, name.encode())


def url_encoded(text: bytes | str) -> str:
    """As ``encoding-type=url`` has it: percent-encoded UTF-8, ``/`` as it is."""
    return quote(text, safe="/")


def in_listing(text: bytes | str, encode: bool) -> str | bytes:
    """A key, prefix, delimiter or marker as a listing shows it."""
    return url_encoded(text) if encode else text


def _plain(text: str) -> str:
    """`xml_text`, for what hardly ever has anything to escape, such as an ETag."""
    return text if text.isalnum() else xml_text(text)


def etag_element(etag: str) -> str:
    """An ETag, in the quotes that belong to it."""
    return f"<ETag>&quot;{_plain(etag)}&quot;</ETag>"


# Every row of a page has one, and mostly the same.
@lru_cache(maxsize=64)
def owner_element(owner: Owner, name: str = "Owner") -> str:
    """The Owner, or Initiator, of something."""
    return f"<{name}>{element('ID', owner.id)}{element('DisplayName', owner.display_name)}</{name}>"


def checksum_value(checksum: ChecksumLike | None) -> str:
    """The element of a checksum's value; nothing for None."""
    return "" if checksum is None else element(ELEMENTS[checksum.algorithm], checksum.value)


def checksum_elements(checksum: ChecksumLike | None) -> str:
    """A checksum's value and its kind; nothing for None."""
    return "" if checksum is None else checksum_value(checksum) + element("ChecksumType", checksum.kind)
