"""Targets: filters, from their text to a decision."""

from __future__ import annotations

import re

from fuzz.registry import target
from s3d._core import filter as core
from s3d._core.filter import Subject, read_amount
from s3d.filters.compile import compile_clauses
from s3d.filters.errors import FilterError
from s3d.filters.grammar import Clause, Glob, Wild
from s3d.filters.parse import parse
from s3d.filters.show import show
from unit.filters import reference
from unit.filters.reference import Object

_FILTERS = [
    b"bucket[tag:key1=val1]/prefix*[tag:key2=val2][hdr:content-type='video/*']",
    b"logs, !logs/tmp/*, logs/tmp/'a, b'[size>10MB][age<=7d] # why\n@/etc/s3d/hot\n*/*z[md:a!=b][op=Put*][user=alice]",
    rb"b/\xff\n\*?*?[hdr:last-modified<Sun, 06 Nov 1994 08:49:37 GMT][hdr:content-length=1*]",
    "b/é?*€[tag:n>=1.5][tag:x!=2026-01-31T08:49:37.5+01:00]".encode(),
]
_TOKENS = [
    b"[tag:", b"[hdr:", b"[md:", b"[size>", b"[age<", b"[op=", b"[user", b"]", b"!=", b"<=", b"'", b'"', b"\\x", b"@",
    b"!", b"*", b"?", b"\n", b"#", b"10MB", b"7d", b"2026-01-31", b"\xc3\xa9", b"\xe2\x82", b"\xff", b"|",
    b"content-length",
]  # fmt: skip
_SUBJECT = Subject()


@target(seeds=_FILTERS, expected=(), tokens=_TOKENS)
def filter_text(data: bytes) -> object:
    text = data.decode("utf-8", "surrogateescape")
    try:
        items = parse(text)
    except FilterError as error:
        assert str(error)
        # What it quotes would make every input look new.
        return re.sub(r"[^a-z ].*", "", error.message, flags=re.DOTALL)
    assert parse(show(items)) == items
    program = compile_clauses([item for item in items if isinstance(item, Clause)])
    return len(items), program.nodes


# Parts of an input: the filter, bucket and key, a tag's value, a header's value, what is known.
@target(
    seeds=[
        b"|".join(parts)
        for parts in (
            (_FILTERS[0], b"bucket/prefix1", b"val2", b"video/mp4", b"\x00"),
            (_FILTERS[1], b"logs/tmp/a, b", b"", b"", b"\x0a"),
            (_FILTERS[2], b"b/\xff\n*abc", b"12", b"Sun, 06 Nov 1994 08:49:36 GMT", b"\x00"),
            (_FILTERS[3], "b/éé€".encode(), b"1.50", b"2026-01-31T07:49:37.5Z", b"\x05"),
            (b"a/a, a/ab*, !a/abc*[tag:n], a/abcd?", b"a/abcde", b"x", b"", b"\x3f"),
        )
    ],
    expected=(),
    tokens=_TOKENS,
)
def filter_decision(data: bytes) -> object:
    text, path, tag, header, states = (*data.split(b"|"), *[b""] * 5)[:5]
    try:
        items = parse(text.decode("utf-8", "surrogateescape"))
    except FilterError:
        return None
    clauses = [item for item in items if isinstance(item, Clause)][:200]
    bucket, _, key = path.partition(b"/")
    known = states[0] if states else 0
    tags = tuple((name, tag) for name in (b"key1", b"key2", b"n", b"x"))
    headers = tuple((name, header) for name in (b"Content-Type", b"x-amz-meta-a"))
    state = [("known", "not loaded", "unknowable", "known")[known >> shift & 3] for shift in (0, 2, 4)]
    program = compile_clauses(clauses, purpose=core.CACHE, included_if_unknowable=bool(known & 64))
    _SUBJECT.refill(bucket, key, operation=b"PutObject", user=tag, now_ms=10**12)
    for set_tags, each in ((_SUBJECT.set_bucket_tags, state[0]), (_SUBJECT.set_object_tags, state[1])):
        if each != "not loaded":
            set_tags(tags if each == "known" else None)
    if state[2] != "not loaded":
        _SUBJECT.set_metadata(
            headers if state[2] == "known" else None, size_bytes=len(data), modified_ms=len(tag) * 10**9
        )
    code = program.decide(_SUBJECT)
    read_amount(header)
    if sum(map(_wilds, clauses)) <= 12 and len(key) <= 64 and max(len(tag), len(header)) <= 64 and len(clauses) <= 8:
        thing = Object(
            bucket, key, tags, tags, headers, len(data), len(tag) * 10**9, 10**12, b"PutObject", tag,
            dict(zip(reference.GROUPS, state, strict=True)),
        )  # fmt: skip
        wanted = reference.decide(clauses, thing, unknown_includes=bool(known & 64))
        assert bool(code & core.INCLUDED) is bool(wanted.included), wanted
        assert (code >> core.NEEDS_SHIFT & 7).bit_count() == len(wanted.needs), wanted
        assert (code >> core.CLAUSE_SHIFT) == (0 if wanted.clause is None else wanted.clause + 1), wanted
    return code & 0xFF, len(clauses)


def _wilds(clause: Clause) -> int:
    globs: list[Glob] = [clause.bucket, clause.key or ()]
    globs += [condition.value for condition in (*clause.bucket_conditions, *clause.key_conditions)]
    return sum(isinstance(piece, Wild) for glob in globs for piece in glob)
