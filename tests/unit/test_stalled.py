"""A write stall of RocksDB: changes whose bodies are here wait for it to end, and decide anew then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from s3d._core.promise import Promise
from s3d.index.errors import IndexBusy
from s3d.index.records import Bucket, Generation
from s3d.index.schema import Family
from s3d.objects.copying import copy_object
from s3d.objects.engine import Draft, Engine
from s3d.objects.local import LocalObjects
from s3d.objects.multipart import Multipart
from s3d.objects.stalled import Stalled
from s3d.s3.errors import S3Error

BODY = bytes(range(256)) * 400


class Rig:
    """A bucket, and a database that takes nothing between `stall` and `free`."""

    def __init__(self, local: LocalObjects) -> None:
        self.local = local
        self.engine: Engine = local.engine
        self.heads = self.engine.index._rows.family(Family.HEADS)

    async def begin(self) -> None:
        self.engine.index.create_bucket(Bucket("box", 1))
        await self.engine.settled((), None)

    def stall(self) -> None:
        self.heads.set_options({"level0_stop_writes_trigger": "2"})
        for name in (b"stall-1", b"stall-2"):
            self.engine.index.put_object("box", name, Generation(self.engine.index.next_generation(), 0, "0" * 32, 1))
            self.heads.flush()
        with pytest.raises(IndexBusy):
            self.engine.delete_objects("box", [b"stall-1"])

    def free(self) -> None:
        self.heads.compact_range(None, None)

    async def put(self, key: bytes, **options: Any) -> Promise:
        spool = await self.engine.stage_bytes(BODY)
        return self.engine.put_object("box", key, spool, Draft(), **options)

    async def waiting(self, count: int = 1) -> None:
        while len(self.engine.stalled) != count:
            await asyncio.sleep(0.005)

    async def files(self, count: int) -> None:
        """Wait until there are so many data files."""
        data = self.local.directory / "data"
        while sum(path.is_file() for path in data.rglob("*")) != count:
            await asyncio.sleep(0.005)

    def size(self, key: bytes) -> int | None:
        found = self.engine.index.head("box", key)
        return None if found is None else found.size_bytes


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Rig], Awaitable[None]]], None]:
    async def steps(test: Callable[[Rig], Awaitable[None]]) -> None:
        local = await LocalObjects.open(tmp_path / "s3d", inline_size_bytes=100, sync=False, reserve_bytes=0)
        rig = Rig(local)
        try:
            await rig.begin()
            async with asyncio.timeout(60):
                await test(rig)
        finally:
            rig.free()
            await local.close()

    def runs(test: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(steps(test))

    return runs


def test_a_body_waits_for_the_end_of_a_stall(run) -> None:
    async def test(rig: Rig) -> None:
        rig.stall()
        promise = await rig.put(b"key")
        await rig.waiting()
        assert rig.size(b"key") is None
        rig.free()
        assert (await promise).size_bytes == len(BODY)
        assert rig.size(b"key") == len(BODY)

    run(test)


def test_its_condition_is_judged_again_when_the_stall_has_ended(run) -> None:
    def must_be_new(current: Generation | None) -> None:
        if current is not None:
            raise S3Error("PreconditionFailed")

    async def test(rig: Rig) -> None:
        rig.stall()
        first = await rig.put(b"key", check=must_be_new)
        await rig.waiting()
        second = await rig.put(b"key", check=must_be_new)
        await rig.waiting(2)
        await rig.files(2)
        rig.free()
        assert (await first).size_bytes == len(BODY)
        with pytest.raises(S3Error, match="PreconditionFailed"):
            await second
        await rig.files(1)

    run(test)


def test_a_bucket_that_went_meanwhile_refuses_what_waited(run) -> None:
    async def test(rig: Rig) -> None:
        rig.stall()
        promise = await rig.put(b"key")
        await rig.waiting()
        rig.free()
        # Before what waits has its next turn.
        rig.engine.delete_objects("box", [b"stall-1", b"stall-2"])
        rig.engine.index.delete_bucket("box")
        with pytest.raises(S3Error, match="NoSuchBucket"):
            await promise
        await rig.files(0)

    run(test)


def test_a_stall_without_an_end_is_told_and_the_file_goes(run) -> None:
    async def test(rig: Rig) -> None:
        rig.engine.stalled = Stalled(limit_s=0.2)
        rig.stall()
        promise = await rig.put(b"key")
        await rig.files(1)
        with pytest.raises(IndexBusy):
            await promise
        await rig.files(0)
        assert len(rig.engine.stalled) == 0

    run(test)


def test_a_client_that_goes_away_takes_its_file_with_it(run) -> None:
    async def test(rig: Rig) -> None:
        rig.stall()
        gone, stays = await rig.put(b"gone"), await rig.put(b"stays")
        await rig.waiting(2)
        gone.cancel()
        await rig.waiting(1)
        await rig.files(1)
        rig.free()
        await stays
        assert (rig.size(b"gone"), rig.size(b"stays")) == (None, len(BODY))

    run(test)


def test_a_part_waits_and_finds_out_that_its_upload_went(run) -> None:
    async def test(rig: Rig) -> None:
        multipart = Multipart(rig.engine)
        uploads = [await multipart.create("box", b"key", Draft()) for _ in range(2)]
        rig.stall()
        promises = []
        for upload in uploads:
            spool = await rig.engine.stage_bytes(BODY)
            promises.append(multipart.put_part(upload, 1, spool, None))
        await rig.waiting(2)
        rig.free()
        aborted = multipart.abort(uploads[0])
        with pytest.raises(S3Error, match="NoSuchUpload"):
            await promises[0]
        await aborted
        assert (await promises[1]).size_bytes == len(BODY)
        await rig.files(1)

    run(test)


def test_a_copy_that_waited_is_one_of_what_its_source_is_then(run) -> None:
    async def test(rig: Rig) -> None:
        await (await rig.put(b"source"))
        rig.stall()
        copying = asyncio.ensure_future(
            copy_object(
                rig.engine,
                ("box", b"source"),
                ("box", b"copy"),
                lambda source: Draft(tags=source.tags),
                check_source=lambda _: None,
                algorithm="SHA256",
            )
        )
        await rig.waiting()
        rig.free()
        # Before the copy has its next turn.
        rig.engine.index.put_object(
            "box", b"source", Generation(rig.engine.index.next_generation(), 0, "0" * 32, 1, tags=(("new", "tag"),))
        )
        copied = await copying
        assert (copied.size_bytes, copied.tags) == (0, (("new", "tag"),))

    run(test)
