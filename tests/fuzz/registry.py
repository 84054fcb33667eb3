"""What a fuzz target is, and where all of them are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Target:
    """One function to be called with arbitrary bytes.

    It may raise what `expected` lists; everything else, or a sanitizer's report, is a finding. What it returns (or the
    type and code of an expected exception) tells how the input was understood: one that was understood in a new way
    is mutated further.
    """

    name: str
    run: Callable[[bytes], Hashable]
    seeds: tuple[bytes, ...]
    expected: tuple[type[BaseException], ...]
    tokens: tuple[bytes, ...]

    def inputs(self) -> list[bytes]:
        """The seeds, and the inputs that were bugs once."""
        return [*self.seeds, *(path.read_bytes() for path in sorted((HERE / "corpus" / self.name).glob("*")))]

    def call(self, data: bytes) -> Hashable:
        """Runs the target once; the feature by which this outcome is told from others."""
        try:
            return self.run(data)
        except self.expected as error:
            return type(error).__name__, getattr(error, "code", None)


_targets: dict[str, Target] = {}


def target(
    *, seeds: Iterable[bytes], expected: tuple[type[BaseException], ...], tokens: Iterable[bytes] = ()
) -> Callable[[Callable[[bytes], Hashable]], Callable[[bytes], Hashable]]:
    """Registers the decorated function as a target of the same name. `tokens` are what the grammar is made of."""

    def register(run: Callable[[bytes], Hashable]) -> Callable[[bytes], Hashable]:
        assert run.__name__ not in _targets, f"two targets are called {run.__name__}"
        _targets[run.__name__] = Target(run.__name__, run, tuple(seeds), expected, tuple(tokens))
        return run

    return register


def all_targets() -> dict[str, Target]:
    """Every target of every `targets_*.py`, by name."""
    for path in sorted(HERE.glob("targets_*.py")):
        importlib.import_module(f"fuzz.{path.stem}")
    return _targets
