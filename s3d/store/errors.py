"""What can be wrong with a local directory as a whole; each message names the path and says what to do."""

from __future__ import annotations


class StoreError(Exception):
    """The local directory cannot be used."""


class StoreLocked(StoreError):
    """Another running s3d owns the directory."""


class StoreTooNew(StoreError):
    """A newer s3d wrote the directory in a format that this one does not know."""
