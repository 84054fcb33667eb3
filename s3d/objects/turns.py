"""Long work on the event loop's thread, a little in each of its turns."""

from __future__ import annotations

import asyncio
import time
from typing import Final, TypeVar

from s3d.s3.steps import Steps

TURN_S: Final = 0.002
"""Of one piece of work in one turn. A thread would not help: it holds the GIL for 5 ms at a time."""

Result = TypeVar("Result")


async def in_turns(steps: Steps[Result]) -> Result:
    """The result of ``steps``; others have their turn in between, so what they read may have changed by the next."""
    until_s = time.monotonic() + TURN_S
    try:
        while True:
            next(steps)
            if time.monotonic() >= until_s:
                await asyncio.sleep(0)
                until_s = time.monotonic() + TURN_S
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        steps.close()
