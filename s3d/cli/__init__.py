"""The `s3d` command. One module for each group of commands; each has `register(app)`.

`s3d --help` must start fast: botocore, the daemon and whatever else is heavy is imported by the command that uses it.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from s3d import __version__
from s3d.cli import api, bench, buckets, daemon, filters, listing, objects, store, transfer
from s3d.cli.console import ERROR, INTERRUPTED, USAGE, Failure, note
from s3d.config import ConfigError

GROUPS = (daemon, listing, transfer, objects, buckets, store, filters, api, bench)
"""The modules of the commands, in the order of `s3d --help`. A new group is one more name here."""

HELP = """S3 beside your applications: a daemon that serves the S3 API on a local address, out of a directory of its
own or in front of a remote S3.

Start with one of:

  s3d run --standalone                          an S3 server, with its objects in ~/.s3d
  s3d run --s3-endpoint https://s3.example.com  that store, served on http://localhost:33333
  s3d run                                       AWS, with the credentials that its tools use

and in another terminal:

  s3d status                                    is everything well?
  s3d mb my-bucket                              a first bucket
  s3d put notes.txt my-bucket/notes.txt         a first object
  s3d ls my-bucket                              and there it is

Any S3 client works the same way:

  aws --endpoint-url http://localhost:33333 s3 ls

Exit codes: 0 done, 1 error, 2 wrong usage, 3 the daemon is not reachable, 4 it has the directory.
`s3d status` has codes of its own.
"""


def start(
    context: typer.Context,
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="Address of the daemon.  [env: S3D_ENDPOINT]", show_default=False)
    ] = "",
    config: Annotated[
        str, typer.Option(metavar="FILE", help="TOML file with options.  [env: S3D_CONFIG]", show_default=False)
    ] = "",
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options before the command; the text that `s3d --help` begins with is `HELP`."""
    if version:
        print(f"s3d {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit
    context.obj = {key: value for key, value in (("endpoint", endpoint), ("config", config)) if value}


def build() -> typer.Typer:
    """The whole command with its groups."""
    # Plain help texts: the rich ones cost 100 ms more at every --help and break the examples' lines.
    app = typer.Typer(
        name="s3d",
        help=HELP,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback(invoke_without_command=True, help=preformatted(HELP))(start)
    for group in GROUPS:
        group.register(app)
    return app


def preformatted(text: str) -> str:
    """Keep the line breaks of indented paragraphs (click's `\\b` mark); others are wrapped to the terminal."""
    return "\n\n".join(
        f"\b\n{paragraph}" if paragraph.startswith(" ") else paragraph for paragraph in text.strip("\n").split("\n\n")
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code. Every error is one sentence on stderr, never a traceback."""
    try:
        build()(arguments, standalone_mode=True, prog_name="s3d")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except Failure as failure:
        note(f"s3d: {failure.message}")
        return failure.code
    except ConfigError as error:
        for problem in error.problems:
            note(f"s3d: {problem}")
        return USAGE
    except KeyboardInterrupt:
        note("s3d: interrupted")
        return INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        note(f"s3d: {where}{error.strerror or error}.")
        return ERROR
    except Exception as error:  # noqa: BLE001 - the last resort: a user gets a sentence, a developer can ask for more
        if os.environ.get("S3D_LOG_LEVEL", "").lower() == "debug":
            import traceback

            traceback.print_exc()
        note(f"s3d: unexpected {type(error).__name__}: {error}. With S3D_LOG_LEVEL=debug there is a traceback.")
        return ERROR
    return 0
