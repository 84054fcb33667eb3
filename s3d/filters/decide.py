"""The decision function: is this object queued, cached, synced?

    admitted = Filter.open(config.read_cache_filter or "", Purpose.CACHE, unknown=config.filter_unknown)
    watching = asyncio.create_task(admitted.watch())      # reloads its @files
    subject = Subject()                                   # one for each thread, used again and again

    subject.refill(bucket, key, operation="GetObject", user=user)
    decision = admitted.decide(subject)
    if decision.needs & Needs.OBJECT_TAGS:                # only if a clause that may decide asks for them
        subject.set_object_tags(await fetch_tags())       # None: the remote does not let us
        decision = admitted.decide(subject)
    if decision.included: ...

What is at hand costs nothing to set, and lets reserved tags be seen; what is not is left out, and asked for only where
the verdict depends on it. `Filter.needs` tells beforehand what may ever be asked for: with 0 no decision needs a
lookup.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any, Literal, Self

import msgspec

from s3d._core import filter as core
from s3d._core.filter import Program, Subject
from s3d.filters.compile import compile_clauses, needs_of
from s3d.filters.errors import FilterError
from s3d.filters.source import Placed, Sources, Stamp, read_sources, stamp

__all__ = ["Decision", "Filter", "FilterError", "Needs", "Purpose", "Subject"]

Unknown = Literal["exclude", "include"]

_log = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0


class Purpose(IntEnum):
    """What is decided, and by that which reserved tags count."""

    QUEUE = core.QUEUE
    """Whether a write is queued; ``s3d.upload=true|false``."""
    CACHE = core.CACHE
    """Whether an object is cached; ``s3d.cache=pin|bypass|immutable``."""
    SYNC = core.SYNC
    """Whether an object belongs to the sync folder; no reserved tags."""


class Needs(IntFlag):
    """What a decision depends on and does not know yet."""

    BUCKET_TAGS = core.BUCKET_TAGS
    OBJECT_TAGS = core.OBJECT_TAGS
    METADATA = core.METADATA
    """Headers, user metadata, size and time of modification."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a filter says about an object."""

    included: bool
    needs: Needs = Needs(0)
    """Not 0: undecided (and not included). Set any of these and ask again; one may make the others needless, so those
    that are at hand come first."""
    clause: int | None = None
    """The clause that decided, an index of `Filter.clauses`."""
    by: Literal["clause", "default", "tag", "setting", "nothing"] = "clause"
    """Who decided: a clause; no clause, so that the default holds; a reserved tag; S3D_FILTER_UNKNOWN; nobody yet."""
    pinned: bool = False
    """Cache: never evict it (``s3d.cache=pin``)."""
    immutable: bool = False
    """Cache: never ask the remote whether it has changed (``s3d.cache=immutable``); says nothing of ``included``."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One state of the filter: swapped as a whole, so that a decision never mixes two."""

    sources: Sources
    program: Program
    needs: Needs
    decisions: dict[int, Decision]


class Filter:
    """A filter in force. Decisions are for one thread at a time; `refresh` may run in another.

    Make it with `open`.
    """

    def __init__(self, text: str, purpose: Purpose, unknown: Unknown, name: str) -> None:
        self._text = text
        self._purpose = purpose
        self._unknown = unknown
        self._name = name
        self._loaded = self._load()
        self._seen: dict[str, Stamp | None] = self._loaded.sources.stamps
        self._refused: dict[str, Stamp | None] | None = None
        self._unknown_before = 0
        self._reloads = 0
        self._error: FilterError | None = None

    @classmethod
    def open(cls, text: str, purpose: Purpose, *, unknown: Unknown = "exclude", name: str = "filter") -> Self:
        """The filter of ``text``, with its files read (which blocks). ``""`` includes everything.

        ``unknown`` is S3D_FILTER_UNKNOWN: the verdict where it depends on what the remote does not let us read.
        ``name`` is for the log. Raises `FilterError`.
        """
        return cls(text, purpose, unknown, name)

    def _load(self) -> _Loaded:
        sources = read_sources(self._text)
        clauses = [placed.clause for placed in sources.clauses]
        program = compile_clauses(clauses, purpose=self._purpose, included_if_unknowable=self._unknown == "include")
        return _Loaded(sources, program, Needs(needs_of(clauses)), {})

    @property
    def purpose(self) -> Purpose:
        return self._purpose

    @property
    def clauses(self) -> tuple[Placed, ...]:
        """All clauses in force, those of files in their places."""
        return self._loaded.sources.clauses

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the filter names."""
        return tuple(self._loaded.sources.stamps)

    @property
    def needs(self) -> Needs:
        """All that any clause may have to know. Reserved tags are no reason to look anything up."""
        return self._loaded.needs

    @property
    def unknown_decisions(self) -> int:
        """How often S3D_FILTER_UNKNOWN decided."""
        return self._unknown_before + self._loaded.program.unknown

    def decide(self, subject: Subject) -> Decision:
        """The decision about ``subject``, with its reserved tags where its tags are set. Never blocks."""
        loaded = self._loaded
        code = loaded.program.decide(subject)
        decision = loaded.decisions.get(code)
        if decision is None:
            # As many as there are clauses, times what tags and setting add.
            decision = loaded.decisions[code] = _decision(code)
        return decision

    async def watch(self, interval_s: float = POLL_INTERVAL_S) -> None:
        """Reload the files when they change, until cancelled. Returns at once where there are none."""
        while self.files:
            await asyncio.sleep(interval_s)
            # Looking at a file of a dead NFS server takes forever. After a cancellation it ends by itself.
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> bool:
        """Look at the files; reload when one has changed since they were loaded, but not since the last look.

        Returns whether another list is in force now. A list that cannot be used is logged, once, and the one before
        stays in force.
        """
        stamps = {path: stamp(path) for path in self.files}
        settled = stamps == self._seen
        self._seen = stamps
        if stamps == self._loaded.sources.stamps:
            self._error = self._refused = None
            return False
        if not settled or stamps == self._refused:
            return False
        try:
            loaded = self._load()
        except FilterError as error:
            self._error, self._refused = error, stamps
            _log.error("%s: the list before stays in force, since the new one cannot be used: %s", self._name, error)
            return False
        self._unknown_before += self._loaded.program.unknown
        self._loaded = loaded
        self._error = self._refused = None
        self._reloads += 1
        _log.info("%s: reloaded, %d clauses", self._name, len(loaded.sources.clauses))
        return True

    def status(self) -> dict[str, Any]:
        """The state of the filter as plain data."""
        return {
            "clauses": len(self.clauses),
            "files": list(self.files),
            "reloads": self._reloads,
            "unknown_decisions": self.unknown_decisions,
            "error": None if self._error is None else str(self._error),
        }


def _decision(code: int) -> Decision:
    needs = Needs(code >> core.NEEDS_SHIFT & 7)
    number = code >> core.CLAUSE_SHIFT
    by: Literal["clause", "default", "tag", "setting", "nothing"] = "clause" if number else "default"
    if needs:
        by = "nothing"
    elif code & core.BY_TAG:
        by = "tag"
    elif code & core.BY_SETTING:
        by = "setting"
    return Decision(
        included=bool(code & core.INCLUDED),
        needs=needs,
        clause=number - 1 if number else None,
        by=by,
        pinned=bool(code & core.PINNED),
        immutable=bool(code & core.IMMUTABLE),
    )
