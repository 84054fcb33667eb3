"""Reading an object into a file or a stream.

botocore compares the number of bytes with Content-Length and, where the store sends one, the checksum of the whole
body, both at its end: what was written to a pipe by then cannot be taken back, a file can, and is.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from s3d.cli import progress
from s3d.cli.address import Address
from s3d.cli.console import Failure, visible

CHUNK_BYTES = 1 << 20


def to_stream(s3: Any, source: Address, stream: BinaryIO) -> None:
    """Write the object's bytes to `stream` as they arrive."""
    answer = s3.get_object(Bucket=source.bucket, Key=source.key)
    with progress.bar(visible(source.key), answer.get("ContentLength")) as advance:
        copy(answer["Body"], stream, advance)
        stream.flush()


def to_file(s3: Any, source: Address, path: Path) -> None:
    """Put the object's bytes at `path`: in a temporary file beside it, synced, renamed when it is complete.

    What is not a regular file (/dev/null, a FIFO) is written directly. A symbolic link keeps pointing where it did.
    """
    if not path.absolute().parent.is_dir():
        raise Failure(f"The directory {path.absolute().parent} does not exist.")
    answer = s3.get_object(Bucket=source.bucket, Key=source.key)
    body = answer["Body"]
    with body, progress.bar(visible(source.key), answer.get("ContentLength")) as advance:
        path = path.resolve()
        mode = mode_of(path)
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("wb") as device:
                copy(body, device, advance)
            return
        # The name stays within NAME_MAX (255 bytes) whatever the key's last part is.
        descriptor, temporary = tempfile.mkstemp(prefix=".s3d-", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                copy(body, file, advance)
                file.flush()
                os.fchmod(file.fileno(), stat.S_IMODE(mode) if mode is not None else 0o666 & ~umask())
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def copy(body: Any, stream: BinaryIO, advance: Callable[[int], None]) -> None:
    """Move the body in blocks of bounded size."""
    while block := body.read(CHUNK_BYTES):
        stream.write(block)
        advance(len(block))


def mode_of(path: Path) -> int | None:
    """The mode of an existing file, None when there is none."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def umask() -> int:
    """The process's umask; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
