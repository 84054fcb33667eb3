"""The table of durable steps and the code that takes them name each other; and the switch does what it says."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s3d.crash_point import POINTS, arm

PACKAGE = Path(__file__).resolve().parents[2] / "s3d"


def literals() -> set[str]:
    """Every string of the package's code: a room may be handed `crash_point` and call it by another name."""
    return {
        node.value
        for path in PACKAGE.rglob("*.py")
        if path.name != "crash_point.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def passed_names() -> list[object]:
    """The argument of every call of `crash_point` or a `step`: a name, or None where it is no literal."""
    found: list[object] = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and {"crash_point", "_step"} & {
                getattr(node.func, "id", ""),
                getattr(node.func, "attr", ""),
            }:
                [argument] = node.args
                found.append(argument.value if isinstance(argument, ast.Constant) else None)
    return found


def run(at: str, body: str) -> subprocess.CompletedProcess[str]:
    program = f"from s3d.crash_point import arm, crash_point\narm({at!r})\n{body}\nprint('alive')"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent)


def test_every_point_of_the_table_is_passed_somewhere():
    assert sorted(set(POINTS) - literals()) == []


def test_every_point_that_is_passed_is_in_the_table():
    assert [name for name in passed_names() if name not in POINTS] == []


def test_process_dies_at_the_passing_that_was_asked_for():
    done = run("store.linked:2", "crash_point('store.linked'); print('once', flush=True); crash_point('store.linked')")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "once\n")


def test_other_points_let_it_live():
    done = run("store.linked", "crash_point('store.synced')")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_name_that_nobody_registered_is_an_error_when_it_is_passed():
    done = run("store.linked", "crash_point('store.linkd')")
    assert done.returncode == 1 and "store.linkd" in done.stderr


@pytest.mark.parametrize("at", ["", "store", "store.linked:", "store.linked:0", "store.linked:-1", "store.linked:x"])
def test_arming_it_at_nothing_is_an_error(at):
    with pytest.raises(ValueError, match=r"crash point|count of passings"):
        arm(at)
