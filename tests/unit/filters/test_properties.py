"""What holds for every filter and every object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from s3d._core import filter as core
from s3d._core.filter import Subject
from s3d.filters.compile import compile_clauses
from s3d.filters.grammar import Clause, Item
from s3d.filters.parse import parse
from s3d.filters.show import show
from unit.filters import reference
from unit.filters.reference import Object, Verdict, matches
from unit.filters.strategies import FILE_LISTS, KEYS, LITERALS, NEAR_AMOUNTS, OBJECTS, WORDS, clauses, fill

BITS = {
    core.BUCKET_TAGS: reference.BUCKET_TAGS,
    core.OBJECT_TAGS: reference.OBJECT_TAGS,
    core.METADATA: reference.METADATA,
}
# One for all: what an object before has left behind must not show.
SUBJECT = Subject()


def verdict_of(code: int) -> Verdict:
    needs = code >> core.NEEDS_SHIFT & 7
    if needs:
        return Verdict(None, frozenset(group for bit, group in BITS.items() if needs & bit))
    number = code >> core.CLAUSE_SHIFT
    return Verdict(
        bool(code & core.INCLUDED), clause=number - 1 if number else None, by_setting=bool(code & core.BY_SETTING)
    )


@given(st.lists(clauses(), max_size=6), OBJECTS, st.booleans())
def test_the_evaluator_decides_as_the_reference_does(many: list[Clause], thing: Object, includes: bool) -> None:
    program = compile_clauses(many, included_if_unknowable=includes)
    fill(SUBJECT, thing)
    assert verdict_of(program.decide(SUBJECT)) == reference.decide(many, thing, unknown_includes=includes)


@given(
    st.lists(st.tuples(WORDS, KEYS, st.booleans()), min_size=1, max_size=40), st.lists(OBJECTS, min_size=1, max_size=5)
)
def test_the_last_of_many_paths_decides(paths: list[tuple[bytes, tuple, bool]], things: list[Object]) -> None:
    many = [Clause((bucket.replace(b"/", b"."),), key=key, exclude=exclude) for bucket, key, exclude in paths]
    program = compile_clauses(many)
    for thing in things:
        fill(SUBJECT, thing)
        assert verdict_of(program.decide(SUBJECT)) == reference.decide(many, thing)


@given(KEYS, st.lists(st.one_of(LITERALS, WORDS), max_size=6).map(b"".join))
def test_a_glob_matches_characters(glob: tuple, key: bytes) -> None:
    program = compile_clauses([Clause((b"a",), key=(*glob,))])
    SUBJECT.refill(b"a", key)
    assert bool(program.decide(SUBJECT)) == (not glob or matches(glob, key))


@given(NEAR_AMOUNTS)
def test_an_amount_is_read_as_the_reference_reads_it(text: bytes) -> None:
    kinds = {core.NUMBER: "number", core.SIZE: "size", core.DURATION: "duration", core.DATE: "date"}
    found = core.read_amount(text)
    expected = reference.amount_of(text)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (kinds[found[0]], found[1]) == (expected[0], expected[1] * 10**9)


@given(st.lists(st.one_of(clauses(), clauses(), FILE_LISTS), max_size=4), st.sampled_from([", ", "\n", ","]))
def test_what_is_printed_parses_to_the_same(items: list[Item], separator: str) -> None:
    printed = show(items, separator)
    assert parse(printed) == tuple(items)
    assert show(parse(printed), separator) == printed
