"""Responses, whole and cut anywhere, through the load generator's reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.answer import AnswerReader

# (bytes, answers HEAD, status, body bytes, closes after it)
ANSWERS = {
    "length": (b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 5\r\n\r\nhello', False, 200, 5, False),
    "name in another case": (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:   5\r\n\r\nhello", False, 200, 5, False),
    "empty": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", False, 404, 0, False),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, 0, False),
    "head": (b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n", True, 200, 0, False),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4096\r\n\r\n", False, 304, 0, False),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False, 200, 2, False),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", False, 200, 1, True),
    "http/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", False, 200, 1, True),
    "chunked": (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1A;a="b"\r\n'
        + b"x" * 26
        + b"\r\n0\r\n\r\n",
        False,
        200,
        31,
        False,
    ),
    "chunked with a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-amz-checksum: y\r\n\r\n",
        False,
        200,
        1,
        False,
    ),
}


def seen(reader: AnswerReader) -> tuple[int, int, bool]:
    return reader.status, reader.body_bytes, reader.last


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_to_its_end_and_not_beyond(name: str) -> None:
    data, bodiless, *expected = ANSWERS[name]
    reader = AnswerReader(bodiless)
    assert reader.feed(data + b"HTTP/1.1 200") == len(data)
    assert reader.complete
    assert seen(reader) == tuple(expected)


@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_an_answer_cut_anywhere_reads_the_same(name: str, draw: st.DataObject) -> None:
    data, bodiless, *expected = ANSWERS[name]
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    reader = AnswerReader(bodiless)
    for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
        assert not reader.complete or start == stop == len(data)
        assert reader.feed(data[start:stop]) == stop - start
    assert reader.complete
    assert seen(reader) == tuple(expected)


def test_a_body_without_length_ends_with_the_connection() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert not reader.complete
    assert reader.feed_eof()
    assert seen(reader) == (200, 4, True)


def test_a_connection_that_ends_inside_a_counted_body_leaves_it_incomplete() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
    assert not reader.feed_eof()


def test_a_reader_starts_over_after_an_answer() -> None:
    reader = AnswerReader()
    reader.feed(ANSWERS["close"][0])
    reader.restart()
    reader.feed(ANSWERS["chunked"][0])
    assert seen(reader) == (200, 31, False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 16 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000,
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        AnswerReader().feed(data)


def test_a_head_that_grows_past_its_limit_in_pieces_is_refused() -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ValueError, match="malformed"):
        for _ in range(20):
            reader.feed(b"x" * 1000)


@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b"HTTP/1.1 200 OK\r\n",
                b"Content-Length: ",
                b"Transfer-Encoding: chunked\r\n",
                b"\r\n\r\n",
                b"0\r\n",
                b"a\r\n",
                b"7",
            ]
        )
    )
)
def test_any_bytes_are_consumed_refused_or_left_and_nothing_else(pieces: list[bytes]) -> None:
    reader = AnswerReader()
    for piece in pieces:
        try:
            used = reader.feed(piece)
        except ValueError:
            return
        assert used == len(piece) or (reader.complete and 0 <= used < len(piece))
