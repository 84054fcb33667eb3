"""`s3d store verify|adopt|repair`: looking after a directory of objects while no daemon has it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s3d import config as configuration
from s3d.cli import progress
from s3d.cli.console import ERROR, IN_USE, OK, Failure, human_size, note, plural, print_json, visible

if TYPE_CHECKING:
    from s3d.objects.adoption import Fate, Repaired
    from s3d.objects.verification import Problem, Verified

LocalDir = Annotated[
    str,
    typer.Option("--local-dir", metavar="DIR", help="Where the objects lie.  [env: S3D_LOCAL_DIR]", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

HELP = """Look after the objects of standalone mode, while no daemon is running.

\b
  s3d store verify    is every byte there, and what it was?
  s3d store adopt     bring back what lies in lost+found
  s3d store repair    open a damaged index with what is left of it
"""


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=True)
    group.command("verify")(verify)
    group.command("adopt")(adopt)
    group.command("repair")(repair)
    app.add_typer(group, name="store")


def _config(context: typer.Context, local_dir: str) -> configuration.Config:
    options = dict(context.obj or {})
    if local_dir:
        options["local_dir"] = local_dir
    return configuration.read_sources(options, os.environ)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """What the engine says as what the command says."""
    from s3d.objects.local import LocalError, LocalInUse

    try:
        yield
    except LocalInUse as error:
        raise Failure(f"{error}.", IN_USE) from None
    except LocalError as error:
        raise Failure(f"{error}.") from None


def verify(context: typer.Context, local_dir: LocalDir = "", as_json: Json = False) -> None:
    """Check every record against its bytes. Nothing is changed.

    Read are all data files and all bodies in the index; compared are sizes, hashes, ETags of small objects, where the
    parts of each object lie, and how often each file is referred to. Each problem is a line with bucket and key, or
    path.

    Exit codes: 0 all is as it should be, 1 something is not, 4 the directory belongs to a running s3d.
    """
    from s3d.objects import verification

    config = _config(context, local_dir)
    problems: list[dict[str, Any]] = []

    def tell(problem: Problem) -> None:
        if as_json:
            problems.append(_plain(problem))
        else:
            print(_problem_words(problem), flush=True)

    with _failures(), progress.steps("verifying") as show:
        found = verification.verify(
            config.local_dir, tell, lambda state, total_bytes: show(state.file_bytes, total_bytes)
        )
    if as_json:
        counts = _plain(found)
        print_json({"directory": str(config.local_dir), **counts, "problems": problems})
    else:
        for line in _verified_words(found):
            print(line)
    raise typer.Exit(ERROR if found.problems else OK)


def adopt(
    context: typer.Context,
    local_dir: LocalDir = "",
    complete: Annotated[
        bool,
        typer.Option(
            "--complete",
            help="Make objects of uploads that have all parts from 1 to their last, where nothing is under their keys.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring back what lies in lost+found.

    Each data file there says which object or part of an upload it was. It comes back as it was written, in its bucket,
    which is made anew if need be, unless something newer is under its key: then it stays where it is. What is not in
    the files does not come back: objects of up to S3D_INLINE_SIZE, copies, later changes of tags, and which uploads had
    been completed. An upload comes back with its parts, to be completed or aborted; --complete does the former, also
    for those that had not been completed and whose last parts were never sent.

    Exit codes: 0 everything came back, 1 something did not, 4 the directory belongs to a running s3d.
    """
    from s3d.objects import adoption

    config = _config(context, local_dir)
    fates: list[dict[str, Any]] = []

    def tell(fate: Fate) -> None:
        if as_json:
            fates.append(_plain(fate))
        else:
            print(_fate_words(fate), flush=True)

    with _failures(), progress.steps("adopting", "files") as show:
        region = config.aws_region or "us-east-1"
        done = adoption.adopt(config.local_dir, region, tell, show, complete=complete)
    if as_json:
        print_json({"directory": str(config.local_dir), **_plain(done), "files": fates})
    elif not (done.objects or done.parts or done.left):
        print(f"There is nothing in {config.local_dir}/lost+found.")
    else:
        back = [plural(done.objects, "object"), f"{plural(done.parts, 'part')} of uploads"]
        if done.uploads:
            back.append(f"{plural(done.uploads, 'upload')} begun anew ({done.completed:,} completed)")
        if done.buckets:
            back.append(f"{plural(done.buckets, 'bucket')} made anew")
        print(f"Brought back: {', '.join(back)}, {human_size(done.bytes)}.")
        if done.left:
            print(f"Left in {config.local_dir}/lost+found: {plural(done.left, 'file')}.")
        if done.uploads > done.completed:
            note("Complete the uploads whose objects you want, or abort them: `s3d api ListMultipartUploads`.")
    raise typer.Exit(ERROR if done.left else OK)


def repair(
    context: typer.Context,
    local_dir: LocalDir = "",
    new_index: Annotated[
        bool,
        typer.Option(
            "--new-index",
            help="If the index cannot be opened at all: set it aside and begin a new one. Objects of up to "
            "S3D_INLINE_SIZE lie in the index alone and are lost then.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Open a damaged index with what is left of it.

    s3d does not start on an index that has lost what had been durable. This command accepts the loss: of a damaged log,
    what follows the damage is given up, and the index as it was is kept in index/rows.kept. Data files that the index
    does not know any more go to lost+found; nothing is deleted. Have a copy of the directory first if you can, and a
    backup is better still.

    Exit codes: 0 s3d can start, 1 it cannot, 4 the directory belongs to a running s3d.
    """
    from s3d.objects import adoption
    from s3d.objects.local import LocalDamaged, one_line

    config = _config(context, local_dir)
    with _failures():
        try:
            done = adoption.repair(config.local_dir, new_index=new_index)
        except LocalDamaged as error:
            raise Failure(
                f"{one_line(error.__cause__ or error)}. Not even a part of it can be opened. Restore "
                f"{config.local_dir}/index from a backup, or run `s3d store repair --new-index`: it sets this "
                "index aside and begins a new one, and `s3d store adopt` then brings back every object that lies in a "
                "file of its own."
            ) from None
    if as_json:
        print_json({"directory": str(config.local_dir), **_plain(done)})
        return
    for line in _repaired_words(done, str(config.local_dir)):
        print(line)


# Words.


def _plain(record: Any) -> dict[str, Any]:
    """A record as JSON has it; keys of objects as text, bytes that are no text as escapes."""
    found = {name: getattr(record, name) for name in record.__struct_fields__}
    if "key" in found:
        found["key"] = _key_words(found["key"])
    return {name: value for name, value in found.items() if value not in ("", None)}


def _key_words(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _problem_words(problem: Problem) -> str:
    who = f"{problem.bucket}/{visible(_key_words(problem.key))}" if problem.bucket else ""
    if problem.upload_id:
        who += f"{' ' if who else ''}upload {problem.upload_id}" + (f" part {problem.part}" if problem.part else "")
    where = [part for part in (who, problem.path if problem.path not in problem.what else "") if part]
    return ": ".join([*where, problem.what])


def _fate_words(fate: Fate) -> str:
    who = f"{fate.bucket}/{visible(_key_words(fate.key))}" if fate.bucket else ""
    if fate.part:
        who += f" (part {fate.part} of upload {fate.upload_id})"
    if fate.adopted:
        return f"{who}: back, {plural(fate.size_bytes, 'byte')}"
    return f"{fate.path}: left, {fate.reason}" + (f"; it was {who}" if who else "")


def _verified_words(found: Verified) -> Iterator[str]:
    yield (
        f"Verified {plural(found.buckets, 'bucket')}, {plural(found.objects, 'object')} "
        f"({found.bodies:,} of them in the index), {plural(found.uploads, 'upload')} with "
        f"{plural(found.parts, 'part')}, {plural(found.files, 'data file')} of {human_size(found.file_bytes)}."
    )
    if found.unknown_files:
        fate = "moves them to lost+found" if found.doubtful else "removes them"
        yield f"{plural(found.unknown_files, 'data file')} that nothing refers to: the next start {fate}."
    if found.lost_files:
        yield f"{plural(found.lost_files, 'data file')} in lost+found: `s3d store adopt` brings them back."
    if found.foreign_files:
        yield f"{plural(found.foreign_files, 'file')} that s3d did not put there."
    yield f"{plural(found.problems, 'problem')}." if found.problems else "Everything is as it should be."


def _repaired_words(done: Repaired, directory: str) -> Iterator[str]:
    if done.damage:
        yield f"The index was damaged: {done.damage}."
    if done.set_aside:
        yield f"It is in {done.set_aside} now, and a new one has begun, without any object."
    elif done.behind:
        yield "It is open with what is left; changes that had been durable are lost."
        if done.kept:
            yield f"As it was, the index is kept in {done.kept}."
    elif not done.damage:
        yield "The index opens as it is: there was nothing to repair."
    if done.moved_files:
        moved = f"{plural(done.moved_files, 'data file')} of {human_size(done.moved_bytes)}"
        yield f"{moved} that the index does not know: in {directory}/lost+found now."
    if done.lost_files:
        yield "Next: `s3d store adopt` brings back what lies in lost+found, `s3d store verify` tells what is missing."
    elif done.behind or done.set_aside:
        yield "Next: `s3d store verify` tells what is missing."
