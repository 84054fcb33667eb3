"""`s3d run`, `s3d config`, `s3d status`: the daemon, its options, its health."""

from __future__ import annotations

import inspect
import json
import os
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from s3d import config as configuration
from s3d.cli import address, client
from s3d.cli.console import ERROR, OK, Failure, human_size, human_time, note, plural, print_json, visible
from s3d.config import OPTIONS, Option

STATUS_TIMEOUT_S = 10.0
NOT_REACHABLE = 2
"""`s3d status` has exit codes of its own: 0 healthy, 1 not healthy, 2 not reachable."""

RUN_HELP = """Start the daemon and serve until SIGTERM or Ctrl-C.

Every option is also an environment variable and a key of the TOML file given by --config; `s3d config` shows which
value is in force and where it came from. With --standalone, s3d is an S3 server by itself, with its objects in
--local-dir. Without, it stands before a remote S3, whose credentials, region and profile are found as by every AWS
tool.

\b
  s3d run --standalone
  s3d run --standalone --local-dir /srv/objects
  s3d run --s3-endpoint https://s3.example.com
  AWS_PROFILE=production s3d run --endpoint unix:///run/s3d.sock
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", help=RUN_HELP, cls=SectionedCommand)(run_command())
    app.command("config")(show_config)
    app.command("status")(status)


class SectionedCommand(TyperCommand):
    """A command whose help lists its options by section instead of in one long row."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one list of options for each section, those without one last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = getattr(parameter, "rich_help_panel", None) or "Help"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def run_command() -> Any:
    """The function behind `s3d run`: its parameters are the table of options."""

    def run(context: typer.Context, **given: Any) -> None:
        options = dict(context.obj or {})
        for key, value in given.items():
            if value is not None:
                options[key] = str(value).lower() if isinstance(value, bool) else value
        config = configuration.load(options)
        for warning in (*config.warnings, *config.check_paths()):
            note(f"s3d: {warning}")
        from s3d.daemon import run as serve

        raise typer.Exit(serve(config))

    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for option in OPTIONS:
        value_type: Any = bool | None if option.kind == "bool" else str | None
        annotation = Annotated[value_type, run_option(option)]
        parameters.append(
            inspect.Parameter(option.key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)
        )
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def run_option(option: Option) -> Any:
    """An option of the table as typer declares it."""
    default = f"  [default: {option.default}]" if option.default else ""
    flag = f"{option.flag}/--no-{option.flag.removeprefix('--')}" if option.kind == "bool" else option.flag
    return typer.Option(
        flag,
        help=f"{option.meaning}{default}  [env: {option.name}]",
        metavar=None if option.kind == "bool" else metavar(option),
        hidden=option.hidden,
        show_default=False,
        rich_help_panel=option.section,
    )


def metavar(option: Option) -> str:
    """What stands for the value in the help text."""
    if option.kind == "choice":
        return "|".join(option.choices)
    names = {"int": "N", "hosts": "NAMES", "listeners": "URLS", "id": "TEXT", "secret": "TEXT"}
    return names.get(option.kind, option.kind.upper())


def show_config(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", hidden=True)] = False,
) -> None:
    """Show every option's effective value and where it came from. Secrets are not shown.

    Sources, strongest first: command line, environment, TOML file (--config or S3D_CONFIG), default.
    """
    if markdown:
        print(configuration.markdown_table())
        return
    config = configuration.read_sources(context.obj or {}, os.environ)
    settings = configuration.settings(config)
    warnings = list(config.warnings)
    problems: list[str] = []
    try:
        warnings += config.validate()
        warnings += config.check_paths()
    except configuration.ConfigError as error:
        problems += error.problems
    if as_json:
        options = {line.name: {"value": line.value or None, "origin": line.origin} for line in settings}
        print_json({"options": options, "warnings": warnings, "problems": problems})
    else:
        width = max(len(line.name) for line in settings)
        value_width = min(40, max(len(line.value) for line in settings))
        section = ""
        for line in settings:
            if line.section != section:
                print(f"{'' if not section else chr(10)}{line.section}")
                section = line.section
            print(f"  {line.name:{width}}  {visible(line.value) or '-':{value_width}}  {line.origin}")
        for warning in warnings:
            note(f"s3d: {warning}")
    if problems:
        raise configuration.ConfigError(*problems)


def status(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="[BUCKET[/KEY]]", help="Also ask for this bucket or object.", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the daemon's own JSON document.")] = False,
) -> None:
    """Tell whether the daemon, the remote and its credentials are well.

    Exit codes: 0 all is well, 1 something is not, 2 the daemon is not reachable.
    """
    config = client.load(context)
    try:
        code, body = client.fetch(config, "/_s3d/status", STATUS_TIMEOUT_S)
    except Failure as failure:
        if as_json:
            print_json({"health": "unreachable", "error": failure.message})
        raise Failure(failure.message, NOT_REACHABLE) from None
    url = client.daemon_address(config).url
    try:
        report = json.loads(body)
    except ValueError:
        report = None
    if not isinstance(report, dict) or "health" not in report:
        raise Failure(f"What answers at {url} is not s3d (HTTP {code}); check S3D_ENDPOINT.", NOT_REACHABLE)
    healthy = report["health"] == "ok" and report.get("ready", True) is True
    found: dict[str, Any] | None = None
    if target:
        found = head(config, target)
        report["target"] = found
        healthy = healthy and "error" not in found
    if as_json:
        print_json(report)
    else:
        for line in words(report, url):
            print(line)
        if found is not None:
            print(target_words(target, found))
    raise typer.Exit(OK if healthy else ERROR)


def words(report: dict[str, Any], url: str) -> list[str]:
    """The daemon's report for people. Every key may be missing: daemon and command may differ in version."""
    lines = []
    health = {
        "ok": "is well",
        "degraded": "works, but not everything is well",
        "failing": "is failing",
    }.get(str(report.get("health")), f"reports {report.get('health')}")
    if report.get("ready", True) is not True:
        health += ", not ready for requests"
    uptime = report.get("uptime_s")
    since = f", up {human_time(uptime)}" if isinstance(uptime, (int, float)) else ""
    listening = report.get("endpoint") or [url]
    listening = ", ".join(map(str, listening)) if isinstance(listening, list) else str(listening)
    lines.append(f"s3d          {health} ({version_words(report)}{since})")
    lines.append(f"             serves {listening}" + (f", auth {report['auth']}" if report.get("auth") else ""))
    remote = section(report, "remote")
    if remote:
        state = str(remote.get("state", "unknown"))
        latency = remote.get("latency_ms")
        region = f", region {remote['region']}" if remote.get("region") else ""
        extra = f", answers in {latency:.0f} ms" if isinstance(latency, (int, float)) else ""
        since_s = remote.get("since_s")
        if state != "online" and isinstance(since_s, (int, float)):
            extra += f", for {human_time(since_s)}"
        lines.append(f"remote       {state}{extra} ({remote.get('endpoint') or 'AWS'}{region})")
        if state != "online" and remote.get("last_error"):
            lines.append(f"             last error: {remote['last_error']}")
    local = section(report, "local")
    if local:
        lines += local_words(local)
    credentials = section(report, "credentials")
    if credentials:
        lines += credential_words(credentials)
    connections, requests = section(report, "connections"), section(report, "requests")
    if connections:
        lines.append(f"connections  {connections.get('open', '?')} open, at most {connections.get('max', '?')}")
    if requests:
        errors = requests.get("errors")
        total = requests.get("total", 0)
        shown = plural(total, "request") if isinstance(total, int) else str(total)
        lines.append(f"requests     {shown}" + (f", {errors} failed" if errors else ", none failed"))
    return lines


def local_words(local: dict[str, Any]) -> list[str]:
    """The local objects for people, and what is wrong with them."""
    lines = [f"objects      in {local.get('directory', '?')}"]
    free = local.get("free_bytes")
    if isinstance(free, int):
        lines[0] += f", {human_size(free)} free"
    lines += [f"             {problem}" for problem in local.get("problems") or []]
    return lines


def credential_words(credentials: dict[str, Any]) -> list[str]:
    """The remote's credentials for people, and what to do when they are not well."""
    state = str(credentials.get("state", "unknown"))
    who = [str(credentials[key]) for key in ("access_key_id", "source") if credentials.get(key)]
    expires_in_s = credentials.get("expires_in_s")
    until = ""
    if isinstance(expires_in_s, (int, float)) and expires_in_s > 0:
        until = f", valid for {human_time(expires_in_s)} more"
    lines = [f"credentials  {state}{until}" + (f" ({', '.join(who)})" if who else "")]
    if credentials.get("error") and state != "missing":
        lines.append(f"             {credentials['error']}")
    advice = {
        "missing": "none found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, for the daemon",
        "rejected": "not accepted by the remote: check the daemon's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "expired": "renew them (such as `aws sso login`); the daemon picks the new ones up",
    }.get(state)
    if advice:
        lines.append(f"             {advice}")
    return lines


def section(report: dict[str, Any], key: str) -> dict[str, Any]:
    """A nested object of the report, empty when it is missing or of another type."""
    value = report.get(key)
    return value if isinstance(value, dict) else {}


def version_words(report: dict[str, Any]) -> str:
    """`version 0.1.0, pid 42`."""
    parts = [f"{name} {report[key]}" for key, name in (("version", "version"), ("pid", "pid")) if report.get(key)]
    return ", ".join(parts) or "version unknown"


def head(config: configuration.Config, target: str) -> dict[str, Any]:
    """What a HEAD of a bucket or object through the daemon finds; `error` says why it failed."""
    import botocore.exceptions

    where = address.parse(target)
    s3 = client.s3_client(config)
    try:
        if not where.key:
            answer = s3.head_bucket(Bucket=where.bucket)
            return {"bucket": where.bucket, "region": answer.get("BucketRegion")}
        answer = s3.head_object(Bucket=where.bucket, Key=where.key)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return {"bucket": where.bucket, "key": where.key or None, "error": client.explain(error, str(where)).message}
    return {
        "bucket": where.bucket,
        "key": where.key,
        "size_bytes": answer["ContentLength"],
        "etag": answer.get("ETag"),
        "last_modified": answer.get("LastModified"),
        "content_type": answer.get("ContentType"),
        "metadata": answer.get("Metadata", {}),
    }


def target_words(target: str, found: dict[str, Any]) -> str:
    """The result of `head` for people."""
    if "error" in found:
        return f"{target}: {found['error']}"
    if "key" not in found:
        return f"{target}: bucket exists" + (f" in {found['region']}" if found.get("region") else "")
    parts = [plural(found["size_bytes"], "byte")]
    for key, label in (("content_type", ""), ("last_modified", "changed "), ("etag", "ETag ")):
        if found[key] is not None:
            parts.append(f"{label}{found[key]}")
    return f"{target}: {', '.join(parts)}"
