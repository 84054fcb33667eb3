"""A standalone s3d against a dictionary: any sequence of operations, with restarts and crashes between them."""

from __future__ import annotations

import base64
import hashlib
import itertools
from dataclasses import replace
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from model.reference import Object, Part, Upload, assembled, content, listing, md5, ranged
from model.wire import Answer, Wire, decoded
from servers.daemon import S3dDaemon

INLINE_BYTES = 16 << 10
MIN_PART_BYTES = 5 << 20
MAX_RESTARTS = 1

# Keys that are near each other, and what file systems, listings and encodings trip over.
KEYS = [
    b"a", b"a/", b"a/b", b"a/b/c", b"a//b", b"/a", b"//", b"a0", b"ab", b"b", b"b/a/", b"..", b"a/../b", b"./a",
    b"a b+c", b"%41", b"a%2fb", b"a&b<c>", b"\x00", b"a\x00", b"a\x00b", b"a\x01\n",
    b"\xff", b"a/\xff", b"a\xff\xff", b"\xc3\xbc",
    b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80/a", b"k" * 1024, b"a/" + b"l" * 1022,
]  # fmt: skip
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(KEYS), st.binary(min_size=1, max_size=4))
sizes = st.sampled_from([0, 1, 9, 1000, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 70_000, 300_000])
part_sizes = st.sampled_from([MIN_PART_BYTES, MIN_PART_BYTES, MIN_PART_BYTES + 1, 1, INLINE_BYTES + 1])
picks = st.integers(0, 1000)
notes = st.one_of(st.none(), st.sampled_from(["x", "two words", "a,b;c=d"]))
tag_sets = st.dictionaries(
    st.sampled_from(["k", "other key", "ü"]), st.sampled_from(["", "v", "a/b:c", "ü"]), max_size=3
).map(lambda tags: tuple(sorted(tags.items())))
ranges = st.one_of(
    st.tuples(st.integers(0, 20_000), st.none()),
    st.tuples(st.none(), st.integers(0, 20_000)),
    st.integers(0, 20_000).flatmap(lambda first: st.tuples(st.just(first), st.integers(first, 80_000))),
)
conditions = st.sampled_from(["none", "none", "none", "absent", "same", "other"])
_bucket_numbers = itertools.count(1)


class Bucket(RuleBasedStateMachine):
    """One bucket and what it must hold."""

    daemon: S3dDaemon

    @initialize(
        first=st.lists(st.tuples(keys, sizes), min_size=2, max_size=8),
        parts=st.lists(part_sizes, max_size=2), note=notes, pick=picks,
    )  # fmt: skip
    def make_bucket(self, first, parts, note, pick) -> None:
        self.name = f"model-{next(_bucket_numbers)}"
        self.objects: dict[bytes, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self.restarts = 0
        self.numbers = itertools.count(1)
        self.wire = Wire(self.daemon.port, self.name)
        assert self.wire.ask("PUT").status == 200
        self.put_several(first)
        self.create_upload(pick, b"a/b", note, parts)

    def teardown(self) -> None:
        if not hasattr(self, "wire"):
            return
        try:
            self.everything_is_there()
            self.empty()
        finally:
            self.wire.close()

    def everything_is_there(self) -> None:
        self.check_listing(version=2, prefix=b"", delimiter=b"", after=b"", page=1000)
        for key, expected in self.objects.items():
            self.check_object(self.wire.ask("GET", key), expected)

    def empty(self) -> None:
        """Deletes all, uploads first: whether they keep a bucket from being deleted is up to the store."""
        for upload_id, upload in self.uploads.items():
            assert self.wire.ask("DELETE", upload.key, query={"uploadId": upload_id}).status == 204
        for key in self.objects:
            assert self.wire.ask("DELETE", key).status == 204
        assert self.wire.ask("DELETE").status == 204

    # What the rules share.

    def body(self, size: int) -> bytes:
        return content(next(self.numbers), size)

    def some_key(self, pick: int, otherwise: bytes) -> bytes:
        """Most of the time a key that is there."""
        present = sorted(self.objects)
        return present[pick % len(present)] if present and pick % 4 else otherwise

    def some_upload(self, pick: int) -> tuple[str, Upload]:
        return sorted(self.uploads.items())[pick % len(self.uploads)]

    def condition(self, kind: str, key: bytes) -> tuple[dict[str, str], str]:
        """Headers of a conditional write, and the code of the refusal that it deserves, empty for none."""
        current = self.objects.get(key)
        if kind == "absent":
            return {"If-None-Match": "*"}, "PreconditionFailed" if current else ""
        if kind == "same":
            return {"If-Match": f'"{current.etag if current else "0" * 32}"'}, "" if current else "NoSuchKey"
        if kind == "other":
            return {"If-Match": f'"{"0" * 32}"'}, "PreconditionFailed" if current else "NoSuchKey"
        return {}, ""

    def expect(self, answer: Answer, code: str, status: int = 200) -> bool:
        """Whether it went well; that it ended as it had to is checked."""
        assert (answer.code, answer.status < 300) == (code, code == ""), (answer.status, answer.body[:1000])
        assert code or answer.status == status, (answer.status, answer.body[:1000])
        return code == ""

    def check_object(self, answer: Answer, expected: Object, *, head: bool = False) -> None:
        assert answer.status == 200, answer.body[:1000]
        found = (answer.etag, answer.headers["Content-Type"], answer.headers["Content-Length"])
        assert found == (expected.etag, expected.content_type, str(len(expected.body)))
        assert answer.headers.get("x-amz-meta-note") == expected.note
        assert int(answer.headers.get("x-amz-tagging-count", "0")) == len(expected.tags)
        assert head or answer.body == expected.body

    # Objects.

    @rule(
        pick=picks, key=keys, size=sizes, note=notes, kind=conditions,
        content_type=st.sampled_from([None, "text/plain; charset=utf-8"]), tags=tag_sets,
    )  # fmt: skip
    def put(self, pick, key, size, note, kind, content_type, tags):
        key = self.some_key(pick, key)
        headers, code = self.condition(kind, key)
        body = self.body(size)
        new = Object(body, md5(body), content_type or "binary/octet-stream", note, tags)
        if note is not None:
            headers["x-amz-meta-note"] = note
        if content_type is not None:
            headers["Content-Type"] = content_type
        if tags:
            headers["x-amz-tagging"] = urlencode(tags)
        answer = self.wire.ask("PUT", key, body=body, headers=headers)
        if self.expect(answer, code):
            assert answer.etag == new.etag
            self.objects[key] = new

    @rule(several=st.lists(st.tuples(keys, sizes), min_size=1, max_size=5))
    def put_several(self, several):
        for key, size in several:
            body = self.body(size)
            assert self.wire.ask("PUT", key, body=body).etag == md5(body)
            self.objects[key] = Object(body, md5(body))

    @rule(pick=picks, key=keys)
    def get(self, pick, key):
        key = self.some_key(pick, key)
        answer = self.wire.ask("GET", key)
        if key in self.objects:
            self.check_object(answer, self.objects[key])
        else:
            self.expect(answer, "NoSuchKey")

    @rule(pick=picks, key=keys)
    def head(self, pick, key):
        key = self.some_key(pick, key)
        answer = self.wire.ask("HEAD", key)
        if key in self.objects:
            self.check_object(answer, self.objects[key], head=True)
        else:
            assert (answer.status, answer.body) == (404, b"")

    @rule(pick=picks, key=keys, spec=ranges)
    def get_range(self, pick, key, spec):
        key = self.some_key(pick, key)
        text = "bytes=" + "-".join("" if bound is None else str(bound) for bound in spec)
        answer = self.wire.ask("GET", key, headers={"Range": text})
        if key not in self.objects:
            self.expect(answer, "NoSuchKey")
            return
        body = self.objects[key].body
        if not body and spec[0] is None and spec[1]:
            # The end of nothing is all of it, which no Content-Range can say.
            self.check_object(answer, self.objects[key])
            return
        span = ranged(len(body), spec)
        if span is None:
            assert (answer.status, answer.code) == (416, "InvalidRange")
            return
        first, last = span
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
        assert answer.body == body[first : last + 1]

    @precondition(lambda self: any(one.parts for one in self.objects.values()))
    @rule(pick=picks, number=st.integers(1, 3))
    def get_part(self, pick, number):
        multipart = sorted(key for key, one in self.objects.items() if one.parts)
        expected = self.objects[multipart[pick % len(multipart)]]
        answer = self.wire.ask("GET", multipart[pick % len(multipart)], query={"partNumber": number})
        if number > len(expected.parts):
            assert answer.status == 416
            return
        start = sum(expected.parts[: number - 1])
        assert answer.body == expected.body[start : start + expected.parts[number - 1]]
        assert (answer.status, answer.headers["x-amz-mp-parts-count"]) == (206, str(len(expected.parts)))

    @rule(pick=picks, key=keys, header=st.sampled_from(["If-Match", "If-None-Match"]), same=st.booleans())
    def get_conditionally(self, pick, key, header, same):
        key = self.some_key(pick, key)
        expected = self.objects.get(key)
        etag = expected.etag if expected and same else "0" * 32
        answer = self.wire.ask("GET", key, headers={header: f'"{etag}"'})
        if expected is None:
            self.expect(answer, "NoSuchKey")
        elif header == "If-Match":
            self.expect(answer, "" if same else "PreconditionFailed")
        elif same:
            assert (answer.status, answer.body) == (304, b"")
        else:
            self.check_object(answer, expected)

    @rule(pick=picks, key=keys)
    def delete(self, pick, key):
        key = self.some_key(pick, key)
        assert self.wire.ask("DELETE", key).status == 204
        self.objects.pop(key, None)

    @rule(picked=st.lists(st.tuples(picks, st.sampled_from(KEYS[:14])), min_size=1, max_size=4), quiet=st.booleans())
    def delete_many(self, picked, quiet):
        # A document cannot name every key: only those that XML can spell.
        chosen = {self.some_key(pick, key) for pick, key in picked}
        chosen = sorted(key for key in chosen if key.isascii() and key.decode().isprintable())
        if not chosen:
            return
        entries = "".join(f"<Object><Key>{escape(key.decode())}</Key></Object>" for key in chosen)
        document = f"<Delete><Quiet>{str(quiet).lower()}</Quiet>{entries}</Delete>".encode()
        answer = self.wire.ask("POST", query={"delete": ""}, body=document, headers=_digest(document))
        self.expect(answer, "")
        deleted = sorted(key.encode() for (key,) in answer.all("Deleted", "Key"))
        assert (deleted, answer.all("Error", "Key")) == ([] if quiet else chosen, [])
        for key in chosen:
            self.objects.pop(key, None)

    @precondition(lambda self: self.objects)
    @rule(
        pick=picks, to=picks, key=keys, note=notes, replaced=st.booleans(), tagged=st.booleans(), tags=tag_sets,
        condition=st.sampled_from(["none", "none", "same", "other"]),
    )  # fmt: skip
    def copy(self, pick, to, key, note, replaced, tagged, tags, condition):
        present = sorted(self.objects)
        source, target = present[pick % len(present)], self.some_key(to, key)
        old = self.objects[source]
        headers = {"x-amz-copy-source": self.wire.path(source)}
        # A copy has no parts, and so the ETag of its bytes.
        new = replace(old, etag=md5(old.body), parts=())
        code = "InvalidRequest" if source == target and not replaced else ""
        if replaced:
            headers["x-amz-metadata-directive"] = "REPLACE"
            new = replace(new, note=note, content_type="binary/octet-stream")
            if note is not None:
                headers["x-amz-meta-note"] = note
        if tagged:
            headers |= {"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": urlencode(tags)}
            new = replace(new, tags=tags)
        if condition != "none":
            headers["x-amz-copy-source-if-match"] = f'"{old.etag if condition == "same" else "0" * 32}"'
            code = "PreconditionFailed" if condition == "other" and not code else code
        answer = self.wire.ask("PUT", target, headers=headers)
        if source == target and not replaced and condition == "other":
            assert answer.code in ("InvalidRequest", "PreconditionFailed")
        elif self.expect(answer, code):
            assert answer.text("ETag").strip('"') == new.etag
            self.objects[target] = new

    # Tags.

    @precondition(lambda self: self.objects)
    @rule(pick=picks, tags=tag_sets)
    def tag(self, pick, tags):
        key = sorted(self.objects)[pick % len(self.objects)]
        pairs = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in tags)
        document = f"<Tagging><TagSet>{pairs}</TagSet></Tagging>".encode()
        self.expect(self.wire.ask("PUT", key, query={"tagging": ""}, body=document, headers=_digest(document)), "")
        self.objects[key] = replace(self.objects[key], tags=tags)

    @precondition(lambda self: self.objects)
    @rule(pick=picks, remove=st.booleans())
    def read_tags(self, pick, remove):
        key = sorted(self.objects)[pick % len(self.objects)]
        answer = self.wire.ask("GET", key, query={"tagging": ""})
        assert sorted(answer.all("TagSet/Tag", "Key", "Value")) == list(self.objects[key].tags)
        if remove:
            assert self.wire.ask("DELETE", key, query={"tagging": ""}).status == 204
            self.objects[key] = replace(self.objects[key], tags=())

    # Uploads in parts.

    @rule(pick=picks, key=keys, note=notes, parts=st.lists(part_sizes, max_size=2))
    def create_upload(self, pick, key, note, parts):
        key = self.some_key(pick, key)
        headers = {} if note is None else {"x-amz-meta-note": note}
        answer = self.wire.ask("POST", key, query={"uploads": ""}, headers=headers)
        self.expect(answer, "")
        upload_id = answer.text("UploadId")
        self.uploads[upload_id] = Upload(key, note)
        for number, size in enumerate(parts, 1):
            self.put_part(upload_id, number, size)

    @precondition(lambda self: self.uploads)
    @rule(pick=picks, number=st.integers(1, 3), size=part_sizes)
    def upload_part(self, pick, number, size):
        upload_id, _ = self.some_upload(pick)
        self.put_part(upload_id, number, size)

    def put_part(self, upload_id: str, number: int, size: int) -> None:
        upload = self.uploads[upload_id]
        body = self.body(size)
        answer = self.wire.ask("PUT", upload.key, query={"partNumber": number, "uploadId": upload_id}, body=body)
        self.expect(answer, "")
        assert answer.etag == md5(body)
        upload.parts[number] = Part(body, md5(body))

    @precondition(lambda self: self.uploads and any(one.body for one in self.objects.values()))
    @rule(pick=picks, source=picks, number=st.integers(1, 3), span=st.tuples(picks, picks), whole=st.booleans())
    def copy_part(self, pick, source, number, span, whole):
        upload_id, upload = self.some_upload(pick)
        present = sorted(key for key, one in self.objects.items() if one.body)
        key = present[source % len(present)]
        body = self.objects[key].body
        headers = {"x-amz-copy-source": self.wire.path(key)}
        if not whole:
            first, last = sorted(bound * len(body) // 1001 for bound in span)
            headers["x-amz-copy-source-range"] = f"bytes={first}-{last}"
            body = body[first : last + 1]
        query = {"partNumber": number, "uploadId": upload_id}
        answer = self.wire.ask("PUT", upload.key, query=query, headers=headers)
        self.expect(answer, "")
        assert answer.text("ETag").strip('"') == md5(body)
        upload.parts[number] = Part(body, md5(body))

    @precondition(lambda self: self.uploads)
    @rule(pick=picks, mistake=st.sampled_from(["", "", "", "", "", "order", "etag", "number"]), kind=conditions)
    def complete(self, pick, mistake, kind):
        upload_id, upload = self.some_upload(pick)
        listed = [(number, part.etag) for number, part in sorted(upload.parts.items())]
        parts = [part for _, part in sorted(upload.parts.items())]
        if not listed:
            return
        code = ""
        if any(len(part.body) < MIN_PART_BYTES for part in parts[:-1]):
            code = "EntityTooSmall"
        if mistake == "etag":
            listed[0], code = (listed[0][0], "0" * 32), "InvalidPart"
        elif mistake == "number":
            listed, code = [*listed, (9, listed[0][1])], "InvalidPart"
        elif mistake == "order" and len(listed) > 1:
            listed, code = listed[::-1], "InvalidPartOrder"
        headers: dict[str, str] = {}
        if not code:
            headers, code = self.condition(kind, upload.key)
        document = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in listed)
        document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
        query = {"uploadId": upload_id}
        answer = self.wire.ask("POST", upload.key, query=query, body=document.encode(), headers=headers)
        if answer.status == 200 and answer.document.tag == "Error":
            assert answer.text("Code") == code
        elif self.expect(answer, code):
            self.objects[upload.key] = assembled(parts, upload.note)
            assert answer.text("ETag").strip('"') == self.objects[upload.key].etag
            del self.uploads[upload_id]

    @precondition(lambda self: self.uploads)
    @rule(pick=picks)
    def abort(self, pick):
        upload_id, upload = self.some_upload(pick)
        assert self.wire.ask("DELETE", upload.key, query={"uploadId": upload_id}).status == 204
        del self.uploads[upload_id]
        self.expect(self.wire.ask("GET", upload.key, query={"uploadId": upload_id}), "NoSuchUpload")

    @precondition(lambda self: self.uploads)
    @rule(pick=picks)
    def list_parts(self, pick):
        upload_id, upload = self.some_upload(pick)
        answer = self.wire.ask("GET", upload.key, query={"uploadId": upload_id})
        self.expect(answer, "")
        found = [(int(n), etag.strip('"'), int(s)) for n, etag, s in answer.all("Part", "PartNumber", "ETag", "Size")]
        assert found == [(number, part.etag, len(part.body)) for number, part in sorted(upload.parts.items())]

    @rule()
    def list_uploads(self):
        answer = self.wire.ask("GET", query={"uploads": "", "encoding-type": "url"})
        self.expect(answer, "")
        found = [(decoded(key), upload_id) for key, upload_id in answer.all("Upload", "Key", "UploadId")]
        assert found == sorted((upload.key, upload_id) for upload_id, upload in self.uploads.items())

    # Listings.

    @rule(
        version=st.sampled_from([1, 2]), pick=picks, cut=st.sampled_from([0, 0, 0, 1, 2, 4]),
        page=st.sampled_from([1, 1, 2, 3, 1000]),
        delimiter=st.sampled_from([b"", b"", b"/", b"/", b"a", b"//", b"/b", b"\xff", b"\xc3\xbc", b"\x00"]),
        after=st.one_of(st.just(b""), st.sampled_from(KEYS)),
    )  # fmt: skip
    def list_objects(self, version, pick, cut, page, delimiter, after):
        prefix = self.some_key(pick, b"a/")[:cut]
        if delimiter and after.find(delimiter, len(prefix)) >= 0:
            after = b""  # whether a listing that begins inside a common prefix names it, S3 does not say
        self.check_listing(version=version, prefix=prefix, delimiter=delimiter, after=after, page=page)

    def check_listing(self, *, version: int, prefix: bytes, delimiter: bytes, after: bytes, page: int) -> None:
        expected = listing(set(self.objects), prefix, delimiter, after)
        query: dict[str, bytes | str | int | None] = {
            "list-type": 2 if version == 2 else None,
            "prefix": prefix or None,
            "delimiter": delimiter or None,
            "max-keys": page,
            "encoding-type": "url",
            "start-after" if version == 2 else "marker": after or None,
        }
        found: list[tuple[str, bytes]] = []
        while True:
            answer = self.wire.ask("GET", query=query)
            self.expect(answer, "")
            contents = answer.all("Contents", "Key", "Size", "ETag")
            for key, size, etag in contents:
                one = self.objects[decoded(key)]
                assert (int(size), etag.strip('"')) == (len(one.body), one.etag)
            entries = [("key", decoded(key)) for key, _, _ in contents]
            entries += [("prefix", decoded(one)) for (one,) in answer.all("CommonPrefixes", "Prefix")]
            found += sorted(entries, key=lambda entry: entry[1])
            truncated = answer.text("IsTruncated") == "true"
            assert truncated == (len(found) < len(expected))
            assert len(entries) == (page if truncated else len(expected) - len(found) + len(entries))
            if version == 2:
                assert answer.text("KeyCount") == str(len(entries))
            if not truncated:
                break
            if version == 2:
                query["continuation-token"] = answer.text("NextContinuationToken")
            else:
                query["marker"] = decoded(answer.text("NextMarker")) or found[-1][1]
        assert found == expected

    @precondition(lambda self: self.objects)
    @rule()
    def delete_bucket(self):
        self.expect(self.wire.ask("DELETE"), "BucketNotEmpty")

    # Ends and beginnings.

    @precondition(lambda self: self.restarts < MAX_RESTARTS and self.objects)
    @rule(killed=st.booleans())
    def restart(self, killed):
        self.restarts += 1
        self.wire.close()
        if killed:
            self.daemon.kill()
        else:
            self.daemon.stop()
        self.daemon.start()
        self.wire = Wire(self.daemon.port, self.name)
        self.everything_is_there()


def _digest(document: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(document).digest()).decode()}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    one = S3dDaemon(tmp_path_factory.mktemp("model"), standalone=True, identity=None)
    one.start()
    yield one
    one.stop()


def run(daemon: S3dDaemon, examples: int, steps: int) -> None:
    machine = type("BucketOfDaemon", (Bucket,), {"daemon": daemon})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )


def test_any_sequence_of_operations(daemon):
    run(daemon, examples=40, steps=50)


@pytest.mark.full
def test_many_sequences_of_operations(daemon):
    run(daemon, examples=300, steps=100)
