"""The directory trees that a power cut may leave behind, made from a recording.

What POSIX promises and no more: the data of a file is on the disk when an fsync or fdatasync of the file has returned
that began after the write; a name is there, or gone, when an fsync of its directory has returned that began after the
link, rename or unlink. Everything else may have reached the disk or not, in any order, a write in part
(`SECTOR_BYTES` each whole or not at all). A file whose size grew and whose data did not come is zero there. A rename
is one change: both names or none.

    disk = Disk(calls)                  # everything recorded
    disk = Disk(calls[:cut])            # all that had happened by then
    disk.write(directory, lost())       # as if nothing unsynced had reached the disk
    disk.write(directory, mixed(7))     # some of it, in the order of nobody; the number is the seed
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from crash.recording import Call, Kind

SECTOR_BYTES = 512
_APPEND_ZEROS = {"0"}
_KEEPS_SIZE = {"1"}


@dataclass(eq=False)
class _Change:
    """One change of a file's data or of a directory's names; `durable` as soon as a sync vouches for it."""

    at: int
    kind: Kind
    durable: bool = False
    offset: int = 0
    data: bytes = b""
    size: int = 0
    directory: _Directory | None = None
    name: str = ""
    node: _Node | None = None
    source: _Directory | None = None
    source_name: str = ""


@dataclass(eq=False)
class _Node:
    number: int
    changes: list[_Change] = field(default_factory=list)
    """Of a file: its data. Of a directory: its names, a rename in both."""


@dataclass(eq=False)
class _Directory(_Node):
    entries: dict[str, _Node] = field(default_factory=dict)
    """As the running kernel sees them."""


_N = TypeVar("_N", bound=_Node)


@dataclass(frozen=True)
class Choice:
    """What becomes of changes that no sync vouches for."""

    name: str
    entry: Callable[[], bool]
    """Whether a change of a name is on the disk."""
    data: Callable[[], bool]
    """Whether a write, or a change of size, is on the disk, whole or in part."""
    sector: Callable[[], bool]
    """Of a write in part: whether the next sector is."""
    torn: Callable[[], bool] = lambda: False
    """Whether a write that is on the disk is so in part."""


def _never() -> bool:
    return False


def _always() -> bool:
    return True


def lost() -> Choice:
    """Nothing that was not synced."""
    return Choice("lost", _never, _never, _never)


def kept() -> Choice:
    """Everything: what a killed process leaves behind, and no power cut."""
    return Choice("kept", _always, _always, _always)


def names_only() -> Choice:
    """All names and none of the data, as of a journal that holds back no name for its data."""
    return Choice("names only", _always, _never, _never)


def data_only() -> Choice:
    """All data and none of the names."""
    return Choice("data only", _never, _always, _always)


def mixed(seed: int) -> Choice:
    """Some of it: each change by itself, writes torn by sectors."""
    source = random.Random(seed)
    share = source.choice((0.2, 0.5, 0.8))

    def some() -> bool:
        return source.random() < share

    return Choice(f"mixed {seed}", some, some, some, lambda: source.random() < 0.5)


class Disk:
    """All changes of a recording, up to its end, and which of them are certain."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._count = 0
        self._root = self._make(_Directory)
        self._names: list[_Change] = []
        self._open: dict[tuple[int, int], _Node] = {}
        self._syncs: dict[tuple[int, int], tuple[_Node | None, int]] = {}
        for at, call in enumerate(calls):
            self._take(at, call)

    def _make(self, kind: type[_N]) -> _N:
        self._count += 1
        return kind(self._count)

    # Following the calls.

    def _find(self, path: str) -> tuple[_Directory, str]:
        """The directory that holds the name at the end of a path below the root."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        assert parts and ".." not in parts, path
        here = self._root
        for part in parts[:-1]:
            there = here.entries.get(part)
            assert isinstance(there, _Directory), f"{path}: {part} is no directory that the recording has seen"
            here = there
        return here, parts[-1]

    def _lookup(self, path: str) -> _Node | None:
        if path.strip("/.") == "" and ".." not in path:
            return self._root
        directory, name = self._find(path)
        return directory.entries.get(name)

    def _enter(self, at: int, kind: Kind, directory: _Directory, name: str, node: _Node | None) -> None:
        change = _Change(at, kind, directory=directory, name=name, node=node)
        if node is None:
            del directory.entries[name]
        else:
            directory.entries[name] = node
        directory.changes.append(change)
        self._names.append(change)

    def _take(self, at: int, call: Call) -> None:
        handle = (call.pid, call.fd)
        match call.kind:
            case Kind.OPEN:
                self._opened(at, call)
            case Kind.CLOSE:
                del self._open[handle]
            case Kind.DUP:
                self._open[call.pid, call.a] = self._open[handle]
            case Kind.WRITE:
                self._open[handle].changes.append(_Change(at, call.kind, offset=call.a, data=call.first))
            case Kind.TRUNCATE:
                self._open[handle].changes.append(_Change(at, call.kind, size=call.a))
            case Kind.TRUNCATE_PATH:
                node = self._lookup(call.path)
                assert node is not None, call.path
                node.changes.append(_Change(at, Kind.TRUNCATE, size=call.a))
            case Kind.ALLOCATE:
                if call.path in _APPEND_ZEROS:
                    self._open[handle].changes.append(_Change(at, call.kind, size=call.a + call.b))
                elif call.path not in _KEEPS_SIZE:
                    raise NotImplementedError(f"fallocate with mode {call.path}")
            case Kind.SYNC_BEGIN:
                self._syncs[call.pid, call.a] = self._open[handle], at
            case Kind.SYNC_ALL_BEGIN:
                self._syncs[call.pid, call.a] = None, at
            case Kind.SYNC_END | Kind.SYNC_ALL_END:
                self._vouch(*self._syncs.pop((call.pid, call.a)))
            case Kind.LINK_FD:
                self._enter(at, call.kind, *self._find(call.path), self._open[handle])
            case Kind.LINK:
                self._enter(at, call.kind, *self._find(call.target), self._lookup(call.path))
            case Kind.RENAME | Kind.UNLINK if _unseen(call.path):
                pass
            case Kind.RENAME:
                self._renamed(at, call)
            case Kind.UNLINK | Kind.RMDIR:
                self._enter(at, call.kind, *self._find(call.path), None)
            case Kind.MKDIR:
                self._enter(at, call.kind, *self._find(call.path), self._make(_Directory))
            case Kind.UNKNOWN:
                raise NotImplementedError(f"{call.path} on {call.target}: a replay cannot follow it")
            case Kind.SEND | Kind.MARK:
                pass

    def _opened(self, at: int, call: Call) -> None:
        flags = call.a
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            node: _Node | None = self._make(_Node)
        else:
            node = self._lookup(call.path)
            if node is None:
                node = self._make(_Node)
                self._enter(at, call.kind, *self._find(call.path), node)
            elif flags & os.O_TRUNC and not isinstance(node, _Directory):
                node.changes.append(_Change(at, Kind.TRUNCATE, size=0))
        assert node is not None
        self._open[call.pid, call.fd] = node

    def _renamed(self, at: int, call: Call) -> None:
        source, source_name = self._find(call.path)
        directory, name = self._find(call.target)
        node = source.entries.pop(source_name)
        directory.entries[name] = node
        change = _Change(
            at, call.kind, directory=directory, name=name, node=node, source=source, source_name=source_name
        )
        directory.changes.append(change)
        if source is not directory:
            source.changes.append(change)
        self._names.append(change)

    def _vouch(self, node: _Node | None, begun: int) -> None:
        """A sync that began then has returned: of one file or directory, or of all."""
        for one in [node] if node is not None else self._all():
            for change in one.changes:
                if change.at < begun:
                    change.durable = True

    def _all(self) -> Iterable[_Node]:
        reached: list[_Node] = [self._root, *self._open.values()]
        for one in reached:
            if isinstance(one, _Directory):
                reached.extend(one.entries.values())
        return reached

    # Making the tree.

    def unsynced(self) -> int:
        """How many changes no sync vouches for, of what can still be reached."""
        nodes = {id(one): one for one in self._all()}
        return len({id(change) for one in nodes.values() for change in one.changes if not change.durable})

    def write(self, directory: Path, choice: Choice) -> None:
        """Makes a tree, in a directory that is not there yet or empty."""
        names: dict[int, dict[str, _Node]] = {self._root.number: {}}
        for change in self._names:
            if not (change.durable or choice.entry()):
                continue
            assert change.directory is not None
            entries = names.setdefault(change.directory.number, {})
            if change.source is not None:
                before = names.setdefault(change.source.number, {})
                if before.get(change.source_name) is change.node:
                    del before[change.source_name]
            if change.node is None:
                entries.pop(change.name, None)
            else:
                entries[change.name] = change.node
        written: dict[int, Path] = {}
        self._write(directory, self._root, names, choice, written)

    def _write(
        self, path: Path, node: _Node, names: dict[int, dict[str, _Node]], choice: Choice, written: dict[int, Path]
    ) -> None:
        if isinstance(node, _Directory):
            path.mkdir(parents=True, exist_ok=True)
            for name, child in sorted(names.get(node.number, {}).items()):
                self._write(path / name, child, names, choice, written)
        elif node.number in written:
            os.link(written[node.number], path)
        else:
            path.write_bytes(_content(node, choice))
            written[node.number] = path


def _unseen(path: str) -> bool:
    """RocksDB's log for humans, written by stdio; it means nothing to a start."""
    return path.rsplit("/", 1)[-1].startswith("LOG")


def _content(node: _Node, choice: Choice) -> bytes:
    content = bytearray()
    for change in node.changes:
        certain = change.durable
        if not certain and not choice.data():
            continue
        match change.kind:
            case Kind.WRITE if certain or not choice.torn():
                _overwrite(content, change.offset, change.data)
            case Kind.WRITE:
                for start, data in _sectors(change.offset, change.data):
                    if choice.sector():
                        _overwrite(content, start, data)
            case Kind.TRUNCATE:
                content[change.size :] = b""
                content.extend(bytes(change.size - len(content)))
            case Kind.ALLOCATE:
                content.extend(bytes(max(0, change.size - len(content))))
    return bytes(content)


def _overwrite(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> Iterable[tuple[int, bytes]]:
    """The pieces of a write that reach the disk whole or not at all."""
    end = offset + len(data)
    start = offset
    while start < end:
        stop = min(end, start - start % SECTOR_BYTES + SECTOR_BYTES)
        yield start, data[start - offset : stop - offset]
        start = stop
