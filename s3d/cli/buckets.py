"""`s3d mb` and `s3d rb`: make and remove buckets."""

from __future__ import annotations

from typing import Annotated

import typer

from s3d.cli import address, client


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("mb")(make_bucket)
    app.command("rb")(remove_bucket)


def make_bucket(
    context: typer.Context,
    bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Name of the new bucket.")],
    region: Annotated[
        str, typer.Option(metavar="REGION", help="Where to make it, if not where the remote is.", show_default=False)
    ] = "",
) -> None:
    """Make a bucket."""
    import botocore.exceptions

    name = address.parse_bucket(bucket)
    s3 = client.s3_client(client.load(context))
    try:
        if region and region != "us-east-1":
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
        else:
            s3.create_bucket(Bucket=name)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, name) from None


def remove_bucket(
    context: typer.Context, bucket: Annotated[str, typer.Argument(metavar="BUCKET", help="Name of an empty bucket.")]
) -> None:
    """Remove an empty bucket."""
    import botocore.exceptions

    name = address.parse_bucket(bucket)
    s3 = client.s3_client(client.load(context))
    try:
        s3.delete_bucket(Bucket=name)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise client.explain(error, name) from None
