"""The command-line clients and SDKs of other languages that s3d is tested with, pointed at one endpoint."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.daemon import clean_environment
from servers.remotes import REGION, Credentials


def program(name: str, how: str) -> str:
    """The path of a program that `tests/run` brings; its absence is a skip, or an error where all must be there."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed ({how})"
        if os.environ.get("S3D_TESTS_COMPLETE"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True)
class ProgramClient:
    """A client program; calling it runs it with more arguments and returns what it printed."""

    command: list[str]
    env: dict[str, str]
    directory: Path

    def __call__(self, *arguments: str, stdin: bytes | None = None, check: bool = True, timeout_s: float = 60.0):  # type: ignore[no-untyped-def]
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=self.env,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join([*self.command, *arguments])} ended with {done.returncode}:\n"
                f"{done.stdout.decode('utf-8', 'replace')}\n{done.stderr.decode('utf-8', 'replace')}"
            )
        return done


def _environment(credentials: Credentials, directory: Path) -> dict[str, str]:
    env = clean_environment()
    # They run on interpreters of their own.
    env.pop("PYTHONPATH", None)
    env.pop("PYTHONWARNINGS", None)
    return env | {
        "HOME": str(directory),
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }


def aws_cli(endpoint: str, credentials: Credentials, directory: Path) -> ProgramClient:
    """The AWS CLI: `aws_cli(…)("s3", "ls")`."""
    command = [program("aws", "pip install awscli"), "--endpoint-url", endpoint]
    return ProgramClient(command, _environment(credentials, directory), directory)


def s3cmd(endpoint: str, credentials: Credentials, directory: Path) -> ProgramClient:
    """s3cmd, path-style."""
    host = endpoint.removeprefix("http://")
    command = [
        program("s3cmd", "pip install s3cmd"),
        *("--config", os.devnull, "--no-ssl", "--host", host, "--host-bucket", host, "--region", REGION),
        *("--access_key", credentials.access_key_id, "--secret_key", credentials.secret_access_key),
    ]
    return ProgramClient(command, _environment(credentials, directory), directory)


def node(endpoint: str, credentials: Credentials, directory: Path) -> ProgramClient:
    """Node.js with the AWS SDK for JavaScript v3 for `require`; the endpoint is in `S3D_TEST_ENDPOINT`."""
    modules = os.environ.get("S3D_TESTS_NODE_MODULES", "")
    command = [program("node", "Debian: apt-get install nodejs npm")]
    if not Path(modules, "@aws-sdk", "client-s3").is_dir():
        reason = "the AWS SDK for JavaScript is not installed (tests/run brings it)"
        if os.environ.get("S3D_TESTS_COMPLETE"):
            pytest.fail(reason)
        pytest.skip(reason)
    env = _environment(credentials, directory) | {"NODE_PATH": modules, "S3D_TEST_ENDPOINT": endpoint}
    return ProgramClient(command, env, directory)
