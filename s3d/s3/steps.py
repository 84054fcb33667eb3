"""Work that is too long for one turn of the event loop, in steps: a generator that yields where it may be left.

This package has no loop; who runs the steps decides how many in a row (`s3d.objects.turns`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""Yields now and then, about every 0.3 ms, and returns the result at the end."""


def at_once(steps: Steps[Result]) -> Result:
    """The result of all steps in a row."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
