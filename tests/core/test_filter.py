"""The evaluator's edge: what it refuses to run, and what a subject holds."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from s3d._core import filter as core
from s3d._core.filter import Program, Subject

# `a/b*`, with a condition on a tag.
GOOD: dict[str, Any] = {
    "text": b"a/btag",
    "ops": [(0, 0, core.GLOB_ANY), (0, 1, core.GLOB_TEXT)],
    "conditions": [(core.OBJECT_TAG, core.PRESENT, 3, 3, 0, 0, core.NO_AMOUNT, 0)],
    "clauses": [(False, 1, 3, 0, 0, 0, 1, 0, 1)],
    "nodes": [(0, 0, 1, 1, 0, 0), (0, 3, 2, 0, 0, 1)],
    "entries": [0],
}


def program(**changes: Any) -> Program:
    tables = GOOD | changes
    return Program(
        *(tables[name] for name in GOOD), purpose=core.SYNC, included_by_default=False, included_if_unknowable=False
    )


def test_a_program_made_by_hand_decides() -> None:
    made, subject = program(), Subject()
    subject.refill("a", b"bc")
    assert made.decide(subject) == core.OBJECT_TAGS << core.NEEDS_SHIFT
    subject.set_object_tags((("tag", ""),))
    assert made.decide(subject) == core.INCLUDED | 1 << core.CLAUSE_SHIFT
    subject.refill("a", b"c")
    assert made.decide(subject) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"ops": [(0, 7, core.GLOB_TEXT)]},
        {"ops": [(0, 0, core.GLOB_TEXT)]},
        {"ops": [(-1, 1, core.GLOB_TEXT)]},
        {"ops": [(0, 1, core.GLOB_ANY)]},
        {"ops": [(0, 0, 9)]},
        {"ops": []},
        {"conditions": []},
        {"conditions": [(99, core.PRESENT, 0, 0, 0, 0, 0, 0)]},
        {"conditions": [(core.USER, 99, 0, 0, 0, 0, 0, 0)]},
        {"conditions": [(core.USER, core.PRESENT, 0, 0, 0, 0, 99, 0)]},
        {"conditions": [(core.USER, core.PRESENT, 5, 2, 0, 0, 0, 0)]},
        {"conditions": [(core.USER, core.EQUAL, 0, 0, 1, 2, 0, 0)]},
        {"conditions": [(core.USER, core.LESS, 0, 0, 0, 0, core.NO_AMOUNT, 0)]},
        {"conditions": [(core.AGE, core.EQUAL, 0, 0, 0, 1, core.NO_AMOUNT, 0)]},
        {"conditions": [(core.AGE, core.EQUAL, 0, 0, 0, 0, core.DURATION, 1 << 130)]},
        {"clauses": [(False, 1, 257, 0, 0, 0, 1, 0, 1)]},
        {"clauses": [(False, 3, 3, 0, 0, 0, 1, 0, 1)]},
        {"clauses": [(False, -2, 3, 0, 0, 0, 1, 0, 1)]},
        {"clauses": [(False, 1, 3, 0, 0, 0, 1, 0, 2)]},
        {"clauses": [(False, 1, 2, 0, 0, 0, 1, 0, 1)]},
        {"clauses": []},
        {"entries": [1]},
        {"entries": []},
        {"nodes": []},
        {"nodes": [(0, 1, 1, 1, 0, 0), (0, 3, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 0, 1, 0, 0), (0, 3, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 1, 2, 0, 0), (0, 3, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 1, 1, 0, 0), (0, 0, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 1, 1, 0, 0), (5, 3, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 1, 0, 0, 0), (0, 3, 2, 0, 0, 1)]},
        {"nodes": [(0, 0, 1, 1, 0, 0), (0, 2, 2, 1, 0, 0), (2, 1, 2, 1, 0, 1)]},
        {"text": b"x" * 300, "nodes": [(0, 0, 1, 1, 0, 0), (0, 257, 2, 0, 0, 1)]},
    ],
)
def test_tables_that_the_evaluator_could_not_trust_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        program(**changes)


def test_a_subject_keeps_what_it_points_to() -> None:
    made, subject = program(), Subject()
    tags = tuple((f"ta{letter}", "x" * 100) for letter in "abg")
    subject.refill("".join("a"), b"".join([b"b", b"c"]), operation="Get" + "Object", user="al" + "ice")
    subject.set_object_tags(tags)
    del tags
    gc.collect()
    assert made.decide(subject) & core.INCLUDED
    subject.set_object_tags(())
    assert not made.decide(subject) & core.INCLUDED


def test_a_subject_takes_more_than_it_had_room_for() -> None:
    made, subject = program(), Subject()
    subject.refill("a", b"b" * 100_000)
    subject.set_object_tags([(f"name{number}", "") for number in range(1000)] + [("tag", "")])
    assert made.decide(subject) & core.INCLUDED


def test_a_text_that_is_no_unicode_is_taken_as_its_bytes() -> None:
    made, subject = program(), Subject()
    subject.refill("a", "b\udcff")
    subject.set_object_tags([("tag", "\ud800"), ("\udcfe", "")])
    assert made.decide(subject) & core.INCLUDED


@pytest.mark.parametrize("pairs", [[("a",)], [("a", "b", "c")], [("a", None)], [(1, "b")], [["a", "b"]], [None], 5])
def test_what_are_no_pairs_of_texts_is_refused_and_leaves_nothing_known(pairs: Any) -> None:
    made, subject = program(), Subject()
    subject.refill("a", b"b")
    subject.set_object_tags([("tag", "")])
    with pytest.raises((TypeError, ValueError)):
        subject.set_object_tags(pairs)
    assert made.decide(subject) >> core.NEEDS_SHIFT == core.OBJECT_TAGS


def test_measuring_counts_what_is_included() -> None:
    made, subjects = program(), [Subject() for _ in range(3)]
    for subject, key in zip(subjects, (b"b", b"bc", b"c"), strict=True):
        subject.refill("a", key)
        subject.set_object_tags([("tag", "")])
    elapsed_ns, included = made.measure(subjects, 10)
    assert included == 20
    assert elapsed_ns > 0
    with pytest.raises(TypeError):
        made.measure([None], 1)
