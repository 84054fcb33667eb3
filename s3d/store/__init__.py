"""Data files: staging, publishing, reading, sweeping. Knows bytes and file numbers, nothing of objects."""

from s3d.store.errors import StoreError, StoreLocked, StoreTooNew
from s3d.store.store import Store

__all__ = ["Store", "StoreError", "StoreLocked", "StoreTooNew"]
