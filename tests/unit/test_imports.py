"""The rooms of the house and the one way that imports go between them, read from the sources themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the top down: a room may import any room of a lower line, and none of its own line or above.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli"}),
    frozenset({"daemon"}),
    frozenset({"server", "sync", "fuse"}),
    frozenset({"gateway"}),
    frozenset({"cache", "queue", "filters", "auth"}),
    frozenset({"objects", "remote"}),
    frozenset({"store", "index"}),
    frozenset({"s3"}),
    frozenset({"_core"}),
)
RANK = {room: len(LAYERS) - line for line, rooms in enumerate(LAYERS) for room in rooms}
# What the order of the lines does not say.
ONLY: dict[str, frozenset[str]] = {
    # The core is C with a Python edge, and knows no one, not even the definitions of what it counts.
    "_core": frozenset(),
    # A client in a process of its own.
    "fuse": frozenset({"remote", "s3", "_core", "telemetry"}),
    # Everyone may import these two's definitions, or none but the top may: they must not draw others in.
    "telemetry": frozenset({"_core"}),
    # Filters are options, and are refused at start as any other wrong value is.
    "config": frozenset({"s3", "telemetry", "values", "filters"}),
    # The kinds of value that configuration and command line speak.
    "values": frozenset(),
    # The switch by which tests make durable steps fail, and nothing else.
    "crash_point": frozenset(),
    # The package itself: whoever imports any room imports this first.
    "": frozenset(),
}
# Everybody else is handed its settings.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "config": frozenset({"cli", "daemon"}),
    "values": frozenset({"cli", "daemon", "config"}),
    "crash_point": frozenset({"daemon", "gateway", "objects", "store", "index"}),
}

_CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+(?P<module>[.\w]+)\s+c?import\b(?P<names>.*)|c?import\s+(?P<modules>.+))")


def room_of(module: str) -> str:
    """The room of a module's dotted name: "auth" for "s3d.auth.identity", "" for "s3d"."""
    return module.split(".")[1] if "." in module else ""


def python_imports(text: str, module: str, is_package: bool) -> Iterator[str]:
    """Every module that Python source imports, wherever it stands; relative ones made absolute."""
    here = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [node.module])]) if node.level else ""
            base = base or node.module or ""
            # `from s3d import auth` imports a room by its name.
            yield from (f"{base}.{alias.name}" for alias in node.names) if base == "s3d" else (base,)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.args[0].value


def cython_imports(text: str, module: str) -> Iterator[str]:
    """Every module that Cython source imports or cimports; relative ones made absolute."""
    here = module.split(".")[:-1]
    for line in text.splitlines():
        if line.lstrip().startswith("include "):
            yield f"include of {line.split()[1]}"
        match = _CYTHON_IMPORT.match(line)
        if match is None:
            continue
        if match["modules"]:
            yield from (name.split()[0] for name in match["modules"].split("#")[0].split(",") if name.strip())
            continue
        name = match["module"]
        dots = len(name) - len(name.lstrip("."))
        base = ".".join([*here[: len(here) - dots + 1], *filter(None, [name[dots:]])]) if dots else name
        names = [word.split()[0] for word in match["names"].strip(" ()\\").split(",") if word.strip()]
        yield from (f"{base}.{one}" for one in names) if base == "s3d" else (base,)


def module_of(path: str) -> str:
    """The dotted name of a file's module: "s3d.auth" for "s3d/auth/__init__.py"."""
    return path.rsplit(".", 1)[0].replace("/", ".").removesuffix(".__init__")


def violations(sources: Mapping[str, str]) -> list[str]:
    """What is against the rules, given the package's source files by their paths ("s3d/auth/identity.py")."""
    found = []
    for path, text in sorted(sources.items()):
        module = module_of(path)
        room = room_of(module)
        if path.endswith((".pyx", ".pxd")):
            if room != "_core":
                found.append(f"{path}: Cython lives in _core only")
            imports: Iterable[str] = cython_imports(text, module)
        else:
            imports = python_imports(text, module, path.endswith("/__init__.py"))
        if room and room not in RANK and room not in ONLY:
            found.append(f"{path}: no room is called {room}")
            continue
        for name in imports:
            if name.startswith("include of"):
                found.append(f"{path}: {name}; modules link by cimport")
            elif (name == "s3d" or name.startswith("s3d.")) and not _allowed(room, room_of(name)):
                found.append(f"{path}: {room or 's3d'} imports {name}")
    return found


def _allowed(room: str, other: str) -> bool:
    if other == room or other.startswith("__version"):
        return True
    if room in ONLY:
        return other in ONLY[room]
    if other in MAY_IMPORT:
        return room in MAY_IMPORT[other]
    if other == "telemetry":
        return True
    if other not in RANK:
        # `from s3d import name`: not a room, so it is the package's own.
        return other not in ONLY or other == ""
    return RANK[other] < RANK[room]


def package_sources() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for suffix in ("py", "pyi", "pyx", "pxd")
        for path in (ROOT / "s3d").rglob(f"*.{suffix}")
    }


def test_imports_go_one_way() -> None:
    assert violations(package_sources()) == []


def test_tests_and_benchmarks_are_not_imported_by_the_package() -> None:
    foreign = re.compile(r"^\s*(?:from|import)\s+(?:tests|bench|servers|fuzz)\b", re.MULTILINE)
    assert [path for path, text in package_sources().items() if foreign.search(text)] == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("s3d/store/files.py", "from s3d.index import rows"),
        ("s3d/store/files.py", "from s3d import index"),
        ("s3d/store/files.py", "from ..index import rows"),
        ("s3d/store/files.py", "def late():\n    import s3d.gateway.get"),
        ("s3d/store/files.py", "import importlib\nimportlib.import_module('s3d.cache')"),
        ("s3d/cache/fill.py", "from s3d.queue import lease"),
        ("s3d/auth/identity.py", "from s3d.config import Config"),
        ("s3d/auth/identity.py", "if TYPE_CHECKING:\n    from s3d.gateway import Gateway"),
        ("s3d/server/__init__.py", "from ..daemon import main"),
        ("s3d/s3/errors.py", "import s3d.remote"),
        ("s3d/telemetry/table.py", "from s3d.gateway import operations"),
        ("s3d/fuse/inodes.py", "from s3d.gateway import operations"),
        ("s3d/_core/route.pyx", "from s3d.s3.errors import S3Error"),
        ("s3d/_core/route.pyx", "    import s3d.telemetry"),
        ("s3d/_core/route.pxd", "from s3d.auth.x cimport Y"),
        ("s3d/_core/route.pyx", "from ..s3 import errors"),
        ("s3d/_core/route.pyx", "from s3d import config"),
        ("s3d/_core/route.pyx", 'include "other.pxi"'),
        ("s3d/_core/__init__.py", "from s3d.telemetry import table"),
        ("s3d/auth/fast.pyx", ""),
        ("s3d/utils/misc.py", ""),
        ("s3d/__init__.py", "from s3d.cli import main"),
    ],
)
def test_import_against_the_rules_is_found(path: str, text: str) -> None:
    assert len(violations({path: text})) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("s3d/cli/__init__.py", "from s3d.daemon import run\nfrom s3d.config import Config\nimport s3d._core.http"),
        ("s3d/gateway/get.py", "from s3d.cache import fill\nfrom s3d.store import files\nfrom . import put"),
        ("s3d/cache/fill.py", "from s3d.telemetry import table\nfrom s3d.cache.evict import x"),
        ("s3d/server/run.py", "from s3d import __version__"),
        (
            "s3d/_core/route.pyx",
            "from s3d._core.fault cimport Fault\nfrom . cimport stage\nfrom libc.string cimport memchr",
        ),
        ("s3d/telemetry/read.py", "from s3d._core import counters"),
    ],
)
def test_import_within_the_rules_is_let_pass(path: str, text: str) -> None:
    assert violations({path: text}) == []
