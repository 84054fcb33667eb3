"""A filter's meaning, written from docs/filters.md as plainly as can be: slow, and without the product's evaluator.

It shares nothing with `s3d/filters/compile.py` and `native_filter.h`: globs are regular expressions over characters,
amounts are fractions, and what matters where something is not known is found by trying every way it may turn out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from s3d.filters.grammar import Clause, Condition, Glob, Wild

KNOWN, NOT_LOADED, UNKNOWABLE = "known", "not loaded", "unknowable"
BUCKET_TAGS, OBJECT_TAGS, METADATA = "bucket tags", "object tags", "metadata"
GROUPS = (BUCKET_TAGS, OBJECT_TAGS, METADATA)

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Object:
    """All there is to know of an object, and how much of that is known."""

    bucket: bytes
    key: bytes
    bucket_tags: Pairs = ()
    tags: Pairs = ()
    headers: Pairs = ()
    size_bytes: int | None = None
    modified_ms: int = 0
    now_ms: int = 0
    operation: bytes | None = None
    user: bytes | None = None
    states: dict[str, str] = field(default_factory=lambda: dict.fromkeys(GROUPS, KNOWN))


@dataclass(frozen=True)
class Verdict:
    included: bool | None
    """None: undecided."""
    needs: frozenset[str] = frozenset()
    clause: int | None = None
    by_setting: bool = False


def decide(clauses: Sequence[Clause], thing: Object, *, unknown_includes: bool = False) -> Verdict:
    """The verdict of a list of clauses, without reserved tags."""
    outcomes: list[tuple[int | None, bool, frozenset[str] | None]] = []  # clause, verdict, None if sure, else its gaps
    for index in reversed(range(len(clauses))):
        holds = clause_holds(clauses[index], thing)
        if holds is False:
            continue
        outcomes.append((index, not clauses[index].exclude, None if holds is True else holds))
        if holds is True:
            break
    else:
        outcomes.append((None, all(clause.exclude for clause in clauses), None))
    unsure = [place for place, (_, _, gaps) in enumerate(outcomes) if gaps is not None]

    def verdict(assignment: tuple[bool, ...]) -> bool:
        truth = dict(zip(unsure, assignment, strict=True))
        return next(included for place, (_, included, _) in enumerate(outcomes) if truth.get(place, True))

    missing: set[str] = set()
    for position, place in enumerate(unsure):
        for others in itertools.product((False, True), repeat=len(unsure) - 1):
            one = verdict((*others[:position], False, *others[position:]))
            other = verdict((*others[:position], True, *others[position:]))
            if one != other:
                missing |= outcomes[place][2] or frozenset()
    if not missing:
        index, included, _ = outcomes[-1]
        return Verdict(included, clause=index)
    loadable = frozenset(group for group in missing if thing.states[group] == NOT_LOADED)
    if loadable:
        return Verdict(None, loadable)
    return Verdict(unknown_includes, by_setting=True)


def clause_holds(clause: Clause, thing: Object) -> bool | frozenset[str]:
    """True, False, or the groups that it depends on."""
    if not matches(clause.bucket, thing.bucket) or (clause.key and not matches(clause.key, thing.key)):
        return False
    gaps: set[str] = set()
    for on_bucket, conditions in ((True, clause.bucket_conditions), (False, clause.key_conditions)):
        for condition in conditions:
            group = group_of(condition, on_bucket)
            if group is not None and thing.states[group] != KNOWN:
                gaps.add(group)
            elif not condition_holds(condition, thing, on_bucket):
                return False
    return frozenset(gaps) or True


def group_of(condition: Condition, on_bucket: bool) -> str | None:
    if condition.attribute == "tag":
        return BUCKET_TAGS if on_bucket else OBJECT_TAGS
    return None if condition.attribute in ("op", "user") else METADATA


def condition_holds(condition: Condition, thing: Object, on_bucket: bool) -> bool:
    if condition.attribute in ("size", "age"):
        return amount_holds(condition, thing)
    value = value_of(condition, thing, on_bucket)
    if not condition.operator:
        return value is not None
    if condition.operator == "!=":
        return not equal(condition, value)
    if condition.operator == "=":
        return equal(condition, value)
    constant = amount_of(plain(condition.value))
    assert constant is not None
    found = None if value is None else comparable(amount_of(value), constant[0])
    return found is not None and ordered(condition.operator, found, constant[1])


def amount_holds(condition: Condition, thing: Object) -> bool:
    if condition.attribute == "size":
        value = None if thing.size_bytes is None else Fraction(thing.size_bytes)
    else:
        value = Fraction(max(0, thing.now_ms - thing.modified_ms), 1000)
    if not condition.operator:
        return value is not None
    constant = amount_of(plain(condition.value))
    assert constant is not None
    if condition.operator == "!=":
        return value != constant[1]
    if value is None:
        return False
    return value == constant[1] if condition.operator == "=" else ordered(condition.operator, value, constant[1])


def ordered(operator: str, one: Fraction, other: Fraction) -> bool:
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator]


def equal(condition: Condition, value: bytes | None) -> bool:
    if value is None:
        return False
    if condition.amount is None:
        return matches(condition.value, value)
    constant = amount_of(plain(condition.value))
    assert constant is not None
    return comparable(amount_of(value), constant[0]) == constant[1]


def comparable(found: tuple[str, Fraction] | None, kind: str) -> Fraction | None:
    if found is None:
        return None
    bare = found[0] == "number" and kind in ("size", "duration")
    return found[1] if bare or found[0] == kind else None


def value_of(condition: Condition, thing: Object, on_bucket: bool) -> bytes | None:
    name = condition.name
    match condition.attribute:
        case "op":
            return thing.operation
        case "user":
            return thing.user
        case "tag":
            return dict(reversed(thing.bucket_tags if on_bucket else thing.tags)).get(name)
    if condition.attribute == "hdr" and name == b"content-length" and thing.size_bytes is not None:
        return b"%d" % thing.size_bytes
    if condition.attribute == "hdr" and name == b"last-modified":
        return imf(thing.modified_ms)
    name = b"x-amz-meta-" + name if condition.attribute == "md" else name
    return next((value for other, value in thing.headers if other.lower() == name), None)


def imf(time_ms: int) -> bytes | None:
    if not 0 <= time_ms < 253402300800000:
        return None
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return at.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()


def plain(glob: Glob) -> bytes:
    (literal,) = glob
    assert isinstance(literal, bytes)
    return literal


# Globs and amounts.


def matches(glob: Glob, text: bytes) -> bool:
    """Over characters: UTF-8 sequences, and bytes that belong to none."""
    pattern = ""
    for piece in glob:
        if isinstance(piece, Wild):
            pattern += ".*" if piece is Wild.ANY else "."
        else:
            pattern += re.escape(characters(piece))
    return re.fullmatch(pattern, characters(text), re.DOTALL) is not None


def characters(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


_UNITS = {
    "": ("number", 1), "b": ("size", 1), "s": ("duration", 1), "m": ("duration", 60), "h": ("duration", 3600),
    "d": ("duration", 86400), "w": ("duration", 604800),
} | {f"{letter}b": ("size", 1000**power) for power, letter in enumerate("kmgtp", 1)} | {
    f"{letter}ib": ("size", 1024**power) for power, letter in enumerate("kmgtp", 1)
}  # fmt: skip
_NUMBER = re.compile(r"(-?)(\d{1,18})(?:\.(\d{1,9}))?( *)([A-Za-z]*)", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:[Zz]|([+-]\d\d):(\d\d))?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def amount_of(octets: bytes) -> tuple[str, Fraction] | None:
    """Kind and value of a number, size (bytes), duration (seconds) or date (seconds since 1970)."""
    text = octets.strip(b" \t").decode("latin-1")
    if len(text) > 40:
        return None
    if re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT", text, re.ASCII):
        text = text.replace(":60 ", ":59 ")
        try:
            at = datetime.strptime(text[5:], "%d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        except ValueError:
            return None
        return "date", Fraction((at - _EPOCH) // timedelta(seconds=1))
    if (match := _ISO.fullmatch(text)) is not None:
        day, clock, second, fraction, hours, minutes = match.groups()
        second = "59" if second == "60" else second or "00"
        try:
            at = datetime.fromisoformat(f"{day}T{clock or '00:00'}:{second}+00:00")
        except ValueError:
            return None
        if hours and (abs(int(hours)) > 23 or int(minutes) > 59):
            return None
        offset = (int(hours[0] + "1")) * (abs(int(hours)) * 60 + int(minutes)) * 60 if hours else 0
        return "date", (at - _EPOCH) // timedelta(seconds=1) - offset + Fraction(
            int((fraction or "0").ljust(9, "0")), 10**9
        )
    match = _NUMBER.fullmatch(text)
    if match is None or match[5].lower() not in _UNITS or (match[1] and match[5]):
        return None
    kind, factor = _UNITS[match[5].lower()]
    whole = int(match[2]) * factor
    if whole > 2**63 - 1:
        return None
    value = whole + Fraction(int((match[3] or "0").ljust(9, "0")), 10**9) * factor
    return kind, -value if match[1] else value
