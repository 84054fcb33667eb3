"""One running s3d per local directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from s3d.store.errors import StoreLocked


class Lock:
    """An exclusive flock(2) on a file that holds the owner's pid; the kernel lets go of it when the owner dies.

    Raises StoreLocked with path and pid when somebody else has it, OSError when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreLocked(
                f"{path.parent} belongs to a running s3d (pid {owner}, lock {path}): stop that one, or give this one a "
                "directory of its own by S3D_LOCAL_DIR"
            ) from None
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        """Let the next one have it; idempotent. The file stays: removing it would race with who opens it."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
