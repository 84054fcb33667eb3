"""What the commands are made of: addresses, output, parts of files, names of the service model."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3d.cli import address, console, shapes
from s3d.cli.client import PARALLEL_PARTS
from s3d.cli.upload import FilePart, fitting_part_size, read_part, run_bounded, stream_parts


def test_an_address_is_split_at_the_first_slash_and_never_normalized() -> None:
    assert address.parse("s3://box//a/../b/") == address.Address("box", "/a/../b/")
    assert address.parse("box") == address.Address("box", "")


def test_an_address_that_is_not_utf_8_is_wrong_usage() -> None:
    with pytest.raises(console.Failure, match=r"box/\\udcff is not UTF-8"):
        address.parse("box/\udcff")


def test_control_characters_of_keys_are_shown_as_escapes() -> None:
    assert console.visible("a\nb\x1b[31m\udce4") == "a\\nb\\x1b[31m\\udce4"
    assert console.visible("ключ ü") == "ключ ü"


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (12 << 30, "12 GiB"), (2**60, "1024 PiB")]
)
def test_sizes_for_people(size_bytes: int, text: str) -> None:
    assert console.human_size(size_bytes) == text


def test_parts_of_a_file_are_independent_seekable_ranges(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        first, second = FilePart(file.fileno(), 0, 4), FilePart(file.fileno(), 4, 6)
        assert (first.read(2), second.read(), first.read()) == (b"01", b"456789", b"23")
        assert (second.seek(-2, os.SEEK_END), second.read(9), len(second)) == (4, b"89", 6)


def test_a_part_of_a_file_that_was_cut_short_is_an_error_not_an_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"01")
    with (tmp_path / "file").open("rb") as file, pytest.raises(console.Failure, match="became shorter"):
        FilePart(file.fileno(), 2, 4).read()


@pytest.mark.parametrize("size_bytes", [1, 80 << 30, (80 << 30) + 1, 5 << 40, 10_000 * (5 << 30)])
def test_a_file_of_any_size_fits_into_ten_thousand_parts(size_bytes: int) -> None:
    part = fitting_part_size(size_bytes, 8 << 20)
    assert -(-size_bytes // part) <= 10_000
    assert 8 << 20 <= part <= 5 << 30


def test_a_part_is_read_whole_from_a_pipe_that_gives_little_at_a_time() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as stream, open(writer, "wb", buffering=0) as pipe:
        pipe.writelines([b"abc"] * 3)
        assert read_part(stream, 7) == b"abcabca"


@pytest.mark.parametrize(
    ("documentation", "sentence"),
    [
        ("<p>The bucket name. It is long.</p>", "The bucket name."),
        ("<note><p>Not this.</p></note><p>Sets <code>X</code>.</p>", "Sets X."),
        ("", ""),
    ],
)
def test_the_first_sentence_of_the_models_documentation(documentation: str, sentence: str) -> None:
    assert shapes.first_sentence(documentation) == sentence


def test_no_more_parts_are_taken_from_the_input_than_are_sent_at_once() -> None:
    taken, sent, most = 0, 0, 0
    counting = threading.Lock()

    def parts() -> Iterator[bytes]:
        nonlocal taken, most
        for _ in range(40):
            with counting:
                taken += 1
                most = max(most, taken - sent)
            yield b"part"

    def send(number: int, body: bytes) -> dict[str, object]:
        nonlocal sent
        with counting:
            sent += 1
        return {"PartNumber": number}

    with ThreadPoolExecutor(PARALLEL_PARTS) as pool:
        done = run_bounded(pool, send, parts())
    assert [part["PartNumber"] for part in done] == list(range(1, 41))
    assert most <= PARALLEL_PARTS


def test_an_error_of_one_part_ends_the_reading_of_the_input() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"part"

    def send(number: int, body: bytes) -> dict[str, object]:
        raise ConnectionResetError("gone")

    with ThreadPoolExecutor(PARALLEL_PARTS) as pool, pytest.raises(ConnectionResetError):
        run_bounded(pool, send, endless())
    assert taken <= 2 * PARALLEL_PARTS


def test_the_parts_of_a_stream_grow_so_that_ten_thousand_hold_484_gib() -> None:
    class Endless:
        def read(self, size: int) -> bytes:
            return b"x" * size

    parts = stream_parts(Endless(), b"first", 1)
    sizes = [len(part) for part in itertools.islice(parts, 10_000)]
    assert [sizes[number] for number in (1, 1_999, 2_000, 4_000, 9_999)] == [1, 1, 2, 4, 16]
    with pytest.raises(console.Failure, match="too long for 10,000 parts"):
        next(parts)
