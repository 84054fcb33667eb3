"""The order of durable steps that s3d keeps, in sixty lines: what the replay is proved on.

    python miniature.py DIRECTORY LOG COUNT      # writes COUNT objects; marks each in the log when it is durable
    python miniature.py DIRECTORY                # reads them back: prints NUMBER DIGEST of each, or "damaged"

Small bodies lie in RocksDB, every third in a file of its own that a row names; the row follows the file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from rocksdict import DBRecoveryMode, Options, Rdict, WriteBatch

from crash.recording import mark


def body(number: int) -> bytes:
    """The bytes of an object."""
    return hashlib.sha512(str(number).encode()).digest() * (200 if number % 3 == 0 else 2)


def database(directory: Path) -> Rdict:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    return Rdict(str(directory / "index"), options)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def write(directory: Path, log: Path, count: int) -> None:
    data = directory / "data"
    data.mkdir()
    (directory / "index").mkdir()
    rows = database(directory)
    sync_directory(directory)
    for number in range(count):
        content = body(number)
        row = content
        if number % 3 == 0:
            descriptor = os.open(data, os.O_TMPFILE | os.O_RDWR, 0o644)
            os.pwrite(descriptor, content, 0)
            os.fdatasync(descriptor)
            os.link(f"/proc/self/fd/{descriptor}", data / str(number), src_dir_fd=descriptor)
            os.close(descriptor)
            sync_directory(data)
            row = b"file"
        batch = WriteBatch(raw_mode=True)
        batch.put(b"%06d" % number, row)
        rows.write(batch)
        rows.flush_wal(True)
        mark(log, {"number": number})
    os.kill(os.getpid(), 9)


def read(directory: Path) -> None:
    for key, row in database(directory).items():
        content = (directory / "data" / str(int(key))).read_bytes() if row == b"file" else bytes(row)
        print(int(key), hashlib.sha256(content).hexdigest() if content == body(int(key)) else "damaged")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        write(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    else:
        read(Path(sys.argv[1]))
