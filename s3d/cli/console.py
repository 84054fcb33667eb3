"""What every command prints, and how it ends.

Results go to stdout, everything else (progress, questions, errors) to stderr, so that output can be piped. A command
ends by returning (exit code 0) or by raising `Failure`, which `s3d.cli.main` turns into one sentence and a code.
"""

from __future__ import annotations

import base64
import datetime
import json
import sys
from typing import Any

OK = 0
ERROR = 1
USAGE = 2
UNREACHABLE = 3
IN_USE = 4
INTERRUPTED = 130


class Failure(Exception):
    """The command cannot do what was asked. `message` says why and what to do; `code` is the exit code."""

    def __init__(self, message: str, code: int = ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def note(message: str) -> None:
    """Print a line for the reader, not for a pipe."""
    print(message, file=sys.stderr, flush=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document; `indent=None` makes it one line."""
    print(json.dumps(value, indent=indent, ensure_ascii=False, default=plain), flush=True)


def plain(value: object) -> object:
    """JSON's form of what botocore returns: times in ISO 8601, bytes in base64."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def visible(text: str) -> str:
    """Text with control characters written as escapes, so that a key can neither forge lines nor steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def human_size(size_bytes: int) -> str:
    """A size for people: `999 B`, `1.5 KiB`, `12 GiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.0f} PiB" if size >= 10 else f"{size:.1f} PiB"


def human_time(seconds: float) -> str:
    """A span of time for people: `8 s`, `3 min`, `5 h`, `12 days`."""
    for unit, length_s in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def plural(count: int, word: str) -> str:
    """`1 object`, `2,500 objects`."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")
