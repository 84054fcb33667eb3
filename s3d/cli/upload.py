"""Writing a file or a stream to an object, in parts when it is large or its length is not known.

Memory is bounded whatever the size: a file's parts are read from it while they are sent, a stream's parts are held in
memory, at most `PARALLEL_PARTS + 1` of them. Whatever ends an upload early, its parts are removed from the store.

Concurrency: the calling thread reads and starts parts; worker threads send them. A worker's first error stops the
reading; the others are waited for before the upload is aborted, for a part that lands after the abort would stay.
"""

from __future__ import annotations

import io
import os
import select
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from s3d.cli import progress
from s3d.cli.address import Address
from s3d.cli.client import PARALLEL_PARTS
from s3d.cli.console import Failure, note, visible

MIB = 1 << 20
SMALLEST_PART_BYTES = 5 * MIB
LARGEST_PART_BYTES = 5 << 30
MOST_PARTS = 10_000
"""S3's limits for multipart uploads (Amazon S3 user guide, "Amazon S3 multipart upload limits")."""
GROWTH_PARTS = 2_000
"""A stream's parts double in size after each 2,000: 8 MiB parts reach 484 GiB, the last 128 MiB each."""


class FilePart(io.RawIOBase):
    """A range of an open file as a seekable stream of its own; several can be read at once, by `pread`."""

    def __init__(self, descriptor: int, offset: int, size_bytes: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._offset = offset
        self._size_bytes = size_bytes
        self._position = 0

    def __len__(self) -> int:
        return self._size_bytes

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always: botocore reads a body once for its checksum and once to send it."""
        return True

    def tell(self) -> int:
        """The position within the range."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the range; positions are relative to its begin."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, fewer only at the range's end. Raises `Failure` when the file has become shorter."""
        left = max(0, self._size_bytes - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        block = os.pread(self._descriptor, wanted, self._offset + self._position)
        if wanted and not block:
            raise Failure("The file became shorter while it was being sent; nothing was stored.")
        self._position += len(block)
        return block

    def readinto(self, buffer: Any) -> int:
        """As `read`, into `buffer`."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def from_file(s3: Any, target: Address, file: Any, headers: dict[str, Any], part_size_bytes: int) -> None:
    """Send a regular file, in one request when it is not larger than two parts."""
    before = os.fstat(file.fileno())
    size_bytes = before.st_size

    def check_unchanged() -> None:
        after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise Failure("The file was changed while it was being sent; nothing was stored. Try again.")

    with progress.bar(visible(target.key), size_bytes) as advance:
        if size_bytes <= 2 * part_size_bytes:
            body = FilePart(file.fileno(), 0, size_bytes)
            s3.put_object(Bucket=target.bucket, Key=target.key, Body=body, **headers)
            advance(size_bytes)
            return
        part_size_bytes = fitting_part_size(size_bytes, part_size_bytes)
        parts = (
            FilePart(file.fileno(), offset, min(part_size_bytes, size_bytes - offset))
            for offset in range(0, size_bytes, part_size_bytes)
        )
        send_parts(s3, target, parts, headers, advance, check_unchanged)


def fitting_part_size(size_bytes: int, part_size_bytes: int) -> int:
    """The part size, raised to a whole number of MiB with which the file fits into 10,000 parts."""
    needed = -(-size_bytes // MOST_PARTS)
    if needed <= part_size_bytes:
        return part_size_bytes
    if needed > LARGEST_PART_BYTES:
        raise Failure("The file is larger than S3's largest object (10,000 parts of 5 GiB).")
    return min(LARGEST_PART_BYTES, -(-needed // MIB) * MIB)


def from_stream(s3: Any, target: Address, stream: Any, headers: dict[str, Any], part_size_bytes: int) -> None:
    """Send a pipe until it ends; one request when it ends within the first part."""
    with progress.bar(visible(target.key), None) as advance:
        first = read_part(stream, part_size_bytes)
        if len(first) < part_size_bytes:
            s3.put_object(Bucket=target.bucket, Key=target.key, Body=first, **headers)
            advance(len(first))
            return
        send_parts(s3, target, stream_parts(stream, first, part_size_bytes), headers, advance, None)


def stream_parts(stream: Any, first: bytes, part_size_bytes: int) -> Iterator[bytes]:
    """The stream cut into parts that grow, so that 10,000 of them hold as much as memory allows."""
    yield first
    del first
    number = 1
    while True:
        number += 1
        part = read_part(stream, min(LARGEST_PART_BYTES, part_size_bytes << ((number - 1) // GROWTH_PARTS)))
        if not part:
            return
        if number > MOST_PARTS:
            raise Failure("The input is too long for 10,000 parts; nothing was stored. Give a larger --part-size.")
        yield part


def read_part(stream: Any, size_bytes: int) -> bytes:
    """Exactly `size_bytes`, fewer only at the end of the stream: pipes give a little at a time."""
    blocks = []
    missing = size_bytes
    while missing:
        block = stream.read(min(missing, MIB))
        if block is None:  # a pipe that somebody made non-blocking is empty, not at its end
            select.select([stream], [], [])
            continue
        if not block:
            break
        blocks.append(block)
        missing -= len(block)
    return b"".join(blocks)


def send_parts(
    s3: Any,
    target: Address,
    parts: Iterator[Any],
    headers: dict[str, Any],
    advance: Callable[[int], None],
    before_completion: Callable[[], None] | None,
) -> None:
    """Upload `parts` (bytes or `FilePart`), several at a time, and complete; on any failure abort, then raise it."""
    where = {"Bucket": target.bucket, "Key": target.key}
    created = s3.create_multipart_upload(**where, ChecksumAlgorithm="CRC32", **headers)
    upload_id = created["UploadId"]

    def send(number: int, body: Any) -> dict[str, Any]:
        answer = s3.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        advance(len(body))
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    try:
        with ThreadPoolExecutor(PARALLEL_PARTS) as pool:
            done = run_bounded(pool, send, parts)
        if before_completion is not None:
            before_completion()
        s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": done})
    except BaseException:
        abort(s3, where, upload_id)
        raise


def run_bounded(pool: ThreadPoolExecutor, send: Callable[[int, Any], dict[str, Any]], parts: Any) -> list[Any]:
    """Run `send` for every part with `PARALLEL_PARTS` at a time; the results in the order of the parts."""
    running: set[Future[dict[str, Any]]] = set()
    done: list[dict[str, Any]] = []
    try:
        for number, part in enumerate(parts, 1):
            running.add(pool.submit(send, number, part))
            if len(running) >= PARALLEL_PARTS:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                done += [future.result() for future in ready]
        done += [future.result() for future in running]
    except BaseException:
        for future in running:
            future.cancel()
        raise
    return sorted(done, key=lambda part: part["PartNumber"])


def abort(s3: Any, where: dict[str, str], upload_id: str) -> None:
    """Remove the parts of an upload; when even that fails, say what is left and how to remove it."""
    try:
        s3.abort_multipart_upload(**where, UploadId=upload_id)
    except Exception as error:  # noqa: BLE001 - the failure that brought us here is the one to raise
        note(
            f"s3d: the unfinished upload could not be removed ({error}). When the store answers again: s3d api "
            f"abort-multipart-upload --bucket {where['Bucket']} --key '{where['Key']}' --upload-id {upload_id}"
        )
