"""The build with AddressSanitizer and UBSan, and the environment that a process needs to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLANTED = "tests/fuzz/planted"
# The exit status of a process that a sanitizer ended: none that Python or a signal would give.
SANITIZER_STATUS = 99


def libasan() -> str:
    """The path of gcc's libasan; FileNotFoundError where there is no gcc or no such library with it."""
    path = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    # gcc answers with the bare name when it has no such file.
    if "/" not in path:
        raise FileNotFoundError("gcc has no libasan.so")
    return path


def build(sources: str | None = None) -> Path:
    """Builds s3d, or the modules that lie in `sources`, with the sanitizers; returns the directory to import from.

    What was built before and is up to date is kept.
    """
    directory = ROOT / "build" / "asan" / (sources.replace("/", "-") if sources else "s3d")
    env = {**os.environ, "S3D_BUILD": "asan", "CC": "gcc", "LDSHARED": "gcc -shared"}
    if sources:
        env["S3D_SOURCES"] = sources
    done = subprocess.run(
        [
            *(sys.executable, "setup.py", "-q", "build_ext" if sources else "build"),
            *("--build-lib", str(directory / "lib"), "--build-temp", str(directory / "temp")),
        ],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the sanitized build failed:\n{done.stdout}\n{done.stderr}")
    return directory / "lib"


def environment(*import_from: Path) -> dict[str, str]:
    """What a process needs to load sanitized modules out of these directories, the tests' own beside them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return env | {
        "LD_PRELOAD": libasan(),
        "PYTHONPATH": os.pathsep.join(map(str, [*import_from, ROOT / "tests"])),
        # CPython's own allocator carves small objects out of arenas: an overread of a `bytes` would land in the next
        # object, and the sanitizer could not know. With malloc every object has its red zone.
        "PYTHONMALLOC": "malloc",
        # CPython itself leaks at exit. An allocation of gigabytes is a finding.
        "ASAN_OPTIONS": f"detect_leaks=0:exitcode={SANITIZER_STATUS}:max_allocation_size_mb=1024",
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:exitcode={SANITIZER_STATUS}",
    }
