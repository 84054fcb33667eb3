"""How fast filters decide, beside the same rules in Python: `re`, and `fnmatch` as one would write it first."""

from __future__ import annotations

import fnmatch
import operator
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from s3d._core import filter as core
from s3d._core.filter import Subject
from s3d.filters.compile import compile_clauses
from s3d.filters.grammar import AGE, HEADER, METADATA, OPERATION, SIZE, TAG, Clause, Condition, Glob, Wild
from s3d.s3.dates import http_date

MAX_SAMPLES = 500
MAX_TRIALS = 100_000
"""Clauses times samples: in Python each object may cost a trial of every clause."""
NOW_MS = 1_800_000_000_000
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Way(msgspec.Struct, frozen=True):
    """One way to decide, measured."""

    name: str
    per_decision_ns: float

    @property
    def per_second(self) -> float:
        return 1e9 / self.per_decision_ns


class Found(msgspec.Struct, frozen=True):
    """What was measured; the first way is the evaluator."""

    clauses: int
    objects: int
    included: float
    ways: tuple[Way, ...]


class Sample(msgspec.Struct):
    """An object with all its attributes, as the Python ways see it."""

    bucket: str
    key: str
    bucket_tags: dict[str, str]
    tags: dict[str, str]
    headers: dict[str, str]
    size_bytes: int = 4096
    age_s: float = 3600
    operation: str = "GetObject"
    user: str = "alice"

    def header(self, name: str) -> str | None:
        """A header's value; two follow from size and age."""
        if name == "content-length":
            return str(self.size_bytes)
        if name == "last-modified":
            return http_date(NOW_MS - int(self.age_s * 1000)).decode()
        return self.headers.get(name)


def measure(clauses: Sequence[Clause], seconds: float) -> Found:
    """Decide with each way about the same objects, for ``seconds`` of CPU time each.

    CPU time, so that what else the machine does is not counted. Raises RuntimeError unless the ways agree.
    """
    samples = make_samples(clauses)
    subjects = [fill(sample) for sample in samples]
    program = compile_clauses(clauses)
    verdicts = [bool(program.decide(subject) & core.INCLUDED) for subject in subjects]
    ways = [Way("evaluator", _evaluator(program, subjects, seconds))]
    for name, translate in (("re", _with_re), ("fnmatch", _with_fnmatch)):
        rules = [translate(clause) for clause in clauses]
        default = all(clause.exclude for clause in clauses)
        if [decide(rules, default, sample) for sample in samples] != verdicts:
            raise RuntimeError(f"{name} and the evaluator do not agree")
        ways.append(Way(name, _timed(lambda rules=rules, default=default: [  # type: ignore[misc]
            decide(rules, default, sample) for sample in samples], len(samples), seconds)))  # fmt: skip
    return Found(len(clauses), len(samples), sum(verdicts) / len(verdicts), tuple(ways))


def _evaluator(program: core.Program, subjects: list[Subject], seconds: float) -> float:
    rounds = 1
    while True:
        elapsed_ns, _ = program.measure(subjects, rounds)
        if elapsed_ns > seconds * 5e8 or rounds >= 1 << 28:
            return elapsed_ns / (rounds * len(subjects))
        rounds = min(
            1 << 28, rounds * 2 if elapsed_ns < 1e6 else max(rounds + 1, int(rounds * seconds * 7e8 / elapsed_ns))
        )


def _timed(run: Callable[[], object], decisions: int, seconds: float) -> float:
    turns, began = 0, time.thread_time()
    while True:
        run()
        turns += 1
        elapsed_s = time.thread_time() - began
        if elapsed_s >= seconds:
            return elapsed_s * 1e9 / (turns * decisions)


# The objects.


def make_samples(clauses: Sequence[Clause]) -> list[Sample]:
    """For each clause, or some of many, an object whose path it matches, and one whose path it does not."""
    tags, bucket_tags, headers = {"project": "x"}, {"team": "x"}, {"content-type": "text/plain"}
    for clause in clauses[:MAX_SAMPLES]:
        for condition in clause.bucket_conditions:
            bucket_tags.setdefault(_text(condition.name), _example(condition.value))
        for condition in clause.key_conditions:
            if condition.attribute == TAG:
                tags.setdefault(_text(condition.name), _example(condition.value))
            elif condition.attribute in (HEADER, METADATA):
                name = _text(condition.name)
                headers.setdefault(
                    name if condition.attribute == HEADER else f"x-amz-meta-{name}", _example(condition.value)
                )
    samples = []
    wanted = max(1, min(MAX_SAMPLES, MAX_TRIALS // max(1, len(clauses))))
    for clause in clauses[:: max(1, -(-len(clauses) // wanted))] or (Clause((b"bucket",)),):
        bucket, key = _example(clause.bucket), _example(clause.key or (Wild.ANY,))
        for each in (key, f"{key[:-1]}~other"):
            samples.append(Sample(bucket, each, bucket_tags, tags, headers))  # noqa: PERF401
    return samples


def fill(sample: Sample) -> Subject:
    """The same object for the evaluator."""
    subject = Subject()
    subject.refill(sample.bucket, sample.key, operation=sample.operation, user=sample.user, now_ms=NOW_MS)
    subject.set_bucket_tags(sample.bucket_tags.items())
    subject.set_object_tags(sample.tags.items())
    subject.set_metadata(
        sample.headers.items(), size_bytes=sample.size_bytes, modified_ms=NOW_MS - int(sample.age_s * 1000)
    )
    return subject


def _example(glob: Glob) -> str:
    """A text that the glob matches."""
    return "".join(
        ("some-thing" if piece is Wild.ANY else "x") if isinstance(piece, Wild) else _text(piece) for piece in glob
    )


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


# The ways.

Rule = tuple[bool, Callable[[str], object], Callable[[str], object], list[Callable[[Sample], bool]]]


def decide(rules: Sequence[Rule], default: bool, sample: Sample) -> bool:
    """The last rule that matches decides."""
    for exclude, in_bucket, on_key, conditions in reversed(rules):
        if in_bucket(sample.bucket) and on_key(sample.key) and all(holds(sample) for holds in conditions):
            return not exclude
    return default


def _with_re(clause: Clause) -> Rule:
    def compiled(glob: Glob) -> Callable[[str], object]:
        return re.compile("".join(
            (".*" if piece is Wild.ANY else ".") if isinstance(piece, Wild) else re.escape(_text(piece))
            for piece in glob
        ), re.DOTALL).fullmatch  # fmt: skip

    return _rule(clause, compiled)


def _with_fnmatch(clause: Clause) -> Rule:
    def compiled(glob: Glob) -> Callable[[str], object]:
        pattern = "".join(
            piece.value if isinstance(piece, Wild) else re.sub(r"([*?[])", r"[\1]", _text(piece)) for piece in glob
        )
        return lambda text: fnmatch.fnmatchcase(text, pattern)

    return _rule(clause, compiled)


def _rule(clause: Clause, compiled: Callable[[Glob], Callable[[str], object]]) -> Rule:
    conditions = [_condition(each, compiled, on_bucket=True) for each in clause.bucket_conditions]
    conditions += [_condition(each, compiled, on_bucket=False) for each in clause.key_conditions]
    return clause.exclude, compiled(clause.bucket), compiled(clause.key or (Wild.ANY,)), conditions


def _condition(
    condition: Condition, compiled: Callable[[Glob], Callable[[str], object]], *, on_bucket: bool
) -> Callable[[Sample], bool]:
    name = _text(condition.name)
    reads: dict[str, Callable[[Sample], str | None]] = {
        TAG: lambda sample: (sample.bucket_tags if on_bucket else sample.tags).get(name),
        HEADER: lambda sample: sample.header(name),
        METADATA: lambda sample: sample.headers.get("x-amz-meta-" + name),
        SIZE: lambda sample: str(sample.size_bytes),
        AGE: lambda sample: str(sample.age_s),
        OPERATION: lambda sample: sample.operation,
    }
    read: Callable[[Sample], str | None] = reads.get(condition.attribute, lambda sample: sample.user)
    if not condition.operator:
        return lambda sample: read(sample) is not None
    amount = condition.amount
    if amount is not None:
        compare, negated = _COMPARE[condition.operator], condition.operator == "!="

        def compares(sample: Sample) -> bool:
            value = read(sample)
            found = None if value is None else core.read_amount(value.encode("utf-8", "surrogateescape"))
            kinds = (amount.kind, core.NUMBER) if amount.kind in (core.SIZE, core.DURATION) else (amount.kind,)
            if found is None or found[0] not in kinds:
                return negated
            return compare(found[1], amount.nanos)

        return compares
    matches, wanted = compiled(condition.value), condition.operator == "="
    return lambda sample: ((value := read(sample)) is not None and bool(matches(value))) is wanted
