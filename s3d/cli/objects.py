"""`s3d rm` and `s3d set`: delete objects, change their tags."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from s3d.cli import address, client
from s3d.cli.address import Address
from s3d.cli.console import USAGE, Failure, note, plural, visible

BATCH = 1000
"""Keys in one DeleteObjects request, S3's limit (AWS API reference, DeleteObjects)."""
ASKED_COUNT = 10_000
"""Up to here the question before `rm -r` counts; more are "more than"."""
NOT_IN_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry (section 2.2), and \\r, which its parsers turn into \\n (section 2.11)."""

RM_HELP = """Delete objects.

\b
  s3d rm my-bucket/a.txt my-bucket/b.txt
  s3d rm -r my-bucket/logs        the object logs and everything below logs/
  s3d rm -r --yes my-bucket       every object of the bucket, without asking

An object that does not exist counts as deleted, as S3 has it.
"""
SET_HELP = """Change an object's tags; tags that are not named stay.

\b
  s3d set my-bucket/a.txt --tag project=apollo --untag draft
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rm", help=RM_HELP)(remove)
    app.command("set", help=SET_HELP)(set_tags)


def remove(
    context: typer.Context,
    targets: Annotated[list[str], typer.Argument(metavar="BUCKET/KEY...", help="What to delete.")],
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Everything below BUCKET/KEY.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting recursively.")] = False,
) -> None:
    """Delete objects, asking first when it may be many."""
    import botocore.exceptions

    where = [address.parse(text) if recursive else address.parse_object(text) for text in targets]
    if recursive and not yes and not sys.stdin.isatty():
        raise Failure("rm -r asks before it deletes, and there is no terminal to ask on; add --yes.", USAGE)
    s3 = client.s3_client(client.load(context))
    failed = 0
    for target in where:
        try:
            if not recursive:
                s3.delete_object(Bucket=target.bucket, Key=target.key)
                continue
            if not yes and not confirmed(s3, target):
                note(f"{target}: nothing deleted")
                continue
            failed += remove_below(s3, target)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise client.explain(error, str(target)) from None
    if failed:
        raise Failure(f"{plural(failed, 'object')} could not be deleted.")


def keys_below(s3: Any, target: Address) -> Iterator[list[str]]:
    """Pages of keys: `target` itself and all below `target/`, never `target2`; all of a bucket without a key."""
    directory = target.key if not target.key or target.key.endswith("/") else target.key + "/"
    if directory != target.key:
        page = s3.list_objects_v2(Bucket=target.bucket, Prefix=target.key, MaxKeys=1)
        first = [item["Key"] for item in page.get("Contents", ())]
        if first == [target.key]:
            yield first
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=target.bucket, Prefix=directory):
        yield [item["Key"] for item in page.get("Contents", ())]


def confirmed(s3: Any, target: Address) -> bool:
    """Ask on the terminal, with the number of objects. Nothing there needs no question."""
    count = 0
    for keys in keys_below(s3, target):
        count += len(keys)
        if count > ASKED_COUNT:
            break
    if count == 0:
        return False
    shown = f"more than {plural(ASKED_COUNT, 'object')}" if count > ASKED_COUNT else plural(count, "object")
    return typer.confirm(f"Delete {shown} in {visible(str(target))}?", err=True)


def remove_below(s3: Any, target: Address) -> int:
    """Delete page by page; returns how many keys the store refused to delete, each told on stderr."""
    failed = 0
    for keys in keys_below(s3, target):
        batch = [{"Key": key} for key in keys if not NOT_IN_XML.search(key)]
        for key in keys:
            if NOT_IN_XML.search(key):
                s3.delete_object(Bucket=target.bucket, Key=key)
        for start in range(0, len(batch), BATCH):
            answer = s3.delete_objects(
                Bucket=target.bucket, Delete={"Objects": batch[start : start + BATCH], "Quiet": True}
            )
            for error in answer.get("Errors", ()):
                failed += 1
                note(f"s3d: {target.bucket}/{visible(error.get('Key', '?'))}: {error.get('Message', error)}")
    return failed


def set_tags(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="BUCKET/KEY", help="The object.")],
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set this tag.", show_default=False)
    ] = None,
    untag: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Remove this tag.", show_default=False)
    ] = None,
) -> None:
    """Change an object's tags: read them, change them, write them back (S3 can only replace the whole set)."""
    import botocore.exceptions

    where = address.parse_object(target)
    changes = address.parse_pairs(tag or [], "--tag")
    if not changes and not untag:
        raise Failure("Nothing to change: give --tag NAME=VALUE or --untag NAME.", USAGE)
    s3 = client.s3_client(client.load(context))
    try:
        answer = s3.get_object_tagging(Bucket=where.bucket, Key=where.key)
        tags = {item["Key"]: item["Value"] for item in answer.get("TagSet", ())}
        tags = {name: value for name, value in (tags | changes).items() if name not in (untag or ())}
        if tags:
            tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
            s3.put_object_tagging(Bucket=where.bucket, Key=where.key, Tagging={"TagSet": tag_set})
        else:
            s3.delete_object_tagging(Bucket=where.bucket, Key=where.key)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, str(where)) from None
