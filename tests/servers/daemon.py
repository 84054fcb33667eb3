"""s3d itself, started as a user starts it."""

from __future__ import annotations

import http.client
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import s3d
from servers.process import HOST, ServerProcess, accepts, free_ports
from servers.remotes import REGION, Credentials, client

# What applications sign with at s3d: another identity than the one that s3d uses at the remote.
LOCAL_CREDENTIALS = Credentials("LOCALEXAMPLEKEY00001", "local/secret+Key/EXAMPLE0001bPxRfiCYEXAMPLE")

# A log with one of these tells of a fault, whatever the test looked at.
_SUSPICIOUS = re.compile(
    r"Traceback \(most recent call last\)|Task was destroyed|never awaited|never retrieved|Exception ignored"
    r"|\b(WARNING|ERROR|CRITICAL)\b|\w+Warning:|AddressSanitizer|runtime error:",
    re.IGNORECASE,
)


def installed_from() -> Path:
    """The directory that `import s3d` comes from: site-packages, or a checkout built in place."""
    return Path(s3d.__file__).resolve().parent.parent


def s3d_command() -> list[str]:
    """How to call s3d: its installed script, or the same function out of a checkout."""
    script = Path(sysconfig.get_path("scripts")) / "s3d"
    if installed_from() == Path(sysconfig.get_path("purelib")).resolve() and script.exists():
        return [str(script)]
    return [sys.executable, "-c", "import sys; from s3d.cli import main; sys.exit(main())"]


def clean_environment() -> dict[str, str]:
    """Our environment without anything that configures s3d or an AWS SDK, and with `import s3d` the same."""
    env = {name: value for name, value in os.environ.items() if not re.match(r"S3D?_|AWS_|OTEL_|BOTO", name)}
    if not s3d_command()[0].endswith("/s3d"):
        env["PYTHONPATH"] = str(installed_from())
    # No configuration out of the home directory, no look-up of an instance's role, and sockets that leak say so.
    return env | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "PYTHONWARNINGS": "default::ResourceWarning",
        "PYTHONUNBUFFERED": "1",
    }


class S3dDaemon:
    """One `s3d run` on a free port with a directory of its own.

    `remote` is the address of its remote S3 and `credentials` what it signs with there. `identity` is what clients
    must sign with (`S3D_AUTH=sigv4`); None lets everybody in (`S3D_AUTH=none`). `env` has the last word.
    `also_listen`: more addresses, such as `unix:///PATH`. `expect_log`: see the method of that name. `standalone`: it
    has no remote and keeps everything in `local_dir`, which outlives the process: `start` after `stop` or `kill` opens
    it again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        remote: str | None = None,
        credentials: Credentials | None = None,
        standalone: bool = False,
        identity: Credentials | None = LOCAL_CREDENTIALS,
        env: Mapping[str, str] | None = None,
        options: tuple[str, ...] = (),
        expect_log: tuple[str, ...] = (),
        also_listen: tuple[str, ...] = (),
    ) -> None:
        [self.port] = free_ports(1)
        self.endpoint = f"http://{HOST}:{self.port}"
        self.identity = identity
        self.standalone = standalone
        self.local_dir = directory / "local"
        settings = clean_environment()
        settings |= {"S3D_ENDPOINT": ",".join([self.endpoint, *also_listen]), "S3D_LOCAL_DIR": str(self.local_dir)}
        if remote is not None:
            settings["S3_ENDPOINT"] = remote
        if credentials is not None:
            settings["AWS_ACCESS_KEY_ID"] = credentials.access_key_id
            settings["AWS_SECRET_ACCESS_KEY"] = credentials.secret_access_key
        if identity is None:
            settings["S3D_AUTH"] = "none"
        else:
            settings["S3D_AUTH"] = "sigv4"
            settings["S3D_ACCESS_KEY_ID"] = identity.access_key_id
            settings["S3D_SECRET_ACCESS_KEY"] = identity.secret_access_key
        settings |= env or {}
        if standalone:
            options = ("--standalone", *options)
        self.process = ServerProcess("s3d", [*s3d_command(), "run", *options], directory, env=settings)
        self._expected = [re.compile(pattern) for pattern in expect_log]
        self._checked_bytes = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.process.log

    def start(self, until: str = "ready") -> None:
        """Starts it and waits for its health endpoint; `until="live"` where the remote is meant to be unreachable."""
        self.process.start(lambda: accepts(self.port) and self.health(until) == 200)

    def health(self, which: str = "ready") -> int:
        """The status of `/_s3d/health/<which>`; 0 when there was no answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", f"/_s3d/health/{which}")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def client(self, **config: object):  # type: ignore[no-untyped-def]
        """A boto3 client of this daemon with today's defaults, signing as its identity."""
        return client(self.endpoint, self.identity or LOCAL_CREDENTIALS, **config)

    def expect_log(self, pattern: str) -> None:
        """Lines matching `pattern` are meant: the check of the log passes over them from now on."""
        self._expected.append(re.compile(pattern))

    def check_log(self) -> None:
        """Fails on what the daemon wrote since the last check and should not have."""
        text = self.process.log_path.read_bytes()[self._checked_bytes :]
        self._checked_bytes += len(text)
        lines = text.decode("utf-8", "replace").splitlines()
        bad = [n for n, line in enumerate(lines) if _SUSPICIOUS.search(line) and not self._is_expected(line)]
        if bad:
            shown = "\n".join(lines[max(0, bad[0] - 5) : bad[0] + 40])
            raise AssertionError(f"s3d's log tells of a fault:\n{shown}")

    def _is_expected(self, line: str) -> bool:
        return any(pattern.search(line) for pattern in self._expected)

    def fd_count(self) -> int:
        """How many file descriptors the daemon holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_bytes(self, peak: bool = False) -> int:
        """Resident memory, now or at its highest since the start."""
        field = "VmHWM" if peak else "VmRSS"
        status = Path(f"/proc/{self.pid}/status").read_text()
        [kilobytes] = re.findall(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        return int(kilobytes) * 1024

    def stop(self) -> None:
        """Ends it by SIGTERM and holds it to that: exit code 0, and nothing suspicious in the log."""
        if self.process._process is None:
            return
        code = self.process.stop()
        self.check_log()
        assert code == 0, f"s3d ended with {code}:\n{self.log[-4000:]}"

    def kill(self) -> None:
        """Ends it by SIGKILL: a crash."""
        self.process.kill()
