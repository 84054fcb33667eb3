"""Copies of objects: by reference, so that only rows are written, whatever the size.

A copy of an object that was uploaded in parts is one piece for S3, with the MD5 of the whole as its ETag; that, and a
checksum by another algorithm than the source's, are read from the bytes. They alone take time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from s3d._core.promise import Promise
from s3d.index.records import Checksum, Generation, State
from s3d.objects.engine import Check, Draft, Engine, SourceReplaced, unconditional
from s3d.s3 import checksums
from s3d.s3.errors import S3Error

_ATTEMPTS = 5


async def copy_object(
    engine: Engine,
    source: tuple[str, bytes],
    target: tuple[str, bytes],
    make: Callable[[Generation], Draft],
    *,
    check_source: Callable[[Generation], None],
    check: Check = unconditional,
    algorithm: str = "",
) -> Generation:
    """Make ``target`` a copy of ``source`` and return its `Generation` once it is durable and visible.

    ``make`` gives what the copy says of itself, from its source; ``algorithm`` is that of its checksum, "" for the
    source's. The source may be replaced while its bytes are read: then the new one is taken, which is as good, since
    the copy happens when it is committed.
    """
    for _ in range(_ATTEMPTS):
        engine.check_bucket(target[0])
        original = engine.written(*source)
        check_source(original)
        etag, checksum = original.etag, original.checksum
        wanted = algorithm or (checksum.algorithm if checksum is not None else checksums.DEFAULT)
        if original.parts or checksum is None or checksum.algorithm != wanted:
            md5, checksum = await engine.reread(original, 0, original.size_bytes, wanted)
            etag = md5.hex()
        step = partial(_commit, engine, source, original.number, target, make, etag, checksum, check)
        try:
            copied: Generation = await engine.stalled.attempt(step)
        except SourceReplaced:
            continue
        return copied
    raise S3Error("OperationAborted", "The source was replaced again and again while it was being copied.")


def _commit(
    engine: Engine,
    source: tuple[str, bytes],
    number: int,
    target: tuple[str, bytes],
    make: Callable[[Generation], Draft],
    etag: str,
    checksum: Checksum | None,
    check: Check,
) -> Promise:
    """One step: the extents are the source's as long as it is generation ``number``. Its tags may have changed."""
    original = engine.written(*source)
    if original.number != number:
        raise SourceReplaced
    draft = make(original)
    body = engine.index.written_body(original) if original.state & State.INLINE else None
    copy = msgspec.structs.replace(
        original,
        number=engine.index.next_generation(),
        etag=etag,
        modified_ms=engine.now_ms(),
        state=original.state & (State.INLINE | State.RESIDENT),
        headers=draft.headers,
        tags=draft.tags,
        checksum=checksum,
        owner=draft.owner,
        storage_class=draft.storage_class,
        parts=(),
        upload_id="",
    )
    return engine.replace_now(*target, copy, check, body, ())
