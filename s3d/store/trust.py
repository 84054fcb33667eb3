"""Whether the index beside the data files can be trusted to know all that should be known.

Two small durable files. ``boot`` holds the highest boot that has run here, so that an index which was lost and begins
anew neither reuses numbers of files nor passes for one that simply knows no files. ``salvage`` says that the sweep has
to keep what it does not know; it is there from the moment of doubt until a sweep has gone through, over any number of
crashes in between.
"""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from s3d._core.spool import Directory
from s3d.store.layout import BOOT_SHIFT, Layout, file_number


class Trust:
    """Blocking; raises OSError with the path."""

    def __init__(self, layout: Layout, *, sync: bool) -> None:
        self._layout = layout
        self._sync = sync
        self.highest_boot = _read_boot(layout.boot)
        """Of all that ran here before."""
        self.doubts = 0
        """How often `doubt` was called."""
        if self.highest_boot < 0:
            self.highest_boot = _boot_of_files(layout)

    @property
    def doubtful(self) -> bool:
        """The sweep has to keep what it does not know."""
        return self._layout.salvage.exists()

    def doubt(self) -> None:
        """The index may have lost rows. Durable when it returns."""
        self.doubts += 1
        if not self.doubtful:
            _replace(self._layout.salvage, b"", sync=self._sync)

    def begin(self, boot: int) -> None:
        """``boot`` runs from now on. Durable when it returns."""
        if boot <= self.highest_boot:
            self.doubt()
        else:
            text = b"%d" % boot
            _replace(self._layout.boot, b"%s %016x\n" % (text, xxhash.xxh3_64_intdigest(text)), sync=self._sync)

    def settle(self) -> None:
        """A sweep has gone through: what had to be kept lies in lost+found, durably."""
        if not self.doubtful:
            return
        if self._sync:
            # First the new names, then the end of the old ones.
            for directory in (os.fspath(self._layout.lost_and_found), *self._layout.shards()):
                Directory(directory).sync()
        self._layout.salvage.unlink(missing_ok=True)
        if self._sync:
            Directory(os.fspath(self._layout.local_dir)).sync()


def _read_boot(path: Path) -> int:
    """The boot that the file says; -1 if it is missing or damaged."""
    try:
        text, _, checksum = path.read_bytes().strip().partition(b" ")
    except FileNotFoundError:
        return -1
    if checksum == b"%016x" % xxhash.xxh3_64_intdigest(text) and text.isdigit():
        return int(text)
    return -1


def _boot_of_files(layout: Layout) -> int:
    """The highest boot in the name of any data file; 0 if there is none."""
    numbers = (
        file_number(name[:16])
        for directory in (*layout.shards(), os.fspath(layout.lost_and_found))
        for name in os.listdir(directory)
    )
    return max((number >> BOOT_SHIFT for number in numbers if number is not None), default=0)


def _replace(path: Path, content: bytes, *, sync: bool) -> None:
    """Write a small file so that a crash leaves either the old one or the new one."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, content)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)
    if sync:
        Directory(os.fspath(path.parent)).sync()
