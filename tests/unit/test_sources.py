"""What every source file keeps to, beyond what linters know."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 600
# Longer ones, each with the reason why it holds one idea all the same.
LONG: dict[str, str] = {}
SUFFIXES = {".py", ".pyx", ".pxd", ".pyi", ".h", ".c", ".js", ".cjs"}


def sources() -> list[Path]:
    found = [
        path
        for room in ("s3d", "tests", "bench", "wheels")
        for path in (ROOT / room).rglob("*")
        if path.suffix in SUFFIXES
    ]
    # What Cython made by the side of its source, where that was built in place by an older checkout.
    return [path for path in found if not (path.suffix == ".c" and path.with_suffix(".pyx").exists())]


def lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


def test_file_that_asks_whether_it_holds_two_ideas_has_an_answer() -> None:
    long = {str(path.relative_to(ROOT)): lines(path) for path in sources() if lines(path) > MAX_LINES}
    assert long.keys() - LONG.keys() == set(), long


def test_no_answer_outlives_its_question() -> None:
    assert [name for name in LONG if not (ROOT / name).exists() or lines(ROOT / name) <= MAX_LINES] == []


def test_every_extension_module_has_a_stub() -> None:
    modules = (ROOT / "s3d" / "_core").glob("*.pyx")
    assert [path.name for path in modules if not path.with_suffix(".pyi").exists()] == []
