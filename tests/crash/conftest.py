"""Fixtures of the crash tests: a standalone s3d that may die, and a directory that outlives it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.daemon import S3dDaemon, clean_environment, s3d_command
from servers.nursery import ForkedProcess, Nursery


class Crashing(S3dDaemon):
    """A standalone s3d that lets everybody in, made to die by its tests."""

    def __init__(self, directory: Path, nursery: Nursery | None) -> None:
        super().__init__(directory, standalone=True, identity=None)
        if nursery is not None:
            self.process = ForkedProcess(nursery, ["run", "--standalone"], directory, self.process.env)
        self.process.env["S3D_TESTING"] = "1"

    def start_to_die(self, at: str) -> None:
        """Starts it with a crash point armed; it may be dead already when this returns, and not by an error."""
        self.process.env["S3D_CRASH_AT"] = at
        try:
            self.start()
        except RuntimeError:
            if self.process.running or self.process.wait() != -9:
                raise
        finally:
            del self.process.env["S3D_CRASH_AT"]

    def died(self) -> bool:
        """Whether it ended by SIGKILL; waits a moment for it."""
        try:
            return self.process.wait(10) == -9
        except subprocess.TimeoutExpired:
            return False

    def data_files(self) -> list[Path]:
        """What lies under data/, files without a name aside."""
        return [path for path in (self.local_dir / "data").rglob("*") if path.is_file()]

    def salvaged(self) -> list[Path]:
        return [path for path in (self.local_dir / "lost+found").rglob("*") if path.is_file()]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of s3d on the same directory."""
        return subprocess.run(
            [*s3d_command(), *arguments], env=self.process.env, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    one = Nursery(clean_environment())
    yield one
    one.close()


@pytest.fixture
def crashing(tmp_path: Path, nursery: Nursery) -> Iterator[Callable[..., Crashing]]:
    """Makes a `Crashing`, on a directory of its own or on the one given; none is started.

    With ``fork=False`` it is a program of its own, which can be preloaded.
    """
    made: list[Crashing] = []

    def make(directory: Path | None = None, *, fork: bool = True) -> Crashing:
        made.append(Crashing(directory or tmp_path.resolve() / f"s3d-{len(made)}", nursery if fork else None))
        return made[-1]

    yield make
    for one in made:
        one.kill()
