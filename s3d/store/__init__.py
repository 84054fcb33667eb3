"""Data files: staging, publishing, reading, sweeping. Knows bytes and file numbers, nothing of objects."""

from s3d.store.check import Lost, VerifyReport
from s3d.store.errors import StoreError, StoreLocked, StoreTooNew
from s3d.store.store import Store
from s3d.store.sweep import SweepReport
from s3d.store.trailer import Trailer, TrailerError

__all__ = [
    "Lost",
    "Store",
    "StoreError",
    "StoreLocked",
    "StoreTooNew",
    "SweepReport",
    "Trailer",
    "TrailerError",
    "VerifyReport",
]
