"""An index of the test's own, and short ways to put things into it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xxhash

from s3d._core.promise import Promise
from s3d.index.index import Index
from s3d.index.records import Bucket, DataFile, Extent, Generation, State, Upload, UploadedPart
from s3d.index.recovery import floor_of

UPLOAD_ID = "0123456789abcdef0123456789abcdef"


class Rig:
    """An index with the event loop that it needs, driven from outside of it."""

    def __init__(self, directory: Path, *, sync: bool = True) -> None:
        self.directory = directory
        self.sync = sync
        self.loop = asyncio.new_event_loop()
        self.index = Index.open(directory, sync=sync)

    def wait(self, promise: Callable[[], Promise]) -> None:
        async def main() -> None:
            await promise()

        self.loop.run_until_complete(main())

    def flush(self) -> None:
        """Return when all that is written is durable."""
        self.wait(self.index.durable)

    def inline(self, body: bytes) -> Generation:
        return Generation(
            self.index.next_generation(),
            len(body),
            "d41d8cd98f00b204e9800998ecf8427e",
            1_700_000_000_000,
            State.INLINE | State.RESIDENT,
            ((b"content-type", b"text/plain"),),
            xxh3=xxhash.xxh3_64_intdigest(body),
        )

    def put(self, bucket: str, key: bytes, body: bytes) -> Generation:
        """Put an inline object, not yet durable."""
        generation = self.inline(body)
        assert self.index.put_object(bucket, key, generation, body=body) == []
        return generation

    def in_files(self, *files: int) -> Generation:
        """A generation of 10 bytes of each file."""
        return Generation(
            self.index.next_generation(), 10 * len(files), "e", 1, extents=tuple(Extent(file, 0, 10) for file in files)
        )

    def put_files(self, bucket: str, key: bytes, count: int) -> list[int]:
        """Put an object that lies in ``count`` new files."""
        files = [self.index.next_file() for _ in range(count)]
        generation = self.in_files(*files)
        self.index.put_object(bucket, key, generation, new_files=[(file, DataFile(10, 1)) for file in files])
        return files

    def upload(self, bucket: str, key: bytes, upload_id: str = UPLOAD_ID) -> Upload:
        upload = Upload(bucket, key, upload_id, 1)
        self.index.create_upload(upload)
        return upload

    def put_part(self, number: int, upload_id: str = UPLOAD_ID) -> int:
        """Upload a part that lies in a new file."""
        file = self.index.next_file()
        part = UploadedPart(number, 10, "e", 1, (Extent(file, 0, 10),))
        self.index.put_part(upload_id, part, [(file, DataFile(10, 1))])
        return file

    def keys(self, bucket: str) -> list[bytes]:
        """Those that are visible."""
        scan = self.index.scan(bucket)
        try:
            return [key for key, _ in scan.read(1_000_000)]
        finally:
            scan.close()

    def restart(self) -> None:
        self.index.close()
        self.index = Index.open(self.directory, sync=self.sync)

    def crash(self, copied: Path) -> None:
        """Go on with a copy of what is on the disk, as after kill -9."""
        picture(self, copied)
        self.index.close()
        self.directory = copied
        self.index = Index.open(copied, sync=self.sync)

    def close(self) -> None:
        self.index.close()
        # What settles a promise of a closed index may have been left in the loop.
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


def picture(rig: Rig, copied: Path) -> None:
    """Copy what an open index has on the disk. It takes no more changes after that."""
    database = rig.index._rows._database
    assert database is not None
    # A copy is no picture of one moment while tables come and go.
    database.cancel_all_background(True)
    while True:
        try:
            shutil.copytree(rig.directory, copied)
            shutil.copy(floor_of(rig.directory), floor_of(copied))
        except shutil.Error:
            # The last of them were still being removed.
            shutil.rmtree(copied)
        else:
            return


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A new index with the bucket ``box``."""
    made = Rig(tmp_path / "index")
    made.index.create_bucket(Bucket("box", 1))
    made.flush()
    yield made
    made.close()
