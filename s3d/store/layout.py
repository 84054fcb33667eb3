"""Where everything lies in the local directory; nobody else builds these paths.

``data/XX/NNNNNNNNNNNNNNNN``: a data file by its number in hex; XX are bits 8 to 15 of the number, so that 256 files in
a row share a directory, and one fsync of it serves all that are published at the same time. Beside those directories,
while they come in: bodies that need a name because the file system has no files without one.
``lost+found/``: data files that no row knew when the index could not be trusted.
``lock``, ``format``, ``boot`` and ``salvage``: see `Lock`, `s3d.store.store` and `s3d.store.trust`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

BOOT_SHIFT = 40
"""A file's number is ``boot << BOOT_SHIFT | counter``."""
MAX_NUMBER = 2**64 - 1
SHARDS = 256
_HEX = frozenset("0123456789abcdef")


class Layout:
    """The paths below one local directory."""

    def __init__(self, local_dir: Path) -> None:
        self.local_dir = local_dir
        self.lock = local_dir / "lock"
        self.format = local_dir / "format"
        self.data = local_dir / "data"
        self.boot = local_dir / "boot"
        self.salvage = local_dir / "salvage"
        self.lost_and_found = local_dir / "lost+found"
        self._shards = [os.fspath(self.data / f"{shard:02x}") for shard in range(SHARDS)]

    def shard(self, number: int) -> str:
        """The directory of data file ``number``."""
        return self._shards[number >> 8 & 0xFF]

    def file(self, number: int) -> str:
        """The path of data file ``number``."""
        return f"{self._shards[number >> 8 & 0xFF]}/{number:016x}"

    def lost(self, number: int) -> str:
        """The path of data file ``number`` once nobody knew it."""
        return os.fspath(self.lost_and_found / f"{number:016x}")

    def shards(self) -> Iterator[str]:
        return iter(self._shards)


def is_temporary(name: str) -> bool:
    """Whether a name is that of a body on its way in: ``.``, start of the process, ``-``, count, both in hex."""
    start, dash, count = name[1:].partition("-")
    return name[:1] == "." and dash == "-" and bool(start and count) and set(start + count) <= _HEX


def file_number(name: str) -> int | None:
    """The number that a data file's name says; None for any other name."""
    if len(name) != 16 or not set(name) <= _HEX:
        return None
    return int(name, 16)
