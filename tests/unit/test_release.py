"""Large objects and uploads that are dropped, with their data files: released soon, counted rightly until then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from s3d.index import transitions
from s3d.index.records import Bucket, Generation, Upload, UploadedPart
from s3d.objects import turns
from s3d.objects.adoption import adopt
from s3d.objects.engine import Draft
from s3d.objects.local import LocalObjects
from s3d.objects.multipart import Multipart, PartsChanged
from s3d.objects.turns import in_turns
from s3d.objects.verification import Problem, verify
from s3d.s3.steps import Steps, at_once

PARTS = 12


class Rig:
    def __init__(self, local: LocalObjects) -> None:
        self.local = local
        self.engine = local.engine
        self.multipart = Multipart(local.engine)

    async def part(self, upload: Upload, number: int) -> UploadedPart:
        spool = await self.engine.stage_bytes(b"%d" % number * 10)
        part: UploadedPart = await self.multipart.put_part(upload, number, spool, None)
        return part

    async def upload(self, key: bytes = b"key") -> tuple[Upload, list[UploadedPart]]:
        if self.engine.index.bucket("box") is None:
            self.engine.index.create_bucket(Bucket("box", 1))
        upload = await self.multipart.create("box", key, Draft())
        return upload, [await self.part(upload, number) for number in range(1, PARTS + 1)]

    async def complete(self, upload: Upload, chosen: list[UploadedPart]) -> Generation:
        made = at_once(self.multipart.made(upload, chosen, "0" * 32 + "-1", None))
        with self.multipart.watch(upload.upload_id) as is_current:
            done: Generation = await self.multipart.complete(upload, made, is_current)
        return done


def files(directory: Path) -> int:
    return sum(path.is_file() for path in (directory / "data").rglob("*"))


@pytest.fixture(autouse=True)
def _few_are_many() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions, "DROPPED_AT_ONCE", 4)
        patch.setattr(transitions, "DETAILS_AT_ONCE_BYTES", 0)
        yield


Run = Callable[[Callable[[Rig], Awaitable[None]]], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    async def steps(test: Callable[[Rig], Awaitable[None]]) -> None:
        local = await LocalObjects.open(tmp_path, inline_size_bytes=100, sync=False, reserve_bytes=0)
        try:
            async with asyncio.timeout(60):
                await test(Rig(local))
        finally:
            await local.close()

    def runs(test: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(steps(test))

    return runs


def problems(directory: Path) -> list[Problem]:
    found: list[Problem] = []
    verify(directory, found.append, lambda *_: None)
    return found


def test_what_was_dropped_is_released_in_the_background(run: Run, tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        upload, parts = await rig.upload()
        other, _ = await rig.upload(b"other")
        await rig.complete(upload, parts[:7])
        await rig.multipart.abort(other)
        assert files(tmp_path) == 2 * PARTS
        rig.local.begin()
        while files(tmp_path) != 7:
            await asyncio.sleep(0.01)
        await rig.engine.delete_object("box", b"key")
        while files(tmp_path):
            await asyncio.sleep(0.01)

    run(test)
    assert problems(tmp_path) == []


def test_a_verification_counts_what_is_not_released_yet(run: Run, tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        first, parts = await rig.upload()
        await rig.complete(first, parts[:7])
        second, parts = await rig.upload(b"other")
        await rig.complete(second, parts)
        await rig.engine.delete_object("box", b"other")
        third, _ = await rig.upload(b"aborted")
        await rig.multipart.abort(third)
        for _ in range(3):
            rig.engine.collect()

    run(test)
    assert problems(tmp_path) == []
    assert files(tmp_path) > 7


def test_an_adoption_begins_with_what_is_not_released_yet(run: Run, tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        upload, _ = await rig.upload()
        await rig.multipart.abort(upload)

    run(test)
    assert files(tmp_path) == PARTS
    adopt(tmp_path, "us-east-1", lambda _: None, lambda *_: None)
    assert files(tmp_path) == 0


def test_parts_that_changed_since_they_were_read_are_not_completed(run: Run) -> None:
    async def test(rig: Rig) -> None:
        upload, parts = await rig.upload()
        made = at_once(rig.multipart.made(upload, parts, "0" * 32 + "-1", None))
        with rig.multipart.watch(upload.upload_id) as is_current:
            again = await rig.part(upload, 3)
            with pytest.raises(PartsChanged):
                await rig.multipart.complete(upload, made, is_current)
        assert rig.multipart.find("box", b"key", upload.upload_id) == upload
        completed = await rig.complete(upload, [*parts[:2], again, *parts[3:]])
        assert again.extents[0] in completed.extents

    run(test)


def test_an_upload_that_ended_since_its_parts_were_read_is_not_completed_again(run: Run) -> None:
    async def test(rig: Rig) -> None:
        upload, parts = await rig.upload()
        made = at_once(rig.multipart.made(upload, parts, "0" * 32 + "-1", None))
        with rig.multipart.watch(upload.upload_id) as is_current:
            await rig.complete(upload, parts)
            with pytest.raises(PartsChanged):
                await rig.multipart.complete(upload, made, is_current)

    run(test)


def test_others_have_their_turn_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    seen: list[str] = []

    def steps() -> Steps[str]:
        for number in range(3):
            seen.append(f"step {number}")
            yield
        return "made"

    async def main() -> None:
        asyncio.get_running_loop().call_soon(seen.append, "another")
        assert await in_turns(steps()) == "made"

    asyncio.run(main())
    assert seen[:2] == ["step 0", "another"]


def test_steps_that_nobody_waits_for_any_more_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    ended: list[int] = []

    def steps() -> Steps[None]:
        try:
            while True:
                yield
        finally:
            ended.append(1)

    async def main() -> None:
        task = asyncio.ensure_future(in_turns(steps()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == [1]
