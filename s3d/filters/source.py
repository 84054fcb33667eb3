"""Where clauses come from: the option's own text, and the files that its ``@path`` items name.

Files are watched by looking at them: one stat(2) each per interval. inotify would say sooner, but says nothing on NFS,
loses the file when an editor or Kubernetes (``..data``) replaces it, and takes a dependency and a thread; a list of
clauses is not worth that. A file is read again when it has changed and then stood still for one interval, so that half
of a list that somebody is writing is not taken for the whole.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from s3d.filters.errors import FilterError
from s3d.filters.grammar import MAX_CLAUSES, MAX_FILES, MAX_TEXT_BYTES, Clause, FileList, Span
from s3d.filters.parse import parse

Stamp = tuple[int, int, int, int, int]
"""What tells one state of a file from another: device, inode, size, times of modification and of change."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A clause and where it stands."""

    clause: Clause
    source: str
    """The path of its file as the filter names it; empty for the filter's own text."""
    text: str
    """The whole text that its span is of."""

    @property
    def span(self) -> Span:
        return self.clause.span


@dataclass(frozen=True, slots=True)
class Sources:
    """A filter with its files read."""

    clauses: tuple[Placed, ...]
    stamps: dict[str, Stamp | None]
    """Of each file when it was read."""


def read_sources(text: str) -> Sources:
    """The clauses of ``text`` with those of its files in their places.

    Relative paths begin at the working directory, ``~`` is the home directory. A file must have a clause: an empty one
    is more likely cut off than meant. Raises `FilterError`.
    """
    placed: list[Placed] = []
    stamps: dict[str, Stamp | None] = {}
    contents: dict[str, str] = {}
    for item in parse(text):
        if isinstance(item, Clause):
            placed.append(Placed(item, "", text))
        else:
            if item.path not in contents:
                if len(contents) == MAX_FILES:
                    raise FilterError(f"more than {MAX_FILES} files", text=text, span=item.span)
                contents[item.path], stamps[item.path] = _read(item, text)
            content = contents[item.path]
            found = [each for each in parse(content, item.path, in_file=True) if isinstance(each, Clause)]
            if not found:
                raise FilterError(
                    "there is no clause in this file; * is every object",
                    text=content,
                    source=item.path,
                    span=Span(0, 0),
                )
            placed += (Placed(clause, item.path, content) for clause in found)
        if len(placed) > MAX_CLAUSES:
            raise FilterError(f"more than {MAX_CLAUSES:,} clauses with those of the files", text=text, span=item.span)
    return Sources(tuple(placed), stamps)


def stamp(path: str) -> Stamp | None:
    """The state of a file now; None when it cannot be looked at."""
    try:
        return _stamp(os.stat(Path(path).expanduser()))
    except (OSError, RuntimeError):
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(item: FileList, text: str) -> tuple[str, Stamp]:
    def unreadable(why: str) -> FilterError:
        return FilterError(f"the file {item.path} cannot be read: {why}", text=text, span=item.span)

    try:
        # Opening a pipe would wait for somebody to write.
        number = os.open(Path(item.path).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except RuntimeError:
        raise unreadable("there is no such user") from None
    except OSError as error:
        raise unreadable(error.strerror or str(error)) from None
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise unreadable("it is not a regular file")
        with open(number, "rb", closefd=False) as file:
            octets = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise unreadable(error.strerror or str(error)) from None
    finally:
        os.close(number)
    if len(octets) > MAX_TEXT_BYTES:
        raise unreadable(f"it has more than {MAX_TEXT_BYTES:,} bytes")
    return octets.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"), _stamp(found)
