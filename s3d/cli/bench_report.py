"""What a benchmark found, as data for scripts, as a table for a terminal, and as Markdown."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Sequence

import msgspec
from rich.table import Table

from s3d._core.tally import Histogram
from s3d.cli.bench_run import Outcome, Workload

BLOCKS = " ▁▂▃▄▅▆▇█"


class Spread(msgspec.Struct, frozen=True):
    """The median of a figure over the slices, and between which values the middle half of them lies."""

    median: float
    low: float
    high: float


class Summary(msgspec.Struct, frozen=True):
    """One side's figures. Times in milliseconds, sizes in bytes (MB: 10^6), CPU in microseconds per request."""

    name: str
    url: str
    requests: int
    requests_per_s: Spread
    mb_per_s: Spread
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    errors: dict[str, int]
    backlog: int
    cpu_us_per_request: float | None
    cpu_s_per_gb: float | None
    sample: str


class Ratio(msgspec.Struct, frozen=True):
    """How the first side compares with another, slice against slice of the same round.

    ``rate`` is requests/s over the other's, higher is better; ``latency`` is p50 over the other's, lower is better.
    ``p50_added_ms`` is the difference of the medians.
    """

    name: str
    against: str
    rate: Spread
    latency: Spread
    p50_added_ms: float
    p99: float
    cpu: float | None


class Report(msgspec.Struct, frozen=True):
    """Everything a run found."""

    workload: Workload
    machine: str
    sides: list[Summary]
    ratios: list[Ratio]


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; of fewer than four values, their extremes."""
    if not values:
        return Spread(0.0, 0.0, 0.0)
    median = statistics.median(values)
    if len(values) < 4:
        return Spread(median, min(values), max(values))
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def divide(value: float, by: float) -> float:
    """A ratio; 0 where there is nothing to compare with."""
    return value / by if by else 0.0


def paired(first: Sequence[float], other: Sequence[float]) -> Spread:
    """The ratio round by round, and its spread.

    Not the ratio of the two medians: those may come from different moments of a machine whose speed drifts, and then
    lie outside the spread.
    """
    return spread([one / two for one, two in zip(first, other, strict=True) if two])


def summarize(outcome: Outcome) -> Summary:
    """One side's figures."""
    latency = outcome.latency
    moved = sum(piece.body_bytes for piece in outcome.slices)
    cpu_s = outcome.cpu_s_per_request
    return Summary(
        name=outcome.side.name,
        url=outcome.side.url,
        requests=outcome.requests,
        requests_per_s=spread([piece.rate for piece in outcome.slices]),
        mb_per_s=spread([divide(piece.body_bytes / 1e6, piece.elapsed_s) for piece in outcome.slices]),
        mean_ms=latency.mean_ns / 1e6,
        p50_ms=latency.percentile(50) / 1e6,
        p90_ms=latency.percentile(90) / 1e6,
        p99_ms=latency.percentile(99) / 1e6,
        p999_ms=latency.percentile(99.9) / 1e6,
        max_ms=latency.max_ns / 1e6,
        errors={name: count for name, count in outcome.errors.items() if count},
        backlog=outcome.backlog,
        cpu_us_per_request=None if cpu_s is None else cpu_s * 1e6,
        cpu_s_per_gb=None if cpu_s is None or not moved else cpu_s * outcome.requests / moved * 1e9,
        sample=outcome.sample.decode("utf-8", "replace"),
    )


def compared(first: Outcome, other: Outcome) -> Ratio:
    """The first side beside another."""
    mine, theirs = summarize(first), summarize(other)
    cpu = None
    if mine.cpu_us_per_request is not None and theirs.cpu_us_per_request:
        cpu = mine.cpu_us_per_request / theirs.cpu_us_per_request
    return Ratio(
        name=mine.name,
        against=theirs.name,
        rate=paired([piece.rate for piece in first.slices], [piece.rate for piece in other.slices]),
        latency=paired([piece.p50_ms for piece in first.slices], [piece.p50_ms for piece in other.slices]),
        p50_added_ms=mine.p50_ms - theirs.p50_ms,
        p99=divide(mine.p99_ms, theirs.p99_ms),
        cpu=cpu,
    )


def report(workload: Workload, outcomes: Sequence[Outcome]) -> Report:
    """Every side's figures, and the first side beside each other."""
    first, *others = outcomes
    return Report(
        workload=workload,
        machine=machine(),
        sides=[summarize(outcome) for outcome in outcomes],
        ratios=[compared(first, other) for other in others],
    )


def machine() -> str:
    """Processor, number of cores usable here, kernel and Python, on one line."""
    import os

    model = platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass  # not Linux: the architecture must do
    cores = os.cpu_count() or 1
    return f"{model}, {cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def milliseconds(value: float) -> str:
    """A latency with three significant digits, in the unit that suits it."""
    if value >= 1000:
        return f"{value / 1000:.3g} s" if value < 1e6 else f"{value / 1000:.0f} s"
    if value >= 1:
        return f"{value:.3g} ms" if value < 999.5 else "1 s"
    return f"{value * 1000:.0f} µs"


def number(value: float) -> str:
    """A figure with about three significant digits, thousands separated."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ranged(figure: Spread) -> str:
    """`0.83 (0.80–0.86)`."""
    return f"{figure.median:.2f} ({figure.low:.2f}–{figure.high:.2f})"


HEADINGS = ("", "requests/s", "MB/s", "p50", "p90", "p99", "max", "errors", "CPU/request", "ratio")


def rows(found: Report) -> list[tuple[str, ...]]:
    """One row of text per side, under HEADINGS; the ratio is the first side's rate over this one's."""
    ratios = {ratio.against: ranged(ratio.rate) for ratio in found.ratios}
    return [
        (
            side.name,
            number(side.requests_per_s.median),
            number(side.mb_per_s.median),
            milliseconds(side.p50_ms),
            milliseconds(side.p90_ms),
            milliseconds(side.p99_ms),
            milliseconds(side.max_ms),
            ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in side.errors.items()) or "0",
            "" if side.cpu_us_per_request is None else milliseconds(side.cpu_us_per_request / 1000),
            ratios.get(side.name, ""),
        )
        for side in found.sides
    ]


def shown_columns(found: Report) -> list[int]:
    """The columns that say something: CPU only where processes were named, ratios only where sides were compared."""
    lines = rows(found)
    return [index for index in range(len(HEADINGS)) if index == 0 or any(line[index] for line in lines)]


def table(found: Report) -> Table:
    """The figures for a terminal."""
    keep = shown_columns(found)
    drawn = Table(title=describe(found.workload), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index in keep:
        heading = HEADINGS[index]
        if heading == "ratio":
            heading = f"{found.sides[0].name} ÷ this"
        drawn.add_column(heading, justify="left" if index == 0 else "right", no_wrap=index != 7)
    for line in rows(found):
        drawn.add_row(*(line[index] for index in keep))
    return drawn


def markdown(found: Report) -> str:
    """The same figures as a Markdown table."""
    keep = shown_columns(found)
    headings = [HEADINGS[index] if index < 9 else f"{found.sides[0].name} ÷ this" for index in keep]
    lines = [headings, ["---", *("---:" for _ in keep[1:])]]
    lines += [[line[index] for index in keep] for line in rows(found)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def describe(workload: Workload) -> str:
    """The workload on one line: `GET 4 KiB, 32 connections, 10 × 1 s`."""
    verb = {"get": "GET", "put": "PUT", "head": "HEAD", "range": "GET range"}[workload.operation]
    size = binary(workload.size_bytes)
    if workload.operation == "range":
        size = f"{binary(workload.body_bytes)} of {size}"
    pace = f", {workload.rate:g} requests/s" if workload.rate else ""
    plural = "" if workload.connections == 1 else "s"
    return f"{verb} {size}, {workload.connections} connection{plural}{pace}, {workload.rounds} × {workload.slice_s:g} s"


def binary(size_bytes: int) -> str:
    """`4 KiB`, `256 MiB`; bytes when it is not a whole number of a larger unit."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << shift and size_bytes % (1 << shift) == 0:
            return f"{size_bytes >> shift} {unit}"
    return f"{size_bytes} B"


def sparkline(latency: Histogram, low_ns: float, high_ns: float, width: int = 48) -> str:
    """The distribution between two latencies on a logarithmic axis, one block character per column."""
    span = math.log(max(high_ns, low_ns * 1.01) / low_ns)
    columns = [0] * width
    for bucket_low, bucket_high, count in latency.buckets():
        middle = max(low_ns, (bucket_low + bucket_high) / 2)
        columns[min(width - 1, int(math.log(middle / low_ns) / span * width))] += count
    tallest = max(columns)
    # The square root keeps the tail visible: a column of 1 % of the tallest is one block high.
    return "".join(BLOCKS[math.ceil(math.sqrt(count / tallest) * (len(BLOCKS) - 1))] for count in columns)


def distribution(outcomes: Sequence[Outcome]) -> str:
    """Every side's latencies over one logarithmic axis; empty when nothing was measured."""
    measured = [outcome for outcome in outcomes if outcome.latency.count]
    if not measured:
        return ""
    low_ns = max(1, min(outcome.latency.min_ns for outcome in measured))
    high_ns = max(outcome.latency.percentile(99.9) for outcome in measured)
    label = max(len(outcome.side.name) for outcome in measured)
    lines = [f"{outcome.side.name:<{label}} ▕{sparkline(outcome.latency, low_ns, high_ns)}▏" for outcome in measured]
    left, right = milliseconds(low_ns / 1e6), milliseconds(high_ns / 1e6)
    return "\n".join([*lines, " " * (label + 2) + left + right.rjust(48 - len(left))])
