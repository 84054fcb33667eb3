"""A server in a process of its own: its log in a file, its readiness awaited, its end made certain."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HOST = "127.0.0.1"
# A test run that is killed must not leave servers behind: the kernel ends them with the thread that started them.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now. All are held at once while they are chosen, so that no two are the same."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def accepts(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


class ServerProcess:
    """One server process. `start` returns when `ready()` is true; `stop` asks by SIGTERM and returns its exit code."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        start_s: float = 60.0,
        stop_s: float = 20.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.directory = directory
        self.env = dict(os.environ if env is None else env)
        self.start_s = start_s
        self.stop_s = stop_s
        self.log_path = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything written to standard output and error so far, over every start."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def spawn(self) -> None:
        """Starts the process without waiting for it to be ready."""
        assert not self.running, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*DIE_WITH_PARENT, *self.command],
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self, ready: Callable[[], bool]) -> None:
        """Starts the process and waits for `ready`; an early end or a late start is an error that shows the log."""
        self.spawn()
        deadline = time.monotonic() + self.start_s
        while not ready():
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self.wait()} before it was ready:\n{self.log[-4000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} was not ready after {self.start_s} s:\n{self.log[-4000:]}")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for the process to end by itself; returns its exit code."""
        assert self._process is not None
        return self._process.wait(self.stop_s if timeout_s is None else timeout_s)

    def stop(self) -> int:
        """Ends the process by SIGTERM; if that takes too long, kills it and says so."""
        if self._process is None:
            return 0
        if self.running:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.name} still ran {self.stop_s} s after SIGTERM:\n{self.log[-4000:]}") from None

    def kill(self) -> None:
        """Ends the process and its children at once."""
        if self._process is not None:
            if self.running:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
