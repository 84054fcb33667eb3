"""`Beginning`: a body is seen before it goes on, and goes on whole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.collect import Beginning, Collector, Source, chain

LIMIT = 100


class Ends:
    """A chain of a source, a `Beginning`, and in the end a collector."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.seen: list[tuple[bytes | None, BaseException | None]] = []
        self.got: list[tuple[bytes | None, BaseException | None]] = []
        self.source = Source()
        self.beginning = Beginning(LIMIT, lambda data, error: self.seen.append((data, error)))
        self.collector = Collector(limit, lambda data, error: self.got.append((data, error)))
        chain(self.source, self.beginning)

    def go_on(self) -> None:
        chain(self.beginning, self.collector)


@given(st.binary(max_size=3 * LIMIT), st.lists(st.integers(min_value=0), max_size=6), st.integers(0, 6))
def test_any_split_is_seen_once_and_comes_out_whole(data: bytes, cuts: list[int], behind: int) -> None:
    ends = Ends()
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    late = 0
    for start, end in itertools.pairwise(marks):
        # A source may write on after it was told to pause, and it may take a while until somebody connects.
        if ends.seen and not ends.got:
            if late == behind:
                ends.go_on()
            late += 1
        ends.source.feed(data[start:end])
    ends.source.end()
    [(seen, error)] = ends.seen
    assert error is None
    assert seen is not None
    assert data.startswith(seen)
    assert ends.beginning.whole == (len(data) <= LIMIT) == (seen == data and len(data) <= LIMIT)
    if late <= behind:
        ends.go_on()
    assert ends.got == [(data, None)]


def test_the_source_is_held_back_until_the_body_goes_on() -> None:
    ends = Ends()
    ends.source.feed(b"x" * LIMIT)
    assert not ends.source.paused
    ends.source.feed(b"x")
    assert ends.source.paused
    ends.go_on()
    assert not ends.source.paused


def test_a_body_that_breaks_off_before_it_was_seen_is_an_error() -> None:
    ends = Ends()
    error = ConnectionResetError()
    ends.source.feed(b"x")
    ends.source.abort(error)
    assert ends.seen == [(None, error)]


def test_a_body_that_breaks_off_while_nobody_is_connected_breaks_off_then() -> None:
    ends = Ends()
    error = ConnectionResetError()
    ends.source.feed(b"x" * (LIMIT + 1))
    ends.source.abort(error)
    ends.go_on()
    assert ends.got == [(None, error)]
    assert len(ends.seen) == 1


def test_a_consumer_that_refuses_what_was_held_ends_the_source() -> None:
    ends = Ends(limit=10)
    ends.source.feed(b"x" * (LIMIT + 1))
    ends.go_on()
    [(data, error)] = ends.got
    assert data is None
    assert ends.source.cancelled is error is not None


@pytest.mark.parametrize("size", [1, LIMIT + 1])
def test_a_body_that_is_not_wanted_is_cancelled(size: int) -> None:
    ends = Ends()
    ends.source.feed(b"x" * size)
    ends.beginning.discard()
    assert isinstance(ends.source.cancelled, ConnectionAbortedError)
