"""Forwarding: the same requests straight to a fast upstream, through nginx, and through s3d, in turns.

Placement. Two cores are used. In the *split* scenarios the client and the upstream share the first, and each proxy has
the second to itself. In the *together* scenarios, with one connection, everything is on the first core: on a virtual
machine, waking an idle core costs more than the request does, for every proxy alike, and would hide what each adds.
"""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
import uvloop

from bench.servers import Server, start_nginx, start_s3d, start_upstream
from s3d.cli.bench_report import Ratio, Report, describe, markdown, ranged, report
from s3d.cli.bench_run import Outcome, Side, Workload, compare

ACCESS_KEY = "BENCHACCESSKEY000000"
SECRET_KEY = "bench/secret/key/of/the/loopback/servers"
MIB = 1 << 20


class Scenario(msgspec.Struct, frozen=True):
    """A workload, and on which cores its servers run."""

    name: str
    workload: Workload
    placement: Literal["split", "together"] = "split"


def scenarios(quick: bool) -> list[Scenario]:
    """The workloads of a forwarding gateway; ``quick`` takes a fifth of the time, and says less."""
    small = {"duration_s": 2.0, "slice_s": 0.4, "warmup_s": 0.3} if quick else {"duration_s": 12.0, "warmup_s": 1.0}
    large = {"duration_s": 3.0, "warmup_s": 0.2} if quick else {"duration_s": 8.0, "warmup_s": 1.0}
    get, put, huge = {"size_bytes": 4096, "objects": 500}, {"size_bytes": 65536, "objects": 500}, 256 * MIB
    return [
        Scenario("get-4k-1", Workload("get", connections=1, **get, **small), "together"),
        Scenario("get-4k-32", Workload("get", connections=32, **get, **small)),
        Scenario("get-4k-64", Workload("get", connections=64, **get, **small)),
        Scenario("put-64k-1", Workload("put", connections=1, **put, **small), "together"),
        Scenario("put-64k-32", Workload("put", connections=32, **put, **small)),
        Scenario("get-256m-1", Workload("get", size_bytes=huge, objects=2, connections=1, **large)),
        Scenario("put-256m-1", Workload("put", size_bytes=huge, objects=2, connections=1, **large)),
    ]


class Target(msgspec.Struct, frozen=True):
    """A figure that s3d should reach, taken from one scenario; shown, never enforced."""

    name: str
    scenario: str
    against: Literal["nginx", "direct"]
    wanted: str

    def measured(self, ratio: Ratio) -> str:
        """The figure beside the target."""
        if "added" in self.name:
            return f"{ratio.p50_added_ms:.3f} ms"
        if "p99" in self.name:
            return f"{ratio.p99:.2f}"
        if "CPU" in self.name:
            return "not measured" if ratio.cpu is None else f"{ratio.cpu:.2f}"
        return ranged(ratio.rate)


TARGETS = (
    Target("small GETs, requests/s ÷ nginx's", "get-4k-32", "nginx", "≥ 0.70"),
    Target("small GETs, requests/s ÷ nginx's", "get-4k-64", "nginx", "≥ 0.70"),
    Target("added median latency, one connection", "get-4k-1", "direct", "≤ 0.250 ms"),
    Target("p99 under load ÷ nginx's", "get-4k-32", "nginx", "≤ 2.00"),
    Target("p99 under load ÷ nginx's", "put-64k-32", "nginx", "≤ 2.00"),
    Target("large GET, bytes/s ÷ direct", "get-256m-1", "direct", "≥ 0.80"),
    Target("large PUT, bytes/s ÷ direct", "put-256m-1", "direct", "≥ 0.80"),
    Target("CPU per small GET ÷ nginx's", "get-4k-32", "nginx", "none"),
    Target("CPU per 64 KiB PUT ÷ nginx's", "put-64k-32", "nginx", "none"),
    Target("CPU per large GET ÷ nginx's", "get-256m-1", "nginx", "none"),
    Target("CPU per large PUT ÷ nginx's", "put-256m-1", "nginx", "none"),
)


class Found(msgspec.Struct, frozen=True):
    """Everything a run found, as its JSON has it."""

    measured_at: str
    command: str
    versions: dict[str, str]
    load_before: float
    scenarios: dict[str, Report]


def run(*, quick: bool, proxies: list[str], only: list[str], json_to: Path | None) -> None:
    """Start the servers, run the scenarios, print Markdown as they finish."""
    chosen = [scenario for scenario in scenarios(quick) if not only or scenario.name in only]
    load_before = os.getloadavg()[0]
    reports: dict[str, Report] = {}
    servers: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="s3d-bench-") as directory:
        try:
            upstream = start_upstream(Path(directory))
            servers.append(upstream)
            if "s3d" in proxies:
                servers.append(start_s3d(Path(directory), upstream, ACCESS_KEY, SECRET_KEY))
            if "nginx" in proxies:
                nginx = start_nginx(Path(directory), upstream)
                if nginx is None:
                    print("nginx is not installed: measured without it.", file=sys.stderr)
                else:
                    servers.append(nginx)
            found = Found(
                measured_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
                command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
                versions=versions(),
                load_before=load_before,
                scenarios=reports,
            )
            print(heading(found), flush=True)
            for scenario in chosen:
                reports[scenario.name] = measure(scenario, servers)
                cores = "each proxy on its own core" if scenario.placement == "split" else "all on one core"
                print(f"\n### {scenario.name}: {describe(scenario.workload)}, {cores}\n", flush=True)
                print(markdown(reports[scenario.name]), flush=True)
        finally:
            for server in reversed(servers):
                server.stop()
    if "s3d" in proxies:
        print("\n" + targets(reports))
    if json_to is not None:
        json_to.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def measure(scenario: Scenario, servers: list[Server]) -> Report:
    """One scenario: every proxy, and the upstream itself, in turns."""
    upstream, *proxies = servers
    cores = sorted(os.sched_getaffinity(0))[:2]
    proxy_core = cores[-1] if scenario.placement == "split" else cores[0]
    upstream.pin([cores[0]])
    for proxy in proxies:
        proxy.pin([proxy_core])
    sides = [
        Side(
            name=server.name,
            url=server.url,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            pids=() if server is upstream else (server.process.pid,),
        )
        for server in [*proxies, upstream]
    ]
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [cores[0]])
    try:
        return report(scenario.workload, uvloop.run(compare(sides, scenario.workload, progress)))
    finally:
        os.sched_setaffinity(0, everywhere)


def progress(outcome: Outcome, done: int, turns: int) -> None:
    """One line that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        last = outcome.slices[-1]
        line = "" if done == turns else f"{done}/{turns} {outcome.side.name} {last.rate:,.0f}/s"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    """What was measured, and with what."""
    said = {"s3d": version("s3d") if installed("s3d") else "source tree", "uvloop": version("uvloop")}
    for name, command in {"nginx": ["nginx", "-v"], "commit": ["git", "describe", "--always", "--dirty"]}.items():
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        said[name] = (done.stdout or done.stderr).strip().rpartition("/")[2]
    return said | {"Python": platform.python_version(), "Linux": platform.release()}


def installed(name: str) -> bool:
    """Whether the package has metadata here; a source tree has none."""
    try:
        version(name)
    except ImportError:
        return False
    return True


def heading(found: Found) -> str:
    """When, how and on what."""
    from s3d.cli.bench_report import machine

    names = ", ".join(f"{name} {number}" for name, number in found.versions.items())
    return (
        f"Measured {found.measured_at} by `{found.command}`, load average before {found.load_before:.2f}.  \n"
        f"{machine()}.  \n{names}."
    )


def targets(reports: dict[str, Report]) -> str:
    """The figures that the targets are about, as a Markdown table."""
    lines = ["| s3d | scenario | target | measured |", "| --- | --- | ---: | ---: |"]
    for target in TARGETS:
        lines += [
            f"| {target.name} | {target.scenario} | {target.wanted} | {target.measured(ratio)} |"
            for ratio in (reports[target.scenario].ratios if target.scenario in reports else ())
            if ratio.name == "s3d" and ratio.against == target.against
        ]
    return "\n".join(lines)
