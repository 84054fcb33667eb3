"""The histogram against exact statistics."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.tally import Histogram

latencies = st.lists(st.integers(0, 2**41), min_size=1, max_size=200)


def recorded(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(latencies, st.floats(0, 100))
def test_a_percentile_is_the_exact_one_or_less_than_a_percent_above(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(1, math.ceil(percent / 100 * len(values))) - 1]
    assert exact <= recorded(values).percentile(percent) <= exact * 129 / 128


@given(latencies, latencies)
def test_merging_equals_recording_everything_in_one(first: list[int], second: list[int]) -> None:
    merged = recorded(first)
    merged.merge(recorded(second))
    whole = recorded(first + second)
    assert merged.buckets() == whole.buckets()
    assert (merged.count, merged.min_ns, merged.max_ns, merged.total_ns) == (
        len(first + second),
        min(first + second),
        max(first + second),
        sum(first + second),
    )


@given(st.integers(0, 2**42 - 1))
def test_a_value_lies_in_the_bucket_that_counts_it(value: int) -> None:
    [(low, high, count)] = recorded([value]).buckets()
    assert low <= value <= high
    assert count == 1
    assert (high - low) * 128 <= value


def test_an_empty_histogram_has_percentiles_of_zero() -> None:
    assert Histogram().percentile(99) == 0
    assert Histogram().buckets() == []


def test_a_value_beyond_the_last_bucket_keeps_its_exact_maximum() -> None:
    histogram = recorded([1, 2**62])
    assert histogram.percentile(100) == histogram.max_ns == 2**62


def test_a_negative_value_counts_as_zero() -> None:
    assert recorded([-5]).buckets() == [(0, 0, 1)]


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_a_percentile_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        Histogram().percentile(percent)
