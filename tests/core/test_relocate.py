"""`Relocation`: the Location of an XML answer is replaced, whatever pieces it comes in."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from s3d._core.collect import Collector, Source, chain
from s3d._core.relocate import Relocation

OURS = b"http://localhost/bucket/key?a=1&amp;b=2"
DOCUMENT = (
    b'<?xml version="1.0"?>\n<CompleteMultipartUploadResult><Location>http://remote.example/bucket/key</Location>'
    b"<ETag>&quot;a&quot;</ETag></CompleteMultipartUploadResult>"
)
WANTED = DOCUMENT.replace(b"http://remote.example/bucket/key", OURS)


def relocated(pieces: list[bytes]) -> tuple[bytes | None, list[int]]:
    """What comes out of ``pieces``, and how much of it had come out after each."""
    out: list[bytes | None] = []
    collector = Collector(10_000_000, lambda data, error: out.append(data))
    source = Source()
    chain(Relocation(source, OURS), collector)
    seen = []
    for piece in pieces:
        source.feed(piece)
        seen.append(collector.size)
    source.end()
    assert len(out) == 1
    return out[0], seen


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks) if start < end]


@given(st.lists(st.integers(min_value=0)), st.integers(min_value=0, max_value=50))
def test_any_split_gives_the_same_document(cuts: list[int], blanks: int) -> None:
    data = b" " * blanks + DOCUMENT
    assert relocated(split(data, cuts))[0] == b" " * blanks + WANTED


def test_white_space_before_the_document_passes_at_once() -> None:
    result, seen = relocated([b" ", b"\n", b" <", DOCUMENT[1:]])
    assert result == b" \n " + WANTED
    assert seen[:3] == [1, 2, 3]


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0), max_size=5))
def test_a_document_without_location_passes_unchanged(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"<Location>", b"")
    assert relocated(split(data, cuts))[0] == data


def test_a_location_without_end_passes_unchanged() -> None:
    data = b"<a><Location>http://remote.example"
    assert relocated([data])[0] == data


@given(st.lists(st.integers(min_value=0), max_size=5), st.integers(min_value=65_500, max_value=200_000))
def test_a_document_too_large_to_keep_passes_unchanged(cuts: list[int], size: int) -> None:
    data = b"<a>" + b"x" * size + b"</a>"
    assert relocated(split(data, cuts))[0] == data


@given(st.lists(st.integers(min_value=0), max_size=5), st.integers(min_value=65_000, max_value=200_000))
def test_a_location_at_the_front_of_a_large_document_is_replaced(cuts: list[int], size: int) -> None:
    assert relocated(split(DOCUMENT + b"x" * size, cuts))[0] == WANTED + b"x" * size


def test_an_empty_body_stays_empty() -> None:
    assert relocated([])[0] == b""


def test_a_body_that_breaks_off_breaks_off() -> None:
    out: list[tuple[bytes | None, BaseException | None]] = []
    source = Source()
    chain(Relocation(source, OURS), Collector(1000, lambda data, error: out.append((data, error))))
    source.feed(DOCUMENT[:60])
    error = ConnectionError("gone")
    source.abort(error)
    assert out == [(None, error)]


def test_a_consumer_that_leaves_cancels_the_source() -> None:
    source = Source()
    collector = Collector(1000, lambda data, error: None)
    chain(Relocation(source, OURS), collector)
    source.feed(DOCUMENT[:60])
    collector.abandon(ConnectionError("gone"))
    assert source.cancelled is not None
