"""What was asked of a store and what it acknowledged, and so what it may hold after a crash.

An operation that was acknowledged has happened. One that was begun and not acknowledged has happened or not, whole.
One key is changed by one client at a time, so at most the last operation of a key is in doubt.
"""

from __future__ import annotations

import functools
import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.recording import Call, Kind, mark


@functools.lru_cache(maxsize=256)
def content(seed: int, size_bytes: int) -> bytes:
    """The bytes of an object: never the same for two seeds."""
    return random.Random(seed).randbytes(size_bytes)


@dataclass(frozen=True)
class Stored:
    """An object as it must come back."""

    seed: int
    size_bytes: int
    etag: str
    note: str
    """Its user metadata `note`."""
    tags: str = ""
    """As in the header x-amz-tagging."""

    @property
    def body(self) -> bytes:
        return content(self.seed, self.size_bytes)


State = Stored | None


@dataclass
class Operation:
    """One request that changes keys. `request_id` is the answer's, empty until it was acknowledged."""

    number: int
    what: str
    changes: dict[str, State]
    request_id: str = ""


@dataclass
class Ledger:
    """All operations in the order in which they were begun; thread-safe. With `log`, each is marked in a recording."""

    log: Path | None = None
    operations: list[Operation] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, what: str, changes: dict[str, State]) -> Operation:
        """To be called before the first byte of the request is sent."""
        with self._lock:
            one = Operation(len(self.operations), what, changes)
            self.operations.append(one)
        if self.log is not None:
            mark(self.log, {"begin": one.number})
        return one

    def acknowledge(self, operation: Operation, request_id: str) -> None:
        """To be called when the whole answer was read and said yes."""
        operation.request_id = request_id

    def everything(self) -> View:
        """What is known at the end."""
        return View(
            self.operations,
            {one.number for one in self.operations},
            {o.number for o in self.operations if o.request_id},
        )

    def at(self, calls: Sequence[Call]) -> View:
        """What is known where a recording ends: acknowledged is what the process had begun to say by then."""
        by_request = {one.request_id: one.number for one in self.operations if one.request_id}
        begun: set[int] = set()
        acknowledged: set[int] = set()
        for call in calls:
            if call.kind == Kind.MARK:
                begun.add(json.loads(call.first)["begin"])
            elif call.kind == Kind.SEND:
                acknowledged.update(by_request[one] for one in _request_ids(call.first) if one in by_request)
        return View(self.operations, begun, acknowledged)


def _request_ids(head: bytes) -> list[str]:
    found = []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-amz-request-id":
            found.append(value.strip().decode("latin-1"))
    return found


@dataclass
class View:
    """What a store may hold, for what was begun and acknowledged by some moment."""

    operations: Sequence[Operation]
    begun: set[int]
    acknowledged: set[int]

    def allowed(self) -> dict[str, list[State]]:
        """For each key that was ever touched, the states it may be in; the first is the one acknowledged last."""
        states: dict[str, list[State]] = {}
        for one in self.operations:
            for key, state in one.changes.items():
                known = states.setdefault(key, [None])
                if one.number in self.acknowledged:
                    known[:] = [state]
                elif one.number in self.begun:
                    known.append(state)
        return states
