"""Clients that change objects one request after another until they are done or the server is gone.

Requests are unsigned and plain: the server is an s3d that lets everybody in. Each client has keys of its own, so that
it knows what each of them must hold.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from crash.ledger import Ledger, Operation, State, Stored, View, content

BUCKET = "crash"
INLINE_BYTES = 16 << 10
PART_BYTES = 5 << 20
"""S3's least size of a part that is not the last."""
_SIZES = (0, 1, 700, 4096, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, 40_000, 200_000)
_GONE = (OSError, http.client.HTTPException)


class Refused(AssertionError):
    """The server answered, and not with what the operation deserves."""


class Client:
    """One connection with a memory of what its keys hold."""

    def __init__(self, port: int, name: str, ledger: Ledger, seed: int, *, large: bool = False) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._ledger = ledger
        self._random = random.Random(f"{name} {seed}")
        self._keys = [f"{name}/{number}" for number in range(6)]
        self._holds: dict[str, State] = dict.fromkeys(self._keys)
        self._large = large

    def close(self) -> None:
        self._connection.close()

    def run(self, count: int) -> None:
        """That many operations. Raises OSError or HTTPException when the server is gone, Refused on a wrong answer."""
        actions: list[Callable[[], None]] = [self.put] * 7 + [self.delete, self.delete_many, self.copy, self.tag]
        actions += [self.multipart]
        for _ in range(count):
            self._random.choice(actions)()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request and its whole answer; Refused unless it says 2xx."""
        self._connection.request(method, path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        data = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}: {answer.status} {data[:500]!r}")
        return answer, data

    def _change(
        self, what: str, changes: dict[str, State], method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> None:
        operation = self._ledger.begin(what, changes)
        answer, data = self.ask(method, path, body, headers)
        # CopyObject and CompleteMultipartUpload may fail after their 200.
        if b"<Error>" in data:
            raise Refused(f"{method} {path}: {data[:500]!r}")
        self._ledger.acknowledge(operation, answer.headers["x-amz-request-id"])
        self._holds.update(changes)

    def put(self) -> None:
        key, size = self._random.choice(self._keys), self._random.choice(_SIZES)
        body, stored = self._new(size)
        headers = {"x-amz-meta-note": stored.note, "content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        self._change("put", {key: stored}, "PUT", path_of(key), body, headers)

    def delete(self) -> None:
        key = self._random.choice(self._keys)
        self._change("delete", {key: None}, "DELETE", path_of(key), b"", {})

    def delete_many(self) -> None:
        keys = self._random.sample(self._keys, 3)
        objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
        body = f"<Delete>{objects}</Delete>".encode()
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        self._change("delete many", dict.fromkeys(keys), "POST", f"/{BUCKET}?delete", body, headers)

    def copy(self) -> None:
        present = [key for key, state in self._holds.items() if state is not None]
        if not present:
            return self.put()
        source, target = self._random.choice(present), self._random.choice(self._keys)
        if source == target:
            return self.put()
        old = self._holds[source]
        assert old is not None
        # A copy has no parts, and so the ETag of its bytes.
        new = replace(old, etag=hashlib.md5(old.body).hexdigest())
        headers = {"x-amz-copy-source": path_of(source)}
        return self._change("copy", {target: new}, "PUT", path_of(target), b"", headers)

    def tag(self) -> None:
        present = [key for key, state in self._holds.items() if state is not None]
        if not present:
            return self.put()
        key = self._random.choice(present)
        stored = self._holds[key]
        assert stored is not None
        value = str(self._random.randrange(10**9))
        tagged = Stored(stored.seed, stored.size_bytes, stored.etag, stored.note, f"value={value}")
        tags = f"<TagSet><Tag><Key>value</Key><Value>{value}</Value></Tag></TagSet>"
        body = f"<Tagging>{tags}</Tagging>".encode()
        headers = {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        return self._change("tag", {key: tagged}, "PUT", f"{path_of(key)}?tagging", body, headers)

    def multipart(self) -> None:
        key = self._random.choice(self._keys)
        sizes = (
            [PART_BYTES, 30_000] if self._large and self._random.random() < 0.2 else [self._random.choice(_SIZES[1:])]
        )
        body, single = self._new(sum(sizes))
        _, data = self.ask("POST", f"{path_of(key)}?uploads", headers={"x-amz-meta-note": single.note})
        [upload_id] = re.findall(r"<UploadId>(.+)</UploadId>", data.decode())
        digests, start = [], 0
        for number, size in enumerate(sizes, 1):
            query = urlencode({"partNumber": number, "uploadId": upload_id})
            self.ask("PUT", f"{path_of(key)}?{query}", body[start : start + size])
            digests.append(hashlib.md5(body[start : start + size]).digest())
            start += size
        etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{digest.hex()}</ETag></Part>"
            for number, digest in enumerate(digests, 1)
        )
        stored = Stored(single.seed, single.size_bytes, etag, single.note)
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._change("complete", {key: stored}, "POST", f"{path_of(key)}?uploadId={upload_id}", document, {})

    def _new(self, size: int) -> tuple[bytes, Stored]:
        seed = self._random.randrange(1 << 60)
        body = content(seed, size)
        return body, Stored(seed, size, hashlib.md5(body).hexdigest(), f"note-{seed}")


def path_of(key: str) -> str:
    return f"/{BUCKET}/{quote(key)}"


def make_bucket(port: int) -> None:
    """Makes the bucket, if it is not there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("PUT", f"/{BUCKET}")
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200 and b"BucketAlreadyOwnedByYou" not in data:
            raise Refused(f"{answer.status} {data!r}")
    finally:
        connection.close()


def run_clients(port: int, ledger: Ledger, *, clients: int, count: int, seed: int, large: bool = False) -> bool:
    """That many clients at once, each with that many operations; False if the server went away under them.

    Names of clients and so their keys depend on the seed: a second run with another seed has keys of its own.
    """
    refusals: list[BaseException] = []
    gone = threading.Event()

    def one(name: str) -> None:
        client = Client(port, name, ledger, seed, large=large)
        try:
            client.run(count)
        except Refused as error:
            refusals.append(error)
        except _GONE:
            gone.set()
        finally:
            client.close()

    try:
        make_bucket(port)
    except _GONE:
        return False
    threads = [threading.Thread(target=one, args=(f"client-{seed}-{number}",)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What a dying server says in its last moment counts as a refusal too, and is none that it could help.
    if refusals and not gone.is_set():
        raise refusals[0]
    return not gone.is_set()


# What is there afterwards.


def faults(port: int, view: View) -> list[str]:
    """What the server holds and may not, or should and does not; [] if all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        found = _listed(connection)
        if found is None:
            return ["the bucket is gone"] if view.acknowledged else []
        problems = []
        allowed = view.allowed()
        problems += [f"{key} is listed and was never written" for key in found.keys() - allowed.keys()]
        for key, states in allowed.items():
            problem = _wrong(connection, key, states, found.get(key))
            if problem:
                problems.append(f"{key}: {problem}")
        return problems
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, answer.read()


def _listed(connection: http.client.HTTPConnection) -> dict[str, tuple[int, str]] | None:
    """Size and ETag of every key in the bucket; None if there is no bucket."""
    found: dict[str, tuple[int, str]] = {}
    after = ""
    while True:
        query = urlencode({"list-type": "2", "start-after": after, "max-keys": "100"})
        answer, data = _ask(connection, f"/{BUCKET}?{query}")
        if answer.status == 404 and b"NoSuchBucket" in data:
            return None
        assert answer.status == 200, data
        text = data.decode()
        entries = re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL)
        for entry in entries:
            [key], [size] = re.findall("<Key>(.*?)</Key>", entry), re.findall(r"<Size>(\d+)</Size>", entry)
            [etag] = re.findall("<ETag>(.*?)</ETag>", entry)
            found[key] = int(size), etag.replace("&quot;", "").replace("&#34;", "").strip('"')
        if "<IsTruncated>true" not in text:
            return found
        after = max(found)


def _wrong(
    connection: http.client.HTTPConnection, key: str, states: list[State], listed: tuple[int, str] | None
) -> str | None:
    answer, data = _ask(connection, path_of(key))
    if answer.status == 404:
        if None not in states:
            return f"is gone, acknowledged was {states[0]}"
        return f"is listed as {listed} and answers 404" if listed else None
    if answer.status != 200:
        return f"answers {answer.status} {data[:300]!r}; allowed are {states}"
    etag, note = answer.headers["ETag"].strip('"'), answer.headers.get("x-amz-meta-note")
    tags = ""
    if int(answer.headers.get("x-amz-tagging-count", "0")):
        _, document = _ask(connection, f"{path_of(key)}?tagging")
        tags = "&".join(f"{k}={v}" for k, v in re.findall("<Key>(.*?)</Key><Value>(.*?)</Value>", document.decode()))
    matching = [s for s in states if s is not None and (s.etag, s.note, s.tags) == (etag, note, tags)]
    if not matching:
        return f"is {etag} {note} {tags!r} of {len(data)} bytes; allowed are {states}"
    if data != matching[0].body:
        return f"has the ETag of {matching[0]} and other bytes: {len(data)} of them"
    if listed != (len(data), etag):
        return f"is {len(data)} bytes, {etag} and is listed as {listed}"
    return None


def acknowledged(ledger: Ledger) -> list[Operation]:
    return [one for one in ledger.operations if one.request_id]


def delete_everything(port: int) -> None:
    """Every object and every upload."""
    client = Client(port, "cleaner", Ledger(), 0)
    try:
        for key in _listed(client._connection) or {}:
            client.ask("DELETE", path_of(key))
        _, data = client.ask("GET", f"/{BUCKET}?uploads")
        for upload in re.findall("<Upload>(.*?)</Upload>", data.decode(), re.DOTALL):
            [key], [upload_id] = (
                re.findall("<Key>(.*?)</Key>", upload),
                re.findall("<UploadId>(.*?)</UploadId>", upload),
            )
            client.ask("DELETE", f"{path_of(key)}?uploadId={upload_id}")
    finally:
        client.close()


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
