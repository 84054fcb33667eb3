"""How fast filters decide, in the evaluator's own loop, beside the same rules in Python."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import statistics
import sys
from pathlib import Path

import msgspec

from bench.forward import versions
from s3d.cli.bench_report import machine
from s3d.cli.filter_bench import Found, measure
from s3d.filters.grammar import Clause
from s3d.filters.parse import parse


def one() -> str:
    """A prefix."""
    return "logs/2026/*"


def glob() -> str:
    """A glob that has to be searched for."""
    return "logs/*/2026/*.gz"


def prefixes() -> str:
    """A thousand prefixes in ten buckets."""
    return ",".join(f"bucket-{number % 10}/projects/team-{number:04d}/*" for number in range(1000))


def conditions() -> str:
    """A thousand prefixes, each with conditions on a tag, a header and the size."""
    return ",".join(
        f"bucket-{number % 10}/projects/team-{number:04d}/*[tag:project=x][hdr:content-type=text/*][size<1MB]"
        for number in range(1000)
    )


def same_place() -> str:
    """A thousand conditions in one place: no prefix tells them apart."""
    return ",".join(f"bucket/*[tag:stage=s{number}]" for number in range(1000))


SCENARIOS = {
    "one-clause": one, "one-glob": glob, "1000-prefixes": prefixes, "1000-conditions": conditions,
    "1000-same-place": same_place,
}  # fmt: skip
NAMES = list(SCENARIOS)
TARGETS_NS = {"one-clause": 300.0, "one-glob": 300.0, "1000-prefixes": 1000.0}
ROUNDS = 5


def run(*, quick: bool, only: list[str], json_to: Path | None) -> None:
    """Measure, print Markdown."""
    chosen = [name for name in NAMES if not only or name in only]
    seconds = 0.2 if quick else 1.0
    print(
        f"Measured {datetime.datetime.now(datetime.UTC).isoformat(timespec='minutes')} by "
        f"`{shlex.join(['python', '-m', 'bench', *sys.argv[1:]])}`, load average before {os.getloadavg()[0]:.2f}.  \n"
        f"{machine()}.  \n{', '.join(f'{name} {number}' for name, number in versions().items())}.\n"
    )
    print("| filter | objects | decision | target | `re` | `fnmatch` |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    found: dict[str, list[Found]] = {}
    for name in chosen:
        clauses = [item for item in parse(SCENARIOS[name]()) if isinstance(item, Clause)]
        found[name] = [measure(clauses, seconds) for _ in range(1 if quick else ROUNDS)]
        print(row(name, found[name]), flush=True)
    if json_to is not None:
        text = msgspec.json.encode({"python": platform.python_version(), "scenarios": found})
        json_to.write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def row(name: str, rounds: list[Found]) -> str:
    """A line of the table: the median over the rounds, in which the ways took turns."""
    evaluator = statistics.median(found.ways[0].per_decision_ns for found in rounds)
    target = f"≤ {TARGETS_NS[name] / 1000:g} µs" if name in TARGETS_NS else "none"
    others = []
    for index in (1, 2):
        ratio = statistics.median(found.ways[index].per_decision_ns / found.ways[0].per_decision_ns for found in rounds)
        took = statistics.median(found.ways[index].per_decision_ns for found in rounds)
        others.append(f"{ratio:,.0f} × ({took / 1000:,.{2 if took < 1e5 else 0}f} µs)")
    return f"| {name} | {rounds[0].objects} | {evaluator / 1000:.3f} µs | {target} | {others[0]} | {others[1]} |"
