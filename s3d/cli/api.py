"""`s3d api OPERATION`: any operation of the S3 service model, with options made from its input shape.

The names are AWS's: `get-object` or `GetObject`, `--max-keys` for `MaxKeys`. The answer is printed as JSON.
"""

from __future__ import annotations

import difflib
import shutil
import sys
import tempfile
import textwrap
from contextlib import ExitStack
from typing import Annotated, Any, BinaryIO

import typer

from s3d.cli import client, shapes
from s3d.cli.console import USAGE, Failure, print_json

SPOOL_BYTES = 8 << 20
"""stdin as a body is kept in memory up to here and in a temporary file beyond: S3 wants to know its length first."""

API_HELP = """Call any operation of S3 and print its answer as JSON.

\b
  s3d api --list                                           the operations
  s3d api get-object --help                                the options of one
  s3d api list-objects-v2 --bucket my-bucket --max-keys 5
  s3d api get-object --bucket my-bucket --key a.txt --output a.txt
  s3d api put-object --bucket my-bucket --key a.txt --body a.txt --metadata '{"colour": "red"}'

Structures, lists and maps are JSON, or @FILE with JSON inside. --body and --output take a file or -.
"""


def register(app: typer.Typer) -> None:
    """Add the command. It parses the operation's options itself, for they depend on the operation."""
    settings = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    app.command("api", help=API_HELP, context_settings=settings, add_help_option=False)(call)


def call(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="OPERATION [OPTIONS]", help="An operation and its options.")
    ] = None,
) -> None:
    """Call any operation of S3."""
    words = arguments or []
    if not words or words[0] in ("--help", "-h"):
        print(context.get_help())
        return
    model = service_model()
    if words[0] == "--list":
        for name in model.operation_names:
            meaning = shapes.first_sentence(model.operation_model(name).documentation)
            print(f"{shapes.kebab(name):48} {meaning}".rstrip())
        return
    if words[0].startswith("-"):
        raise Failure(f"{words[0]} stands before the operation; write s3d api OPERATION {words[0]} ...", USAGE)
    operation = model.operation_model(operation_name(words[0], model.operation_names))
    if any(word in ("--help", "-h") for word in words[1:]):
        print_help(operation)
        return
    with ExitStack() as opened:
        request, output = read_options(operation, words[1:], opened)
        invoke(context, operation, request, output)


def service_model() -> Any:
    """botocore's model of S3."""
    import botocore.session

    return botocore.session.Session().get_service_model("s3")


def operation_name(word: str, known: list[str]) -> str:
    """AWS's name for `get-object`, `get_object` or `GetObject`; `Failure` with near misses for anything else."""
    wanted = word.replace("-", "").replace("_", "").lower()
    by_letters = {name.lower(): name for name in known}
    if wanted in by_letters:
        return by_letters[wanted]
    close = [shapes.kebab(by_letters[name]) for name in difflib.get_close_matches(wanted, by_letters, 3, 0.6)]
    hint = f"Did you mean {' or '.join(close)}?" if close else "`s3d api --list` lists them."
    raise Failure(f"S3 has no operation {word!r}. {hint}", USAGE)


def print_help(operation: Any) -> None:
    """The options of one operation, required ones first, each with the first sentence of its documentation."""
    name = shapes.kebab(operation.name)
    required = operation.input_shape.required_members if operation.input_shape else []
    members = operation.input_shape.members if operation.input_shape else {}
    usage = " ".join(f"{shapes.flag(member)} {shapes.metavar(members[member])}" for member in required)
    print(f"Usage: s3d api {name} {usage}{' ' if usage else ''}[OPTIONS]\n")
    print(textwrap.fill(shapes.first_sentence(operation.documentation), 100) + "\n")
    for member in sorted(members, key=lambda member: (member not in required, member)):
        mark = " (required)" if member in required else ""
        print(f"  {shapes.flag(member)} {shapes.metavar(members[member])}{mark}")
        text = shapes.first_sentence(members[member].documentation)
        if text:
            print(textwrap.fill(text, 100, initial_indent=" " * 8, subsequent_indent=" " * 8))
    print("  --input JSON|@FILE\n        The whole request as one JSON object; the options above win over it.")
    if shapes.streams_out(operation):
        print("  --output FILE|-\n        Where the bytes of the answer go; - is stdout..")


def read_options(operation: Any, words: list[str], opened: ExitStack) -> tuple[dict[str, Any], str]:
    """The request and the value of `--output` from the words after the operation."""
    members = operation.input_shape.members if operation.input_shape else {}
    by_flag = {shapes.flag(member): member for member in members}
    request: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    output = ""
    position = 0
    while position < len(words):
        flag, equals, value = words[position].partition("=")
        position += 1
        negated = flag.startswith("--no-") and "--" + flag[5:] in by_flag and flag not in by_flag
        member = by_flag.get("--" + flag[5:] if negated else flag)
        special = flag == "--input" or (flag == "--output" and shapes.streams_out(operation))
        if member is None and not special:
            raise unknown_option(flag, [*by_flag, "--input"], operation)
        shape = None if member is None else members[member]
        if not equals:
            if shape is not None and shape.type_name == "boolean":
                value = "true"
                if position < len(words) and words[position].lower() in ("true", "false"):
                    value = words[position]
                    position += 1
            elif position < len(words):
                value = words[position]
                position += 1
            else:
                raise Failure(f"{flag} takes a value.", USAGE)
        if flag == "--output":
            output = value
        elif flag == "--input":
            whole = shapes.read_structure(flag, value)
        elif member is not None and shape is not None:
            if shapes.is_streaming_blob(operation, member):
                request[member] = open_body(flag, value, opened)
            else:
                read = shapes.read_value(flag, shape, value)
                request[member] = not read if negated else read
    request = whole | request
    required = operation.input_shape.required_members if operation.input_shape else []
    missing = [shapes.flag(member) for member in required if member not in request]
    if missing:
        raise Failure(f"{shapes.kebab(operation.name)} also takes {', '.join(missing)}.", USAGE)
    if shapes.streams_out(operation) and not output:
        raise Failure(f"{shapes.kebab(operation.name)} answers with bytes: add --output FILE, or --output -.", USAGE)
    return request, output


def unknown_option(flag: str, known: list[str], operation: Any) -> Failure:
    """The failure for a word that is no option of the operation."""
    name = shapes.kebab(operation.name)
    if not flag.startswith("--"):
        return Failure(f"{flag!r} is not expected here; options of {name} begin with --.", USAGE)
    close = difflib.get_close_matches(flag, known, 2, 0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"`s3d api {name} --help` lists its options."
    return Failure(f"{name} has no option {flag}. {hint}", USAGE)


def open_body(flag: str, value: str, opened: ExitStack) -> BinaryIO:
    """The file named by `--body`, or stdin, spooled so that its length is known before the request begins."""
    if value != "-":
        try:
            return opened.enter_context(open(value, "rb"))
        except OSError as error:
            raise Failure(f"{flag} {value}: {error.strerror}.", USAGE) from None
    spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed with `opened`
    opened.callback(spool.close)
    shutil.copyfileobj(sys.stdin.buffer, spool)
    spool.seek(0)
    return spool  # type: ignore[return-value]


def invoke(context: typer.Context, operation: Any, request: dict[str, Any], output: str) -> None:
    """Send the request; print the answer, or write its bytes to `output`."""
    import botocore.exceptions

    s3 = client.s3_client(client.load(context))
    parts = [str(request[name]) for name in ("Bucket", "Key") if request.get(name)]
    where = "/".join(parts) or shapes.kebab(operation.name)
    method = shapes.kebab(operation.name).replace("-", "_")
    try:
        answer = getattr(s3, method)(**request)
        metadata = answer.pop("ResponseMetadata", {})
        if shapes.streams_out(operation):
            write_stream(answer, output)
        elif answer:
            print_json(answer)
        elif operation.name.startswith("Head"):
            print_json({"status": metadata.get("HTTPStatusCode")})
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, where) from None


def write_stream(answer: dict[str, Any], output: str) -> None:
    """Write the body to a file, and the other fields to stdout as JSON; with `-` only the body, to stdout."""
    name = next(name for name, value in answer.items() if hasattr(value, "read") or shapes.is_event_stream(value))
    body = answer.pop(name)
    try:
        with ExitStack() as opened:
            stream: BinaryIO = sys.stdout.buffer if output == "-" else opened.enter_context(open(output, "wb"))
            stream.writelines(shapes.blocks(body))
            stream.flush()
    except OSError as error:
        raise Failure(f"{output}: {error.strerror or error}.") from None
    if output != "-":
        print_json(answer)
