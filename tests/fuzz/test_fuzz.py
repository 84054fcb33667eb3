"""The sanitized build shows faults, and the targets have none."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import sanitized
from fuzz.registry import all_targets
from fuzz.worker import read_current

TARGETS = sorted(all_targets())
# For all targets together. What a run by hand gets without saying more is enough to notice a target that is broken.
SECONDS = float(os.environ.get("S3D_FUZZ_SECONDS", "10"))


@pytest.fixture(scope="session")
def libasan() -> str:
    try:
        return sanitized.libasan()
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("S3D_TESTS_COMPLETE"):
            raise
        pytest.skip(f"no AddressSanitizer here: {error}")


@pytest.fixture(scope="session")
def planted(libasan: str) -> Path:
    return sanitized.build(sanitized.PLANTED)


@pytest.fixture(scope="session")
def sanitized_s3d(libasan: str) -> Path:
    return sanitized.build()


def run_planted(call: str, directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    program = f"from tests.fuzz.planted import overread; print('returned', overread.{call})"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory,
        env=sanitized.environment(directory) | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_overread_of_a_bytes_object_is_reported(planted: Path) -> None:
    done = run_planted("read_past_end(b'x' * 100)", planted)
    assert done.returncode == sanitized.SANITIZER_STATUS, done.stdout + done.stderr
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
    assert "overread.pyx" in done.stderr or "read_past_end" in done.stderr


def test_undefined_shift_is_reported(planted: Path) -> None:
    done = run_planted("shift(40)", planted)
    assert done.returncode == sanitized.SANITIZER_STATUS, done.stdout + done.stderr
    assert "shift exponent 40 is too large" in done.stderr


def test_sanitized_modules_work_where_nothing_is_wrong(planted: Path) -> None:
    done = run_planted("shift(3)", planted)
    assert (done.returncode, done.stdout) == (0, "returned 8\n"), done.stderr


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_its_seeds(name: str) -> None:
    target = all_targets()[name]
    outcomes = {target.call(data) for data in target.inputs()}
    assert outcomes


@pytest.mark.timeout(SECONDS / len(TARGETS) + 900)
@pytest.mark.parametrize("name", TARGETS)
def test_target_survives_arbitrary_bytes(name: str, sanitized_s3d: Path, tmp_path: Path) -> None:
    seconds = SECONDS / len(TARGETS)
    # Another seed each time; it stands in the output, with which a finding can be had again.
    seed = int.from_bytes(os.urandom(4), "little")
    command = [sys.executable, "-m", "fuzz.worker", name, str(seconds), str(seed), str(tmp_path)]
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=sanitized.environment(sanitized_s3d),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds + 120,
        )
        status, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        status, output = -1, f"an input never came to its end: {error}"
    print(output)
    if status != 0:
        crasher = read_current(tmp_path)
        saved = sanitized.ROOT / "build" / "fuzz" / name / hashlib.sha256(crasher).hexdigest()[:16]
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_bytes(crasher)
        pytest.fail(f"{name} ended with {status}, seed {seed}, on {saved}: {crasher[:200]!r}\n{output[-6000:]}")


def test_worker_saves_the_input_that_broke_the_target(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fuzz import registry, worker\n"
        "@registry.target(seeds=[b'harmless'], expected=())\n"
        "def planted(data): assert b'%00' not in data\n"
        f"sys.exit(worker.main('planted', 60, 1, Path({str(tmp_path)!r})))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(sanitized.ROOT / "tests"), *filter(None, sys.path)])}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert b"%00" in read_current(tmp_path)
