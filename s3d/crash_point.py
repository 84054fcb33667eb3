"""Named moments at which tests make s3d die as if by `kill -9`, to see what the next start finds.

Every step that makes something durable, visible or gone calls `crash_point(name)` when it has been taken; the table
`POINTS` says what holds at each. Without `arm` a call compares one variable with None. The daemon arms it from
`S3D_CRASH_AT=name[:n]`, and only with `S3D_TESTING=1`.
"""

from __future__ import annotations

import os
import signal
import threading

POINTS: dict[str, str] = {
    "store.staged": "the body is in the page cache whole, in a file without a name; nothing was synced",
    "store.synced": "fdatasync of body and trailer has returned; the file has no name yet",
    "store.linked": "the file has its name; its directory was not synced",
    "store.directory_synced": "the directory was synced: the file survives a power cut; no row knows it",
    "index.written": "a batch is in the log's page cache; it was not flushed",
    "index.flushed": "the flush of the log has returned; readers do not see the batch yet",
    "index.visible": "readers see the batch; nobody was answered",
    "store.unlinking": "the rows that referred to a file are durably gone; the file is about to be unlinked",
    "store.unlinked": "a file without references has lost its name; its directory was not synced",
    "index.opened": "the index is open at a start; the number of this boot is not written",
    "index.boot_written": "the number of this boot is durable; nothing was served",
    "index.floor_staged": "a slot of the floor is written and not synced; the other one is as it was",
    "index.floor_written": "the new slot of the floor is synced",
    "store.sweeping": "the sweep has found an orphan and is about to remove it",
    "store.swept": "the sweep has removed an orphan",
    "store.salvaging": "a file nobody knows is about to move to lost+found",
    "store.salvaged": "a file nobody knows was moved to lost+found; no directory was synced",
}
"""What is true when the point is passed. A name is its room and the step."""

_target: str | None = None
_remaining = 0
_lock = threading.Lock()


def arm(at: str) -> None:
    """Makes the process die at a point's n-th passing: "store.linked:3", "store.linked" for the first.

    Raises ValueError for a name that is not in `POINTS` and a number that is none.
    """
    global _target, _remaining
    name, colon, number = at.partition(":")
    if name not in POINTS:
        raise ValueError(f"no crash point is called {name!r}; there are {', '.join(POINTS)}")
    if colon and not (number.isascii() and number.isdecimal() and int(number) > 0):
        raise ValueError(f"{number!r} is no count of passings of {name}")
    _target, _remaining = name, int(number or 1)


def is_armed() -> bool:
    """Whether the process is to die at some point."""
    return _target is not None


def crash_point(name: str) -> None:
    """Says that a step of `POINTS` has been taken; does not return if it was armed for this passing. Any thread."""
    if _target is not None:
        _pass(name)


def _pass(name: str) -> None:
    global _remaining
    if name not in POINTS:
        raise ValueError(f"no crash point is called {name!r}")
    if name != _target:
        return
    with _lock:
        _remaining -= 1
        if _remaining == 0:
            # What no handler, no `finally` and no other thread can answer to.
            os.kill(os.getpid(), signal.SIGKILL)
