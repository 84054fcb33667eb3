"""From clauses to the tables that the evaluator runs on.

Each clause goes into a radix tree by the literal that every path it matches begins with, ``bucket/prefix``; what of
its globs comes after that is matched when the evaluator gets there. A clause whose bucket is itself a glob goes in with
what its bucket begins with.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3d._core import filter as core
from s3d.filters.grammar import (
    AGE,
    HEADER,
    METADATA,
    OPERATION,
    SIZE,
    TAG,
    USER,
    Clause,
    Condition,
    Glob,
    Wild,
)  # fmt: skip

_OPERATORS = {
    "": core.PRESENT, "=": core.EQUAL, "!=": core.NOT_EQUAL, "<": core.LESS, "<=": core.AT_MOST, ">": core.MORE,
    ">=": core.AT_LEAST,
}  # fmt: skip
# Not among the headers that are stored, and known all the same.
_DERIVED = {b"content-length": core.CONTENT_LENGTH_HEADER, b"last-modified": core.LAST_MODIFIED_HEADER}
_PLAIN = {SIZE: core.OBJECT_SIZE, AGE: core.AGE, OPERATION: core.OPERATION, USER: core.USER}

_Op = tuple[int, int, int]


def compile_clauses(
    clauses: Sequence[Clause], *, purpose: int = core.SYNC, included_if_unknowable: bool = False
) -> core.Program:
    """The program of a list of clauses, the last of which decides first.

    What no clause matches is excluded, except where all of them exclude (or there is none): then it is included.
    """
    return _Compiler().program(clauses, purpose, included_if_unknowable)


def needs_of(clauses: Sequence[Clause]) -> int:
    """What the clauses may have to know: BUCKET_TAGS, OBJECT_TAGS and METADATA of the core."""
    needs = 0
    for clause in clauses:
        if clause.bucket_conditions:
            needs |= core.BUCKET_TAGS
        for condition in clause.key_conditions:
            if condition.attribute == TAG:
                needs |= core.OBJECT_TAGS
            elif condition.attribute not in (OPERATION, USER):
                needs |= core.METADATA
    return needs


class _Compiler:
    def __init__(self) -> None:
        self._text = bytearray()
        self._places: dict[bytes, int] = {}
        self._ops: list[_Op] = []
        self._conditions: list[tuple[int, int, int, int, int, int, int, int]] = []
        self._clauses: list[tuple[bool, int, int, int, int, int, int, int, int]] = []
        self._nodes: list[tuple[int, int, int, int, int, int]] = []
        self._entries: list[int] = []

    def program(self, clauses: Sequence[Clause], purpose: int, included_if_unknowable: bool) -> core.Program:
        by_prefix: dict[bytes, list[int]] = {}
        for index, clause in enumerate(clauses):
            by_prefix.setdefault(self._clause(clause), []).append(index)
        self._tree(by_prefix)
        return core.Program(
            bytes(self._text),
            self._ops,
            self._conditions,
            self._clauses,
            self._nodes,
            self._entries,
            purpose=purpose,
            included_by_default=all(clause.exclude for clause in clauses),
            included_if_unknowable=included_if_unknowable,
        )

    def _clause(self, clause: Clause) -> bytes:
        """Adds the clause; returns its prefix."""
        key: Glob = clause.key or (Wild.ANY,)
        prefix, rest = _split(clause.bucket, core.MAX_PREFIX - 1)
        bucket_size = -1
        if not rest:
            bucket_size = len(prefix)
            literal, key = _split(key, core.MAX_PREFIX - bucket_size - 1)
            prefix += b"/" + literal
        bucket_op, bucket_ops = self._glob(rest)
        key_op, key_ops = self._glob(key)
        first = len(self._conditions)
        for condition in clause.bucket_conditions:
            self._condition(condition, core.BUCKET_TAG)
        for condition in clause.key_conditions:
            self._condition(condition, core.OBJECT_TAG)
        self._clauses.append((
            clause.exclude, bucket_size, len(prefix), bucket_op, bucket_ops, key_op, key_ops, first,
            len(self._conditions) - first,
        ))  # fmt: skip
        return prefix

    def _condition(self, condition: Condition, tag: int) -> None:
        name = condition.name
        attribute = _PLAIN.get(condition.attribute, tag)
        if condition.attribute == HEADER:
            attribute = _DERIVED.get(name, core.HEADER)
        elif condition.attribute == METADATA:
            attribute, name = core.HEADER, b"x-amz-meta-" + name
        first_op = op_count = nanos = 0
        kind = core.NO_AMOUNT
        if condition.amount is not None:
            kind, nanos = condition.amount
            # An age of 0 has no unit, and "a bare number" is compared with bare numbers only.
            if condition.attribute in (SIZE, AGE):
                kind = core.SIZE if condition.attribute == SIZE else core.DURATION
        elif condition.operator:
            first_op, op_count = self._glob(condition.value)
        self._conditions.append((
            attribute, _OPERATORS[condition.operator], self._literal(name), len(name), first_op, op_count, kind, nanos,
        ))  # fmt: skip

    def _glob(self, glob: Glob) -> tuple[int, int]:
        first = len(self._ops)
        for piece in glob:
            if isinstance(piece, Wild):
                self._ops.append((0, 0, core.GLOB_ANY if piece is Wild.ANY else core.GLOB_ONE))
            else:
                self._ops.append(
                    (self._literal(piece), len(piece), core.GLOB_TEXT if _is_text(piece) else core.GLOB_BYTES)
                )
        return first, len(self._ops) - first

    def _literal(self, literal: bytes) -> int:
        """Where the literal lies in the program's bytes; a thousand clauses on one tag have its name once."""
        place = self._places.get(literal)
        if place is None:
            place = self._places[literal] = len(self._text)
            self._text += literal
        return place

    def _tree(self, by_prefix: dict[bytes, list[int]]) -> None:
        """The radix tree of the prefixes, breadth first, so that the children of a node lie side by side."""
        prefixes = sorted(by_prefix)
        # Of each node: the prefixes that go through it (a range of the sorted ones), where its label begins and ends.
        waiting = [(0, len(prefixes), 0, 0)]
        made = 0
        while made < len(waiting):
            low, high, begin, end = waiting[made]
            entry = len(self._entries)
            label = self._literal(prefixes[low][begin:end]) if end > begin else 0
            if low < high and len(prefixes[low]) == end:
                self._entries += reversed(by_prefix[prefixes[low]])
                low += 1
            child = len(waiting)
            while low < high:
                first = prefixes[low]
                last = low + 1
                while last < high and prefixes[last][end] == first[end]:
                    last += 1
                waiting.append((low, last, end, _common(first, prefixes[last - 1], end + 1)))
                low = last
            self._nodes.append((label, end - begin, child, len(waiting) - child, entry, len(self._entries) - entry))
            made += 1


def _common(one: bytes, other: bytes, size: int) -> int:
    """How many bytes both begin with, which are at least ``size``; between two sorted ones all others share them."""
    length = min(len(one), len(other))
    while size < length and one[size] == other[size]:
        size += 1
    return size


def _split(glob: Glob, size: int) -> tuple[bytes, Glob]:
    """The literal of at most ``size`` bytes that everything the glob matches begins with, and what comes after it.

    It ends between two characters whatever follows: bytes at its end that are no UTF-8 may be the begin of a longer
    sequence in the text, which then is one character, and no match.
    """
    if not glob or isinstance(glob[0], Wild):
        return b"", glob
    literal = glob[0]
    text = literal[:size].decode("utf-8", "surrogateescape")
    while text and "\udc80" <= text[-1] <= "\udcff":
        text = text[:-1]
    prefix = text.encode("utf-8", "surrogateescape")
    rest = literal[len(prefix) :]
    return prefix, ((rest,) if rest else ()) + glob[1:]


def _is_text(literal: bytes) -> bool:
    try:
        literal.decode()
    except UnicodeDecodeError:
        return False
    return True
