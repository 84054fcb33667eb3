"""ceph/s3-tests: where it comes from, its configuration for one S3 server, and running it."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
import venv
import xml.etree.ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from s3tests.groups import shards
from servers.daemon import clean_environment
from servers.remotes import Remote

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/ceph/s3-tests"
COMMIT = "8f0ae7b404a3a2fcf7038bf1e6bf29544fe9b6a3"
"""The suite that expected.toml speaks of."""
FILES = ["s3tests/functional/test_s3.py", "s3tests/functional/test_headers.py"]
TEST_TIMEOUT_S = 120


def fetch() -> Path:
    """The suite's directory: S3D_S3TESTS, or a clone in .venv-tests."""
    given = os.environ.get("S3D_S3TESTS")
    if given:
        return Path(given).resolve()
    clone = ROOT / ".venv-tests" / "s3-tests"
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", "--detach", COMMIT], check=True)
    return clone


def interpreter() -> str:
    """A python that can import what the suite imports: S3D_S3TESTS_PYTHON, or an environment in .venv-tests."""
    given = os.environ.get("S3D_S3TESTS_PYTHON")
    if given:
        return given
    home = ROOT / ".venv-tests" / "s3tests"
    python = home / "bin" / "python"
    requirements = Path(__file__).with_name("requirements.txt")
    if not python.exists():
        print(f"installing what the suite needs into {home}", file=sys.stderr)
        venv.create(home, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    subprocess.run([*pip, "-r", str(requirements)], check=True)
    return str(python)


def tests_of(suite: Path) -> dict[str, str]:
    """Every test function's name and the file it stands in."""
    found = {}
    for file in FILES:
        for node in ast.parse((suite / file).read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = file
    return found


def write_config(path: Path, server: Remote) -> None:
    """The suite's configuration for a server that knows one identity: all of its users are that one.

    So tests that want a second user to be refused fail, unless the server is told of more.
    """
    connection = server.client()
    owner = connection.list_buckets().get("Owner", {})
    connection.close()
    address = urlsplit(server.endpoint)
    user = {
        "display_name": owner.get("DisplayName") or "root",
        "user_id": owner.get("ID") or "root",
        "email": "root@example.com",
        "access_key": server.credentials.access_key_id,
        "secret_key": server.credentials.secret_access_key,
    }
    config = configparser.RawConfigParser()
    config["DEFAULT"] = {
        "host": str(address.hostname), "port": str(address.port), "is_secure": "False", "ssl_verify": "False",
    }  # fmt: skip
    config["fixtures"] = {"bucket prefix": "s3t-{random}-"}
    # Without a name of the region: S3 knows none for us-east-1.
    config["s3 main"] = user | {"api_name": ""}
    config["s3 alt"] = user
    config["s3 tenant"] = user | {"tenant": "tenant"}
    for section in ("iam", "iam root", "iam alt root"):
        config[section] = user
    with path.open("w") as file:
        config.write(file)


@dataclass(frozen=True)
class Outcome:
    """How one test ended: "passed", "failed", "skipped" or "missing" (it brought its process down)."""

    test: str
    how: str
    why: str = ""


def run(suite: Path, python: str, server: Remote, tests: Sequence[str], directory: Path, *, jobs: int) -> list[Outcome]:
    """Runs tests of the suite by name; a parametrized one counts once for each parameter."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "s3tests.conf"
    write_config(config, server)
    files = tests_of(suite)
    together, alone = shards(tests, jobs)
    env = clean_environment() | {"S3TEST_CONF": str(config), "PYTHONPATH": str(suite), "PYTHONDONTWRITEBYTECODE": "1"}
    env.pop("PYTHONWARNINGS", None)

    def shard(number: int, names: list[str]) -> list[Outcome]:
        report, log = directory / f"report-{number}.xml", directory / f"log-{number}"
        report.unlink(missing_ok=True)
        command = [
            python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-o", "junit_family=xunit1",
            f"--timeout={TEST_TIMEOUT_S}", "--timeout-method=signal", f"--junit-xml={report}",
            *(f"{files[name]}::{name}" for name in names),
        ]  # fmt: skip
        with log.open("wb") as output:
            subprocess.run(command, cwd=suite, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return read_report(report, names)

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = [one for part in pool.map(shard, range(len(together)), together) for one in part]
    return outcomes + (shard(len(together), alone) if alone else [])


def read_report(report: Path, names: Sequence[str]) -> list[Outcome]:
    """The outcomes that pytest wrote down, and of what it did not, that."""
    found: dict[str, Outcome] = {}
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = case.attrib["name"]
            problem = next((child for child in case if child.tag in ("failure", "error")), None)
            if problem is not None:
                found[name] = Outcome(name, "failed", problem.attrib.get("message", "").partition("\n")[0])
            elif case.find("skipped") is not None:
                found.setdefault(name, Outcome(name, "skipped"))
            else:
                found.setdefault(name, Outcome(name, "passed"))
    ran = {name.partition("[")[0] for name in found}
    return [*found.values(), *(Outcome(name, "missing") for name in names if name not in ran)]
