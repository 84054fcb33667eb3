"""Standalone: durable writes beside the disk's own limit, reads beside nginx's static files, a bucket of a million.

Placement. The client has the first core; s3d, nginx and the rest have the second one, in turns. s3d verifies the
signature of every request, nginx none.
"""

from __future__ import annotations

import datetime
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from bench import million
from bench.forward import ACCESS_KEY, MIB, SECRET_KEY, Found, heading, progress, versions
from bench.servers import Server, start_nginx_files, start_standalone
from bench.sides import Appender, Disk, Files, Pages, Publisher
from s3d.cli.bench_report import Report, Spread, describe, markdown, ranged, report, spread
from s3d.cli.bench_run import Contender, Outcome, Side, Workload, compare

MILLION = 1_000_000
STARTS = 3
Result = TypeVar("Result")


class Scenario(msgspec.Struct, frozen=True):
    """A workload, and who carries it out in turns: ``s3d`` first."""

    name: str
    workload: Workload
    sides: tuple[str, ...]


def scenarios(quick: bool) -> list[Scenario]:
    """The workloads of a standalone s3d; ``quick`` takes a quarter of the time, and says less."""
    times = {"duration_s": 2.4, "slice_s": 0.3, "warmup_s": 0.3} if quick else {"duration_s": 12.0, "warmup_s": 1.0}
    get, put = ("s3d", "nginx"), ("s3d", "s3d-unsynced", "disk")
    small, medium = {"size_bytes": 4096, "objects": 500}, {"size_bytes": 65536, "objects": 500}
    return [
        Scenario("put-4k-1", Workload("put", connections=1, **small, **times), put),
        Scenario("put-4k-64", Workload("put", connections=64, **small, **times), put),
        Scenario("put-64k-1", Workload("put", connections=1, **medium, **times), put),
        Scenario("put-64k-64", Workload("put", connections=64, **medium, **times), put),
        Scenario("get-4k-32", Workload("get", connections=32, **small, **times), get),
        Scenario("get-64k-32", Workload("get", connections=32, **medium, **times), get),
        Scenario("get-1m-16", Workload("get", connections=16, size_bytes=MIB, objects=64, **times), get),
        Scenario("get-64m-2", Workload("get", connections=2, size_bytes=64 * MIB, objects=2, **times), get),
    ]


NAMES = [scenario.name for scenario in scenarios(True)] + ["million"]


class Target(msgspec.Struct, frozen=True):
    """A figure that s3d should reach in one scenario, made of the rates of one round; shown, never enforced."""

    name: str
    scenario: str
    wanted: str
    figure: Callable[[dict[str, float]], float]


TARGETS = (
    Target("GET 4 KiB ÷ nginx", "get-4k-32", "≥ 1.00", lambda rate: rate["s3d"] / rate["nginx"]),
    Target("GET 64 KiB ÷ nginx", "get-64k-32", "none", lambda rate: rate["s3d"] / rate["nginx"]),
    Target("GET 1 MiB ÷ nginx", "get-1m-16", "≥ 0.95", lambda rate: rate["s3d"] / rate["nginx"]),
    Target("GET 64 MiB ÷ nginx", "get-64m-2", "≥ 0.95", lambda rate: rate["s3d"] / rate["nginx"]),
    Target(
        "durable PUT 4 KiB ÷ min(unsynced, 64 ÷ fsync latency)",
        "put-4k-64",
        "≥ 0.80",
        lambda rate: rate["s3d"] / min(rate["s3d-unsynced"], 64 * rate["disk"]),
    ),
    Target("durable PUT 4 KiB ÷ one synced writer", "put-4k-64", "≥ 5.00", lambda rate: rate["s3d"] / rate["disk"]),
    Target("durable PUT 64 KiB ÷ one by one", "put-64k-64", "≥ 3.00", lambda rate: rate["s3d"] / rate["disk"]),
    Target(
        "PUT 4 KiB, one connection ÷ one synced writer", "put-4k-1", "none", lambda rate: rate["s3d"] / rate["disk"]
    ),
    Target("PUT 64 KiB, one connection ÷ one by one", "put-64k-1", "none", lambda rate: rate["s3d"] / rate["disk"]),
)


class Million(msgspec.Struct, frozen=True):
    """What a bucket of a million keys costs."""

    starts: list[million.Start]
    page: Report
    page_ms: Spread
    stalls: million.Stalls


class Everything(Found, frozen=True):
    """What a run of this suite found, as its JSON has it."""

    figures: dict[str, Spread] = msgspec.field(default_factory=dict)
    million: Million | None = None


def run(*, quick: bool, only: list[str], json_to: Path | None) -> None:
    """Start the servers, run the scenarios, print Markdown as they finish."""
    load_before = os.getloadavg()[0]
    found = Everything(
        measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        versions=versions(),
        load_before=load_before,
        scenarios={},
    )
    print(heading(found), flush=True)
    chosen = [scenario for scenario in scenarios(quick) if not only or scenario.name in only]
    with tempfile.TemporaryDirectory(prefix="s3d-bench-") as directory:
        home = Path(directory)
        if chosen:
            race(chosen, home, found)
        if not only or "million" in only:
            found = msgspec.structs.replace(found, million=measure_million(home, MILLION, quick))
    print("\n" + targets(found))
    if json_to is not None:
        json_to.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def race(chosen: Sequence[Scenario], home: Path, found: Everything) -> None:
    """Run scenarios side by side."""
    servers: dict[str, Server] = {}
    files = home / "files"
    files.mkdir()
    try:
        servers["s3d"] = start_standalone("s3d", home / "s3d", ACCESS_KEY, SECRET_KEY)
        servers["s3d-unsynced"] = start_standalone(
            "s3d-unsynced", home / "unsynced", ACCESS_KEY, SECRET_KEY, S3D_WRITE_QUEUE_SYNC="false"
        )
        nginx = start_nginx_files(home, files)
        if nginx is None:
            print("nginx is not installed: measured without it.", file=sys.stderr)
        else:
            servers["nginx"] = nginx
        for scenario in chosen:
            outcomes = measure(scenario, servers, home, files)
            found.scenarios[scenario.name] = report(scenario.workload, outcomes)
            found.figures.update(figures(scenario.name, outcomes))
            print(f"\n### {scenario.name}: {describe(scenario.workload)}\n", flush=True)
            print(markdown(found.scenarios[scenario.name]), flush=True)
    finally:
        for server in servers.values():
            server.stop()


def measure(scenario: Scenario, servers: dict[str, Server], home: Path, files: Path) -> list[Outcome]:
    """One scenario: all its sides that there are, in turns."""
    sides = [
        Side(
            name=name,
            url=servers[name].url if name in servers else "http://disk",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            pids=(servers[name].process.pid,) if name in servers else (),
        )
        for name in scenario.sides
        if name in servers or name == "disk"
    ]
    size = scenario.workload.size_bytes
    work = home / f"disk-{scenario.name}"
    work.mkdir()
    write = Appender(work, size) if size <= 4096 else Publisher(work, size)
    makers: dict[str, Callable[..., Contender]] = {"nginx": partial(Files, files), "disk": partial(Disk, write)}

    def contend(side: Side, workload: Workload, bucket: str, prefix: str, body: bytes) -> Contender:
        return makers.get(side.name, Contender)(side, workload, bucket, prefix, body)

    return apart(servers.values(), lambda: uvloop.run(compare(sides, scenario.workload, progress, contend)))


def figures(scenario: str, outcomes: Sequence[Outcome]) -> dict[str, Spread]:
    """The targets' figures of one scenario: round by round, then their median and spread."""
    found = {}
    rounds = [
        dict(zip([outcome.side.name for outcome in outcomes], rates, strict=True))
        for rates in zip(*[[piece.rate for piece in outcome.slices] for outcome in outcomes], strict=True)
    ]
    for target in TARGETS:
        if target.scenario == scenario:
            try:
                found[target.name] = spread([target.figure(rates) for rates in rounds])
            except (KeyError, ZeroDivisionError):
                continue  # a side was not there, or got nothing done
    return found


def apart(servers: Iterable[Server], work: Callable[[], Result]) -> Result:
    """Do ``work`` on the first core, with the servers on the second."""
    everywhere = os.sched_getaffinity(0)
    cores = sorted(everywhere)[:2]
    for server in servers:
        server.pin([cores[-1]])
    os.sched_setaffinity(0, [cores[0]])
    try:
        return work()
    finally:
        os.sched_setaffinity(0, everywhere)


def measure_million(directory: Path, count: int, quick: bool) -> Million:
    """Fill a bucket, start on it, list it, and read it from a cold disk."""
    home = directory / "million"
    home.mkdir()
    million.fill_elsewhere(home, count)
    starts = []
    for turn in range(STARTS):
        server, start = million.start(partial(start_standalone, "s3d", home, ACCESS_KEY, SECRET_KEY))
        starts.append(start)
        if turn < STARTS - 1:
            server.stop()
    try:
        side = Side("s3d", server.url, ACCESS_KEY, SECRET_KEY, pids=(server.process.pid,))
        stalls = apart([server], partial(million.cold, server, home / "index", side, count))
        seconds = 2.0 if quick else 8.0
        workload = Workload(
            "get", connections=1, objects=1, bucket=million.BUCKET, duration_s=seconds, slice_s=seconds / 8
        )
        outcomes = apart([server], lambda: uvloop.run(compare([side], workload, progress, partial(Pages, count))))
    finally:
        server.stop()
    pages = spread([piece.p50_ms for piece in outcomes[0].slices])
    found = Million(starts, report(workload, outcomes), pages, stalls)
    print(f"\n### million: pages of 1,000 keys of {count:,}, 1 connection\n\n{markdown(found.page)}", flush=True)
    return found


def targets(found: Everything) -> str:
    """The figures that the targets are about, as a Markdown table."""
    lines = ["| s3d standalone | scenario | target | measured |", "| --- | --- | ---: | ---: |"]
    lines += [
        f"| {target.name} | {target.scenario} | {target.wanted} | {ranged(found.figures[target.name])} |"
        for target in TARGETS
        if target.name in found.figures
    ]
    if found.million is not None:
        ready = spread([start.ready_s for start in found.million.starts])
        rss_mb = max(start.rss_bytes for start in found.million.starts) / 1e6
        stalls = found.million.stalls
        lines += [
            f"| 1,000 keys of a million, p50 | million | ≤ 5 ms | {ranged(found.million.page_ms)} ms |",
            f"| start with a million records | million | ≤ 2 s | {ranged(ready)} s |",
            f"| RSS after it | million | ≤ 300 MB | {rss_mb:.0f} MB |",
            f"| loop stall p99, index cold ({stalls.reads:,} reads) | million | none | {stalls.p99_ms:.2f} ms |",
        ]
    return "\n".join(lines)
