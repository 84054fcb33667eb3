"""What the documentation shows is what s3d takes and says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from s3d import cli
from s3d.filters.grammar import Clause
from s3d.filters.parse import parse

DOCS = Path(__file__).resolve().parents[3] / "docs"
FILTERS = (DOCS / "filters.md").read_text("utf-8")


def test_the_examples_at_the_beginning_are_filters() -> None:
    block = FILTERS.split("\n\n")[2]
    examples = [re.split(r" {3,}", line.strip())[0] for line in block.splitlines()]
    assert len(examples) == 6
    assert all(len(parse(example)) >= 1 for example in examples)


def test_every_condition_in_backquotes_is_one() -> None:
    shown = re.findall(r"`((?:\[[^\]`]+\])+)`", FILTERS)
    assert len(shown) > 10
    for conditions in shown:
        (clause,) = parse(f"b/{conditions}")
        assert isinstance(clause, Clause)
        assert clause.key_conditions


def test_the_session_in_the_description_of_the_command_line_is_what_happens(capfd: pytest.CaptureFixture[str]) -> None:
    block = re.search(r"    \$ s3d (filter check .*)\n((?:    .*\n|\n)+)", (DOCS / "cli.md").read_text("utf-8"))
    assert block is not None
    assert cli.main(shlex.split(block[1])) == 0
    expected = [line.removeprefix("    ") for line in block[2].rstrip("\n").splitlines()]
    assert capfd.readouterr().out.splitlines() == expected
