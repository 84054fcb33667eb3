"""The list of what the remotes lack names tests that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.lacks import LACKS


@pytest.mark.parametrize(("store", "entry"), [(store, entry) for store, listed in LACKS.items() for entry in listed])
def test_entry_names_a_test(store, entry):
    file, _, name = entry.partition("::")
    source = (Path(__file__).parent / f"{file}.py").read_text()
    assert f"def {name.partition('[')[0]}(" in source
