"""s3d started hundreds of times: a process that has imported it already and forks the ones that are asked for.

Most of a start is Python reading modules. What the tests of crashes are about comes after that, and is the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.process import DIE_WITH_PARENT, ServerProcess

_PR_SET_PDEATHSIG = 1


class Nursery:
    """The process that forks."""

    def __init__(self, env: Mapping[str, str]) -> None:
        tests = str(Path(__file__).resolve().parents[1])
        paths = [tests, *filter(None, [env.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [*DIE_WITH_PARENT, sys.executable, "-c", "from servers.nursery import serve; serve()"],
            env={**env, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """One request to it, and its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it, and with it whatever it forked."""
        with self._process:
            self._process.kill()


class Forked:
    """What `ServerProcess` needs of a Popen."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + (60.0 if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 60.0)
            time.sleep(0.01)
        assert self.returncode is not None
        return self.returncode


class ForkedProcess(ServerProcess):
    """A `ServerProcess` whose command is s3d's, run by a fork of the nursery: ``arguments`` are those of `s3d`."""

    def __init__(self, nursery: Nursery, arguments: Sequence[str], directory: Path, env: Mapping[str, str]) -> None:
        super().__init__("s3d", ["s3d", *arguments], directory, env=env)
        self._nursery = nursery

    def spawn(self) -> None:
        assert not self.running, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        pid = self._nursery.ask(
            arguments=self.command[1:], env=self.env, directory=str(self.directory), log=str(self.log_path)
        )
        self._process = Forked(self._nursery, pid)  # type: ignore[assignment]


def serve() -> None:
    """The nursery's own code: one JSON request a line, one answer a line."""
    # Both before the first fork, and neither starts a thread.
    import s3d.cli
    import s3d.daemon

    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            answer = _poll(request["poll"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(request, s3d.cli.main)
        print(json.dumps(answer), flush=True)


def _poll(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _become(request: dict[str, Any], main: Any) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir(request["directory"])
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = ["s3d", *request["arguments"]]
    code = 1
    try:
        code = main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
