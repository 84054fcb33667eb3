"""`s3d bench`: load on an S3 endpoint, measured; with `--against`, side by side with others in the same run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from s3d import values
from s3d.cli.console import ERROR, UNREACHABLE, USAGE, Failure, note

if TYPE_CHECKING:
    from s3d.cli.bench_run import Operation, Outcome, Side, Workload

WORKLOADS = ("get", "put", "head", "range")
PREPARED_BYTES = 1 << 30
"""Without --objects as many are prepared as make this up, between 4 and 1,000: a run should begin within seconds."""


def register(app: typer.Typer) -> None:
    """Add the command to `s3d`."""
    app.command("bench")(bench)


def bench(
    context: typer.Context,
    workload: Annotated[str, typer.Argument(metavar="get|put|head|range", help="What each request does.")] = "get",
    size: Annotated[str, typer.Option(help="Size of each object.", metavar="SIZE")] = "4KiB",
    objects: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many objects; 0: as many as 1 GiB holds, 4 to 1000.")
    ] = 0,
    connections: Annotated[int, typer.Option(min=1, max=10_000, help="Connections, one request each at a time.")] = 32,
    duration: Annotated[str, typer.Option(help="How long each side is measured.", metavar="TIME")] = "10s",
    warmup: Annotated[str, typer.Option(help="How long each side runs before that.", metavar="TIME")] = "1s",
    slices: Annotated[
        str, typer.Option("--slice", help="How long one side runs before the next takes its turn.", metavar="TIME")
    ] = "1s",
    rate: Annotated[
        float,
        typer.Option(min=0, help="Requests per second at fixed times, late or not; 0: as fast as they are answered."),
    ] = 0,
    range_size: Annotated[str, typer.Option(help="Bytes per request of `range`.", metavar="SIZE")] = "4KiB",
    timeout: Annotated[
        str, typer.Option(help="Give up a request when nothing moves for so long.", metavar="TIME")
    ] = "30s",
    bucket: Annotated[
        str, typer.Option(help="Use this bucket; without it each side gets one of its own, deleted at the end.")
    ] = "",
    endpoint: Annotated[
        str, typer.Option(metavar="[NAME=]URL", help="What is measured.  [env: S3D_ENDPOINT]", show_default=False)
    ] = "",
    against: Annotated[
        list[str] | None, typer.Option(metavar="[NAME=]URL", help="Measure this beside it, in turns; repeatable.")
    ] = None,
    access_key: Annotated[
        str, typer.Option(help="Key of the endpoint; default S3D_ACCESS_KEY_ID, then AWS configuration.")
    ] = "",
    secret_key: Annotated[str, typer.Option(help="Its secret; default S3D_SECRET_ACCESS_KEY.")] = "",
    against_access_key: Annotated[
        list[str] | None, typer.Option(help="Key for each --against in order; default AWS configuration.")
    ] = None,
    against_secret_key: Annotated[list[str] | None, typer.Option(help="Its secret, in the same order.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Sign nothing.")] = False,
    sign_payload: Annotated[
        bool, typer.Option("--sign-payload", help="Sign uploads with their SHA-256, not UNSIGNED-PAYLOAD.")
    ] = False,
    region: Annotated[str, typer.Option(help="Region to sign for; default AWS_REGION, then us-east-1.")] = "",
    pid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PID", help="Count this process's CPU time, with its children, for that side; repeatable."
        ),
    ] = None,
    json_to: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write all figures as JSON; - is stdout.")
    ] = "",
) -> None:
    """Measure an S3 endpoint, alone or beside others.

    Objects are made for the run and deleted after it. With --against the sides take turns of one second, so that
    whatever else the machine does touches them alike; the last column is the endpoint's requests/s divided by that
    side's, with the middle half of the slices in brackets.

    \b
      s3d bench get --size 4KiB --connections 64
      s3d bench put --size 256MiB --connections 4 --against remote=https://s3.example.com
    """
    address = endpoint or (context.obj or {}).get("endpoint") or os.environ.get("S3D_ENDPOINT", "")
    address = (address or "http://localhost:33333").split(",")[0]
    try:
        sides = read_sides(
            address,
            against or [],
            (access_key, secret_key),
            list(zip(against_access_key or [], against_secret_key or [], strict=True)),
            unsigned,
            region,
            pid or [],
        )
        work = read_workload(
            workload,
            size=size,
            objects=objects,
            connections=connections,
            duration=duration,
            warmup=warmup,
            slices=slices,
            rate=rate,
            range_size=range_size,
            timeout=timeout,
            bucket=bucket,
            sign_payload=sign_payload,
        )
    except ValueError as error:
        raise Failure(str(error), USAGE) from None
    outcomes = run(sides, work)
    show(work, outcomes, json_to)
    if not all(outcome.requests for outcome in outcomes):
        raise Failure("A side answered no request as expected.", ERROR)


def read_workload(
    name: str,
    *,
    size: str,
    objects: int,
    connections: int,
    duration: str,
    warmup: str,
    slices: str,
    rate: float,
    range_size: str,
    timeout: str,
    bucket: str,
    sign_payload: bool,
) -> Workload:
    """The options as a Workload; ValueError says which one is wrong."""
    from s3d.cli.bench_run import OPERATIONS, Workload

    operation: Operation | None = next((known for known in OPERATIONS if known == name), None)
    if operation is None:
        raise ValueError(f"{name!r} is not a workload; use one of {', '.join(OPERATIONS)}.")
    size_bytes = option("--size", values.read_size, size, 0, 5 << 40)
    if operation == "range" and not size_bytes:
        raise ValueError("--size: there is no range in an empty object.")
    return Workload(
        operation=operation,
        size_bytes=size_bytes,
        objects=objects or max(4, min(1000, PREPARED_BYTES // max(1, size_bytes))),
        connections=connections,
        duration_s=option("--duration", values.read_duration, duration, 0.01, 86400, False),
        slice_s=option("--slice", values.read_duration, slices, 0.01, 3600, False),
        warmup_s=option("--warmup", values.read_duration, warmup, 0, 3600, False),
        timeout_s=option("--timeout", values.read_duration, timeout, 0.1, 3600, False),
        rate=rate,
        range_bytes=option("--range-size", values.read_size, range_size, 1, 5 << 40),
        sign_payload=sign_payload,
        bucket=bucket,
    )


def option(flag: str, read: Any, text: str, *bounds: Any) -> Any:
    """One option's value; its ValueError names the option."""
    try:
        return read(text, *bounds)
    except ValueError as error:
        raise ValueError(f"{flag} {text!r}: {error}") from None


def read_sides(
    endpoint: str,
    against: list[str],
    keys: tuple[str, str],
    against_keys: list[tuple[str, str]],
    unsigned: bool,
    region: str,
    pids: list[str],
) -> list[Side]:
    """The endpoint first, then what it is measured against; ValueError says which option is wrong."""
    from s3d.cli.bench_run import Side

    if len(against_keys) > len(against):
        raise ValueError("--against-access-key is given more often than --against.")
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    named = [read_name(text, "s3d" if number == 0 else "") for number, text in enumerate([endpoint, *against])]
    names = [name for name, _ in named]
    if len(set(names)) < len(names):
        raise ValueError(f"Two sides have the same name ({', '.join(names)}); write --against NAME=URL.")
    processes = read_pids(pids, names)
    root = (os.environ.get("S3D_ACCESS_KEY_ID", ""), os.environ.get("S3D_SECRET_ACCESS_KEY", ""))
    chosen = [keys if all(keys) else root, *against_keys]
    sides = []
    for number, (name, url) in enumerate(named):
        access, secret, token = "", "", ""
        if not unsigned:
            pair = chosen[number] if number < len(chosen) else ("", "")
            access, secret, token = (*pair, "") if all(pair) else ambient_credentials()
        sides.append(
            Side(
                name=name,
                url=url,
                access_key=access,
                secret_key=secret,
                session_token=token,
                region=region,
                pids=processes[name],
            )
        )
    return sides


def read_name(text: str, default: str) -> tuple[str, str]:
    """`NAME=URL` or a URL, whose host and port then are its name."""
    name, mark, url = text.partition("=")
    if not mark or "/" in name:
        name, url = default, text
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} cannot be measured; it must be an http:// or https:// URL.")
    if parts.path not in ("", "/") or parts.query:
        raise ValueError(f"{url!r} has a path; name the server alone, and a bucket by --bucket.")
    return name or parts.netloc, url.rstrip("/")


def read_pids(texts: list[str], names: list[str]) -> dict[str, tuple[int, ...]]:
    """`NAME=PID`, or PIDs that belong to the sides in order."""
    found: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
    for number, text in enumerate(texts):
        name, mark, digits = text.rpartition("=")
        if not mark:
            name = names[min(number, len(names) - 1)]
        if name not in found:
            raise ValueError(f"--pid {text}: no side is called {name!r}; there are {', '.join(names)}.")
        if not digits.isdecimal() or not Path(f"/proc/{int(digits)}").exists():
            raise ValueError(f"--pid {text}: there is no process {digits!r}.")
        found[name] += (int(digits),)
    return found


def ambient_credentials() -> tuple[str, str, str]:
    """Key, secret and token as any AWS SDK finds them; empty when there are none."""
    import botocore.session

    found = botocore.session.get_session().get_credentials()
    if found is None:
        return "", "", ""
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token or ""


def run(sides: list[Side], workload: Workload) -> list[Outcome]:
    """Measure, with a progress bar on a terminal that moves only between slices, when nothing is measured."""
    import uvloop
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from s3d.cli.bench_run import BenchError, compare

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[last]}"))
    with Progress(
        *columns, console=console, auto_refresh=False, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("preparing", total=None, last="")
        progress.refresh()

        def turned(outcome: Outcome, done: int, turns: int) -> None:
            last = outcome.slices[-1]
            said = f"{outcome.side.name} {last.rate:,.0f} requests/s, p50 {last.p50_ms:.3g} ms"
            progress.update(task, description="measuring", completed=done, total=turns, last=said)
            progress.refresh()

        try:
            return uvloop.run(compare(sides, workload, turned))
        except BenchError as error:
            code = UNREACHABLE if isinstance(error.__cause__, OSError) else ERROR
            raise Failure(str(error), code) from error


def show(workload: Workload, outcomes: list[Outcome], json_to: str) -> None:
    """Print the table, and the JSON where it was asked for."""
    import msgspec
    from rich.console import Console

    from s3d.cli import bench_report

    found = bench_report.report(workload, outcomes)
    if json_to:
        text = json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False)
        if json_to == "-":
            print(text)
            return
        Path(json_to).write_text(text + "\n")
    # A figure cut short by a narrow terminal is worse than a line that wraps.
    console = Console(width=max(Console().width, 130))
    console.print(bench_report.table(found))
    if sys.stdout.isatty():
        console.print("\n" + bench_report.distribution(outcomes), highlight=False, markup=False)
    for side in found.sides:
        if side.backlog:
            note(f"{side.name}: {side.backlog} requests were due and not sent: the rate was more than it could take.")
        if side.sample:
            note(f"{side.name}: first unexpected answer: {side.sample!r}")
