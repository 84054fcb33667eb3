"""What can go wrong with the index. Each message names the path, and says what to do."""

from __future__ import annotations

from pathlib import Path


class IndexError_(Exception):  # noqa: N801 - the name without it is Python's own
    """Base of all; ``path`` is the directory or file that it is about."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class IndexDamaged(IndexError_):
    """What was read contradicts its checksum, or rows that were made durable are missing."""


class IndexTooNew(IndexError_):
    """A later version of s3d wrote it."""


class IndexTooOld(IndexError_):
    """An earlier version of s3d wrote it, in a format that this one no longer reads."""


class IndexInUse(IndexError_):
    """Another process, or another `Index` of this one, has it open."""


class IndexFailed(IndexError_):
    """The disk refused a write or a sync, or the index is closed; nothing can be changed until `Index.reopen`."""


class IndexBusy(IndexError_):
    """RocksDB is behind with its own work and took nothing; the same change may be tried again a little later."""


def translated(path: Path, error: Exception) -> IndexError_:
    """rocksdict's error, which is a bare `Exception` with RocksDB's words, as one of ours."""
    text = str(error)
    if text.startswith("Corruption") or "Corruption:" in text:
        return IndexDamaged(path, f'the index is damaged ({text}); restore it, or see docs/index.md, "Recovery"')
    if "lock hold" in text or "LOCK: " in text:
        return IndexInUse(path, f"the index is open already ({text})")
    if text.startswith("Operation failed. Try again") or "Incomplete" in text or "Write stall" in text:
        return IndexBusy(path, f"the index is busy ({text})")
    return IndexFailed(path, f"the index failed ({text})")
