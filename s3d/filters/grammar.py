"""What a filter is made of, as `parse` reads it and `show` writes it.

All are frozen and compare by what they mean, not by where they stood. Texts are bytes: keys are, and names of buckets
and tags are compared in UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from s3d._core import filter as core

MAX_TEXT_BYTES = 1 << 20
"""Of one text: the option itself, or one file."""
MAX_CLAUSES = 10_000
"""Of a filter, its files included."""
MAX_FILES = 64
MAX_CONDITIONS = 32
"""Of one clause."""
MAX_GLOB_BYTES = 1024
"""Literal bytes of one glob, and its wildcards; no key is longer (Amazon S3 user guide, "Naming Amazon S3 objects")."""

TAG, HEADER, METADATA, SIZE, AGE, OPERATION, USER = "tag", "hdr", "md", "size", "age", "op", "user"
NAMED = (TAG, HEADER, METADATA)
"""Attributes that have names of their own: ``tag:project``."""
ATTRIBUTES = (*NAMED, SIZE, AGE, OPERATION, USER)
OPERATORS = ("=", "!=", "<=", "<", ">=", ">")
ORDERINGS = OPERATORS[2:]


class Wild(Enum):
    """What stands for characters in a glob."""

    ANY = "*"
    """Any run of characters, the empty one too."""
    ONE = "?"
    """Any one character."""


Glob = tuple[bytes | Wild, ...]
"""Literals, not empty and never two in a row, and wildcards, never two `Wild.ANY` in a row."""

EVERYTHING: Glob = (Wild.ANY,)


class Amount(NamedTuple):
    """A constant that is compared as what it is."""

    kind: int
    """NUMBER, SIZE, DURATION or DATE of `s3d._core.filter`."""
    nanos: int
    """10^-9 of one, a byte, a second, or seconds since 1970."""


class Span(NamedTuple):
    """A piece of a text: from one character to before another, counted from 0."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Condition:
    """``[attribute:name operator value]``, or ``[attribute:name]`` for "there is one"."""

    attribute: str
    """One of `ATTRIBUTES`."""
    name: bytes = b""
    """Of a tag as it is; of headers and metadata in lower case; empty for the rest."""
    operator: str = ""
    """One of `OPERATORS`, empty for presence."""
    value: Glob = ()
    """As written; what counts where `amount` is None."""
    amount: Amount | None = None
    """What `value` says, where it is one unquoted number, size, duration or date."""
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class Clause:
    """``bucket[…]/key[…]``, or its exclusion."""

    bucket: Glob
    bucket_conditions: tuple[Condition, ...] = ()
    """On the bucket's tags."""
    key: Glob | None = None
    """None where there is no slash; that, and the empty glob, are every object of the bucket."""
    key_conditions: tuple[Condition, ...] = ()
    """On the object."""
    exclude: bool = False
    span: Span = field(default=Span(0, 0), compare=False)


@dataclass(frozen=True, slots=True)
class FileList:
    """``@path``: the clauses that stand in a file."""

    path: str
    span: Span = field(default=Span(0, 0), compare=False)


Item = Clause | FileList

KINDS = {core.NUMBER: "number", core.SIZE: "size", core.DURATION: "duration", core.DATE: "date"}
