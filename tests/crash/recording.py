"""What a process did to a directory tree, call by call: the log that `record.c` writes, read back.

Other processes add marks to the same log (`mark`): what they were about to ask for, and what they were told.
"""

from __future__ import annotations

import functools
import json
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_RECORD = struct.Struct("=IIIiqqII")
_MAGIC = 0x53334452
SOURCE = Path(__file__).with_name("record.c")


class Kind(IntEnum):
    """`enum kind` of record.c, and the marks."""

    OPEN = 1
    CLOSE = 2
    DUP = 3
    WRITE = 4
    TRUNCATE = 5
    ALLOCATE = 6
    SYNC_BEGIN = 7
    SYNC_END = 8
    LINK_FD = 9
    LINK = 10
    RENAME = 11
    UNLINK = 12
    MKDIR = 13
    RMDIR = 14
    SEND = 15
    UNKNOWN = 16
    TRUNCATE_PATH = 17
    SYNC_ALL_BEGIN = 18
    SYNC_ALL_END = 19
    MARK = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One record. `a` and `b` are the call's numbers, `first` and `second` its bytes or paths below the root."""

    kind: Kind
    pid: int
    fd: int
    a: int
    b: int
    first: bytes
    second: bytes

    @property
    def path(self) -> str:
        return os.fsdecode(self.first)

    @property
    def target(self) -> str:
        return os.fsdecode(self.second)


def mark(log: Path, what: object) -> None:
    """Adds a mark, a JSON value, behind all that has been written down by now. Safe beside the recorded process."""
    text = json.dumps(what).encode()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, _RECORD.pack(_MAGIC, Kind.MARK, os.getpid(), -1, 0, 0, len(text), 0) + text)
    finally:
        os.close(descriptor)


def read_log(log: Path) -> list[Call]:
    """All calls in order. A record that was cut off by a kill ends the log."""
    return list(_records(log.read_bytes()))


def _records(data: bytes) -> Iterator[Call]:
    at = 0
    while at + _RECORD.size <= len(data):
        magic, kind, pid, fd, a, b, first_bytes, second_bytes = _RECORD.unpack_from(data, at)
        assert magic == _MAGIC, f"the log is damaged at byte {at}"
        at += _RECORD.size
        if at + first_bytes + second_bytes > len(data):
            return
        first = data[at : at + first_bytes]
        second = data[at + first_bytes : at + first_bytes + second_bytes]
        at += first_bytes + second_bytes
        yield Call(Kind(kind), pid, fd, a, b, first, second)


@functools.cache
def _library() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="s3d-record-"))
    library = directory / "record.so"
    subprocess.run(
        ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"],
        check=True,
        capture_output=True,
    )
    return library


def environment(root: Path, log: Path, swallow: tuple[str, ...] = ()) -> dict[str, str]:
    """What a process needs in its environment so that it is recorded. `swallow`: see RECORD_SWALLOW in record.c."""
    root.mkdir(parents=True, exist_ok=True)
    assert root == root.resolve(), f"{root} has symbolic links in it"
    env = {"LD_PRELOAD": str(_library()), "RECORD_ROOT": str(root), "RECORD_LOG": str(log)}
    return env | {"RECORD_SWALLOW": ",".join(swallow)} if swallow else env
