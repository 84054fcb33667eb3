"""`s3d ls`: buckets, keys and what stands for directories."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from s3d.cli import address, client
from s3d.cli.console import human_size, print_json, visible

LS_HELP = """List buckets, or the objects of a bucket.

\b
  s3d ls                       all buckets
  s3d ls my-bucket             its top level; names that end in / have more below them
  s3d ls my-bucket/logs/       what is below logs/
  s3d ls -r my-bucket/logs/    all objects below logs/, however deep
  s3d ls --json my-bucket      one JSON object per line, keys exactly as they are
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ls", help=LS_HELP)(list_objects)


def list_objects(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="[BUCKET[/PREFIX]]", help="What to list.", show_default=False)] = "",
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="All objects, however deep.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    human: Annotated[bool, typer.Option("--human", help="Print sizes as 1.5 KiB instead of bytes.")] = False,
) -> None:
    """List buckets, or the objects of a bucket, page by page."""
    import botocore.exceptions

    where = address.parse(target) if target else None
    s3 = client.s3_client(client.load(context))
    try:
        if where is None:
            list_buckets(s3, as_json)
            return
        request: dict[str, Any] = {"Bucket": where.bucket, "Prefix": where.key}
        if not recursive:
            request["Delimiter"] = "/"
        for page in s3.get_paginator("list_objects_v2").paginate(**request):
            for line in in_key_order(page):
                print_line(line, as_json, human)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, str(where) if where else "the list of buckets") from None


def list_buckets(s3: Any, as_json: bool) -> None:
    """All buckets with the time they were made."""
    for page in s3.get_paginator("list_buckets").paginate():
        for bucket in page.get("Buckets", ()):
            created = bucket.get("CreationDate")
            if as_json:
                print_json({"bucket": bucket["Name"], "created": created}, indent=None)
            else:
                print(f"{created:%Y-%m-%d %H:%M:%S}  {bucket['Name']}" if created else bucket["Name"])


def in_key_order(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects and common prefixes of one page, merged in the order of their UTF-8 bytes, as S3 sorts keys."""
    lines = [
        {
            "key": item["Key"],
            "size_bytes": item["Size"],
            "last_modified": item.get("LastModified"),
            "etag": item.get("ETag"),
            "storage_class": item.get("StorageClass"),
        }
        for item in page.get("Contents", ())
    ]
    lines += [{"prefix": item["Prefix"]} for item in page.get("CommonPrefixes", ())]
    return sorted(lines, key=lambda line: str(line.get("key", line.get("prefix"))).encode("utf-8", "surrogatepass"))


def print_line(line: dict[str, Any], as_json: bool, human: bool) -> None:
    """One object or prefix: time, size, name."""
    if as_json:
        print_json(line, indent=None)
    elif "prefix" in line:
        print(f"{'':19}  {'-':>13}  {visible(line['prefix'])}")
    else:
        changed = f"{line['last_modified']:%Y-%m-%d %H:%M:%S}" if line["last_modified"] else ""
        size = human_size(line["size_bytes"]) if human else line["size_bytes"]
        print(f"{changed:19}  {size:>13}  {visible(line['key'])}")
