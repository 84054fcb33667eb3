"""GetObject of a whole object from memory, and what is left to the long way."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from s3d._core.hot import Entry, WholeObjects
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import Credentials, Signer, SigningContext
from s3d._core.verify import Verifier

LONG = Response(206, [])
HEADS = (b"ETag: x\r\n", b"ETag: x\r\nx-amz-checksum-crc32: y\r\n")


class Shelf:
    """One object in memory, one that is brought there."""

    def __init__(self) -> None:
        self.entries = {b"bucket\0key": Entry("generation", b"body", 100)}
        self.brought: list[tuple[str, bytes]] = []
        self.checked: list[SigningContext] = []
        self.objects = WholeObjects(
            self,
            cached=self.cached,
            heads=lambda generation: HEADS,
            body=lambda generation: b"from a file",
            read=lambda request, context: LONG,
            check=self.checked.append,
        )

    def cached(self, bucket: str, key: bytes) -> Entry | None:
        self.brought.append((bucket, key))
        return Entry(SimpleNamespace(size_bytes=11), None, 100) if key == b"file" else None

    def get(self, *headers: tuple[bytes, bytes], key: bytes = b"key", query: bytes = b"", **more: Any) -> Response:
        request = Request(b"GET", b"/bucket/" + key + (b"?" + query if query else b""), list(headers), **more)
        request.bucket, request.key, request.request_id = "bucket", key, "0123456789ABCDEF"
        return self.objects(request, None)


def test_an_object_in_memory_is_answered_from_there() -> None:
    shelf = Shelf()
    answer = shelf.get()
    assert (answer.status, answer.body, answer.content_length) == (200, b"body", 4)
    assert answer.headers == [(b"ETag", b"x"), (b"x-amz-request-id", b"0123456789ABCDEF")]
    assert not shelf.brought


def test_the_head_is_kept_in_the_entry_and_the_entry_marked_as_used() -> None:
    shelf = Shelf()
    shelf.get()
    entry = shelf.entries[b"bucket\0key"]
    assert entry.memo == HEADS
    assert entry.seen


def test_an_object_that_is_not_in_memory_is_brought() -> None:
    shelf = Shelf()
    answer = shelf.get(key=b"file")
    assert (answer.body, answer.content_length) == (b"from a file", 11)
    assert shelf.brought == [("bucket", b"file")]


def test_what_does_not_exist_goes_the_long_way() -> None:
    assert Shelf().get(key=b"other") is LONG


def test_the_checksum_comes_when_it_is_asked_for() -> None:
    answer = Shelf().get((b"x-amz-checksum-mode", b"ENABLED"))
    assert answer.header(b"x-amz-checksum-crc32") == b"y"


@pytest.mark.parametrize(
    "header",
    [
        (b"range", b"bytes=0-1"),
        (b"if-match", b"x"),
        (b"if-none-match", b"x"),
        (b"if-modified-since", b"x"),
        (b"if-unmodified-since", b"x"),
        (b"if-range", b"x"),
        (b"x-amz-checksum-mode", b"enabled"),
        (b"x-amz-expected-bucket-owner", b"me"),
        (b"x-amz-server-side-encryption-customer-algorithm", b"AES256"),
        (b"x-amz-of-tomorrow", b""),
    ],
)
def test_what_may_change_the_answer_goes_the_long_way(header: tuple[bytes, bytes]) -> None:
    assert Shelf().get((b"host", b"localhost"), header) is LONG


@pytest.mark.parametrize(
    "header",
    [
        (b"x-amz-date", b"20260101T000000Z"),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
        (b"x-amz-security-token", b"token"),
        (b"x-amz-user-agent", b"aws-sdk-js"),
        (b"te", b"trailers"),
        (b"referer", b"x"),
        (b"icy", b"x"),
    ],
)
def test_what_changes_nothing_does_not(header: tuple[bytes, bytes]) -> None:
    assert Shelf().get(header).status == 200


def test_a_query_goes_the_long_way() -> None:
    assert Shelf().get(query=b"versionId=null") is LONG


def test_a_body_goes_the_long_way() -> None:
    assert Shelf().get(content_length=3) is LONG


def test_the_entries_of_the_moment_count() -> None:
    shelf = Shelf()
    shelf.get()
    shelf.entries = {}
    assert shelf.get() is LONG


@pytest.mark.parametrize(
    ("payload_hash", "asked"),
    [(b"UNSIGNED-PAYLOAD", 1), (b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0)],
)
def test_a_signature_for_some_body_is_looked_at(payload_hash: bytes, asked: int) -> None:
    shelf = Shelf()
    credentials = Credentials(b"AKIDEXAMPLE", b"secret")
    headers = [(b"host", b"localhost")]
    now_s = int(time.time())
    headers += Signer(credentials, b"us-east-1").sign(b"GET", b"/bucket/key", b"", headers, payload_hash, now_s)
    request = Request(b"GET", b"/bucket/key", headers)
    request.bucket, request.key = "bucket", b"key"
    context = Verifier([credentials]).verify(request, now_s)
    shelf.objects(request, context)
    assert len(shelf.checked) == asked
