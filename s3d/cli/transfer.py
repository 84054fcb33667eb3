"""`s3d get` and `s3d put`: one object to or from a file or a pipe."""

from __future__ import annotations

import mimetypes
import os
import signal
import stat
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from s3d import values
from s3d.cli import address, client
from s3d.cli.console import USAGE, Failure, visible

GET_HELP = """Read an object into a file, a directory, or stdout.

\b
  s3d get my-bucket/notes.txt              into ./notes.txt
  s3d get my-bucket/notes.txt /tmp/        into /tmp/notes.txt
  s3d get my-bucket/dump.sql.gz - | zcat   to stdout, for a pipe

A file appears under its name only when it is complete; after an error the old one is still there.
"""
PUT_HELP = """Write a file or stdin to an object.

\b
  s3d put notes.txt my-bucket/notes.txt
  s3d put notes.txt my-bucket/texts/       keeps the name: texts/notes.txt
  pg_dump shop | s3d put - my-bucket/shop.sql --tag kind=backup

Large or endless input goes up in parts, several at a time; after an error nothing is left behind.
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("get", help=GET_HELP)(get)
    app.command("put", help=PUT_HELP)(put)


def get(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="BUCKET/KEY", help="The object.")],
    target: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="Where to, default: ./ and the key's last part; - is stdout.")
    ] = "",
) -> None:
    """Read an object into a file, a directory, or stdout."""
    import botocore.exceptions

    from s3d.cli import download

    where = address.parse_object(source)
    path = None if target == "-" else target_path(where.key, target)
    if path is None and sys.stdout.isatty():
        raise Failure("The object would be printed on the terminal; redirect stdout, or name a FILE.", USAGE)
    s3 = client.s3_client(client.load(context))
    try:
        with ended_by_sigterm():
            if path is None:
                download.to_stream(s3, where, sys.stdout.buffer)
            else:
                download.to_file(s3, where, path)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, str(where)) from None
    except OSError as error:
        raise file_failure(error, target or str(path)) from None


def put(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="What to send; - is stdin.")],
    target: Annotated[
        str, typer.Argument(metavar="BUCKET/KEY", help="The object; KEY/ or BUCKET alone keeps the file's name.")
    ],
    content_type: Annotated[
        str, typer.Option(metavar="TYPE", help="Media type; guessed from the name if not given.", show_default=False)
    ] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="User metadata, repeatable.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Object tag, repeatable.", show_default=False)
    ] = None,
    part_size: Annotated[
        str, typer.Option(metavar="SIZE", help="Size of the parts of a large object, from 5MiB to 5GiB.")
    ] = "8MiB",
) -> None:
    """Write a file or stdin to an object."""
    import botocore.exceptions

    from s3d.cli import upload

    where = address.parse(target)
    if not where.key or where.key.endswith("/"):
        name = "" if source == "-" else os.path.basename(source)
        if not name:
            raise Failure(f"{target!r} names no object; write BUCKET/KEY.", USAGE)
        where = address.Address(where.bucket, where.key + name)
    try:
        part_size_bytes = values.read_size(part_size, upload.SMALLEST_PART_BYTES, upload.LARGEST_PART_BYTES)
    except ValueError as error:
        raise Failure(f"--part-size {part_size!r} is not valid; {error}.", USAGE) from None
    headers: dict[str, Any] = {}
    guessed = content_type or mimetypes.guess_type(source if source != "-" else where.key)[0]
    if guessed:
        headers["ContentType"] = guessed
    if metadata:
        headers["Metadata"] = address.parse_pairs(metadata, "--metadata")
    if tag:
        headers["Tagging"] = urllib.parse.urlencode(address.parse_pairs(tag, "--tag"), quote_via=urllib.parse.quote)
    s3 = None
    try:
        with ended_by_sigterm(), open(0 if source == "-" else source, "rb", closefd=source != "-", buffering=0) as file:
            facts = os.fstat(file.fileno())
            if stat.S_ISDIR(facts.st_mode):
                raise Failure(f"{source} is a directory; s3d put sends one file.", USAGE)
            s3 = client.s3_client(client.load(context))
            if stat.S_ISREG(facts.st_mode) and source != "-":
                upload.from_file(s3, where, file, headers, part_size_bytes)
            else:
                upload.from_stream(s3, where, file, headers, part_size_bytes)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, str(where)) from None
    except OSError as error:
        raise file_failure(error, source) from None


def target_path(key: str, target: str) -> Path:
    """Where `get` writes: FILE, or the key's last part in a directory. Refuses a key that has no such part."""
    if target and not target.endswith("/") and not os.path.isdir(target):
        return Path(target)
    name = key.rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name:
        raise Failure(f"The key {visible(key)!r} does not end in a file name; name a FILE.", USAGE)
    return Path(target) / name


def file_failure(error: OSError, name: str) -> Failure:
    """One sentence for an error of the local file system."""
    return Failure(f"{error.filename or name}: {error.strerror or error}.")


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a transfer like Ctrl-C does, so that what is half done is removed; exit code 143."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
