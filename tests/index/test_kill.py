"""kill -9 in the middle of commits: what was acknowledged is there, and the index opens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from s3d.index.index import Index

WRITER = """
import asyncio, sys
from pathlib import Path
import xxhash
from s3d.index.index import Index
from s3d.index.records import Bucket, Generation, State

index = Index.open(Path(sys.argv[1]))

async def write(writer):
    number = 0
    while True:
        number += 1
        body = b"%d/%d" % (writer, number) * 100
        generation = Generation(
            index.next_generation(), len(body), "e", 1, State.INLINE, xxh3=xxhash.xxh3_64_intdigest(body)
        )
        index.put_object("box", b"%d/%d" % (writer, number), generation, body=body)
        await index.durable()
        sys.stdout.write(f"{writer}/{number}\\n")
        sys.stdout.flush()

async def main():
    if index.written_bucket("box") is None:
        index.create_bucket(Bucket("box", 1))
    await asyncio.gather(*(write(writer + 8 * int(sys.argv[2])) for writer in range(8)))

asyncio.run(main())
"""


def test_everything_acknowledged_survives_kill(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for start in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "index"), str(start)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer:
            # Another place in the work each time.
            acknowledged.extend(writer.stdout.readline().strip() for _ in range(100 + 37 * start))
            writer.kill()
            acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        index = Index.open(tmp_path / "index")
        try:
            assert not index.behind
            for key in acknowledged:
                entry = index.cached("box", key.encode())
                assert entry is not None, key
                assert entry.body == key.encode() * 100
        finally:
            index.close()
    assert len(acknowledged) > 300
