"""Room on the volume, and the part of it that is kept back.

A volume that is full to its last byte leaves no way out: the index cannot write even that something was deleted, and
does not open again after a stop. So whatever makes things grow asks first, and is refused while there is still room
for what makes them smaller.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

_LOOK_AGAIN_S = 0.1


class Room:
    """Asks the kernel, at most ten times a second, what is left on the volume of ``directory``. Loop's thread only.

    ``reserve_bytes`` of it are kept back.
    """

    def __init__(self, directory: Path, reserve_bytes: int) -> None:
        self._directory = directory
        self._reserve_bytes = reserve_bytes
        self._free_bytes = 0
        self._looked_s = float("-inf")
        self._promised_bytes = 0

    def check(self, wanted_bytes: int = 0) -> None:
        """OSError (ENOSPC) if ``wanted_bytes``, beside what bodies on their way were promised, touch the reserve."""
        if not self._reserve_bytes:
            return
        now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_AGAIN_S:
            volume = os.statvfs(self._directory)
            self._free_bytes = volume.f_bavail * volume.f_frsize
            self._looked_s = now_s
        left_bytes = self._free_bytes - self._promised_bytes - wanted_bytes
        if left_bytes < self._reserve_bytes:
            raise OSError(
                errno.ENOSPC,
                f"the volume is full: {self._free_bytes >> 20} MiB are free, and S3D_DISK_RESERVE keeps "
                f"{self._reserve_bytes >> 20} MiB of them; delete objects, or make room",
                os.fspath(self._directory),
            )

    def promise(self, size_bytes: int) -> None:
        """Count a body that is on its way, or (negative) one that has ended."""
        self._promised_bytes += size_bytes
