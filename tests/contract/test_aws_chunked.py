"""aws-chunked uploads in every variant, written by hand: what is right is stored, what is wrong is not.

AWS documents: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks", and the
same with trailing headers.
"""

from __future__ import annotations

import pytest

from contract.refusals import missing
from contract.wire import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER, checksum, wrong
from servers.raw import exchange

PIECES = [b"a" * 65536, b"b" * 65536, b"c" * 1000]
BODY = b"".join(PIECES)
ALGORITHMS = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"]
KINDS = {"signed": SIGNED_CHUNKS, "signed-trailer": SIGNED_CHUNKS_TRAILER, "unsigned-trailer": UNSIGNED_TRAILER}


def _trailers(payload, body=BODY, algorithm="crc32"):
    return [] if payload == SIGNED_CHUNKS else [(f"x-amz-checksum-{algorithm}", checksum(algorithm, body))]


def _stored(direct, bucket, key):
    return direct.get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.fixture
def checked(setup):
    """Only where somebody checks signatures."""
    if not setup.checks_signatures:
        pytest.skip("nobody checks signatures here")


# What is right.


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("pieces", [PIECES, [b"x"], [b"1" * 100] * 300], ids=["three", "byte", "many"])
def test_body_arrives_without_its_framing(wire, direct, bucket, key, kind, pieces):
    payload = KINDS[kind]
    trailers = _trailers(payload, b"".join(pieces))
    answer = wire.put_chunked(f"/{bucket}/{key}", pieces, payload=payload, trailers=trailers)
    assert answer.status == 200, answer.body
    assert _stored(direct, bucket, key) == b"".join(pieces)


@pytest.mark.parametrize("kind", list(KINDS))
def test_empty_body(wire, direct, bucket, key, kind):
    payload = KINDS[kind]
    answer = wire.put_chunked(f"/{bucket}/{key}", [], payload=payload, trailers=_trailers(payload, b""))
    assert answer.status == 200, answer.body
    assert _stored(direct, bucket, key) == b""


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("piece_bytes", [7, 1000])
def test_body_in_small_packets(wire, direct, bucket, key, kind, piece_bytes):
    payload, pieces = KINDS[kind], [b"q" * 500, b"r" * 301]
    trailers = _trailers(payload, b"".join(pieces))
    answer = wire.put_chunked(f"/{bucket}/{key}", pieces, payload=payload, trailers=trailers, piece_bytes=piece_bytes)
    assert answer.status == 200, answer.body
    assert _stored(direct, bucket, key) == b"".join(pieces)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("payload", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_every_checksum_may_stand_in_the_trailer(wire, direct, bucket, key, payload, algorithm):
    trailers = _trailers(payload, algorithm=algorithm)
    answer = wire.put_chunked(f"/{bucket}/{key}", PIECES, payload=payload, trailers=trailers)
    assert answer.status == 200, answer.body
    assert _stored(direct, bucket, key) == BODY


@pytest.mark.parametrize("payload", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_coding_of_the_request_is_not_the_objects(wire, direct, bucket, key, payload):
    wire.put_chunked(f"/{bucket}/{key}", PIECES, payload=payload, trailers=_trailers(payload))
    assert "aws-chunked" not in direct.head_object(Bucket=bucket, Key=key).get("ContentEncoding", "")


@pytest.mark.s3d
def test_coding_of_a_request_without_a_trailer_stays_here(wire, direct, bucket, key):
    wire.put_chunked(f"/{bucket}/{key}", PIECES, payload=SIGNED_CHUNKS)
    assert "aws-chunked" not in direct.head_object(Bucket=bucket, Key=key).get("ContentEncoding", "")


def test_trailer_goes_on_to_the_remote(recorded):
    recorded.wire.put_chunked(
        "/bucket/key", PIECES, payload=SIGNED_CHUNKS_TRAILER, trailers=_trailers(SIGNED_CHUNKS_TRAILER)
    )
    request = recorded.recorder.take()
    assert request.header("x-amz-content-sha256") == UNSIGNED_TRAILER
    assert request.header("x-amz-trailer") == "x-amz-checksum-crc32"
    assert request.header("x-amz-decoded-content-length") == str(len(BODY))
    assert request.body.endswith(f"\r\n0\r\nx-amz-checksum-crc32:{checksum('crc32', BODY)}\r\n\r\n".encode())
    assert int(request.header("content-length")) == len(request.body)


def test_body_without_a_trailer_goes_on_plain(recorded):
    recorded.wire.put_chunked("/bucket/key", PIECES, payload=SIGNED_CHUNKS)
    request = recorded.recorder.take()
    assert request.body == BODY
    assert request.header("content-encoding") is None
    assert request.header("x-amz-decoded-content-length") is None


def test_other_encodings_stay(recorded):
    recorded.wire.put_chunked(
        "/bucket/key", PIECES, payload=SIGNED_CHUNKS, headers=[("x-amz-meta-a", "1"), ("Content-Type", "x/y")]
    )
    request = recorded.recorder.take()
    assert (request.header("x-amz-meta-a"), request.header("content-type")) == ("1", "x/y")


def test_part_of_an_upload_may_be_chunked(wire, direct, bucket, key):
    upload = direct.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    answer = wire.put_chunked(
        f"/{bucket}/{key}?partNumber=1&uploadId={upload}",
        PIECES,
        payload=UNSIGNED_TRAILER,
        trailers=_trailers(UNSIGNED_TRAILER),
    )
    assert answer.status == 200, answer.body
    [part] = direct.list_parts(Bucket=bucket, Key=key, UploadId=upload)["Parts"]
    assert part["Size"] == len(BODY)


# What is wrong. Each is the error that S3 names, and no object.


def _refused(answer, status, code, direct, bucket, key):
    assert (answer.status, answer.error_code) == (status, code), answer.body
    assert missing(direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("chunk", [0, 1, 2, 3], ids=["first", "second", "last", "empty"])
@pytest.mark.parametrize("kind", ["signed", "signed-trailer"])
def test_bad_chunk_signature(checked, wire, direct, bucket, key, kind, chunk):
    payload = KINDS[kind]
    answer = wire.put_chunked(
        f"/{bucket}/{key}", PIECES, payload=payload, trailers=_trailers(payload), tamper_chunk=chunk
    )
    _refused(answer, 403, "SignatureDoesNotMatch", direct, bucket, key)


@pytest.mark.s3d
def test_bad_trailer_signature(checked, wire, direct, bucket, key):
    answer = wire.put_chunked(
        f"/{bucket}/{key}",
        PIECES,
        payload=SIGNED_CHUNKS_TRAILER,
        trailers=_trailers(SIGNED_CHUNKS_TRAILER),
        tamper_trailer=True,
    )
    _refused(answer, 403, "SignatureDoesNotMatch", direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("payload", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_bad_trailer_checksum(wire, direct, bucket, key, payload, algorithm):
    answer = wire.put_chunked(
        f"/{bucket}/{key}",
        PIECES,
        payload=payload,
        trailers=[(f"x-amz-checksum-{algorithm}", wrong(checksum(algorithm, BODY)))],
    )
    _refused(answer, 400, "BadDigest", direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
def test_bad_trailer_checksum_of_any_size_of_body(wire, direct, bucket, key, size):
    answer = wire.put_chunked(
        f"/{bucket}/{key}",
        [b"x" * size],
        payload=UNSIGNED_TRAILER,
        trailers=[("x-amz-checksum-crc32", wrong(checksum("crc32", b"x" * size)))],
    )
    _refused(answer, 400, "BadDigest", direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("payload", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_trailer_that_was_announced_and_is_missing(wire, direct, bucket, key, payload):
    answer = wire.put_chunked(f"/{bucket}/{key}", PIECES, payload=payload, announced=["x-amz-checksum-crc32"])
    assert answer.status == 400, answer.body
    assert missing(direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("value", ["", "AAAA", "not base64!", "AAAAAAAAAAA="])
def test_trailer_that_is_no_checksum(wire, direct, bucket, key, value):
    answer = wire.put_chunked(
        f"/{bucket}/{key}", PIECES, payload=UNSIGNED_TRAILER, trailers=[("x-amz-checksum-crc32", value)]
    )
    assert answer.status == 400, answer.body
    assert missing(direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("change", [-1, 1, 70000])
@pytest.mark.parametrize("kind", list(KINDS))
def test_decoded_length_that_is_not_the_bodys(wire, direct, bucket, key, kind, change):
    payload = KINDS[kind]
    answer = wire.put_chunked(
        f"/{bucket}/{key}",
        PIECES,
        payload=payload,
        trailers=_trailers(payload),
        decoded_length=len(BODY) + change,
    )
    _refused(answer, 400, "IncompleteBody", direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("cut_bytes", [1, 2, 4, 200])
def test_body_that_ends_too_early(wire, direct, bucket, key, kind, cut_bytes):
    payload = KINDS[kind]
    answer = wire.put_chunked(
        f"/{bucket}/{key}", PIECES, payload=payload, trailers=_trailers(payload), cut_bytes=cut_bytes
    )
    assert answer.status == 400, answer.body
    assert missing(direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize("kind", list(KINDS))
def test_no_decoded_length(wire, direct, bucket, key, kind):
    signed = wire.sign(
        "PUT",
        f"/{bucket}/{key}",
        [("Content-Encoding", "aws-chunked"), ("Content-Length", "5")],
        payload=KINDS[kind],
    )
    answer = exchange(wire.endpoint, signed.head + b"0\r\n\r\n", "PUT")
    _refused(answer, 411, "MissingContentLength", direct, bucket, key)


@pytest.mark.s3d
@pytest.mark.parametrize(
    "framing",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcX0\r\n\r\n!!",
    ],
    ids=["not-hex", "bare-lf", "negative", "huge", "no-crlf"],
)
def test_broken_framing(wire, direct, bucket, key, framing):
    signed = wire.sign(
        "PUT",
        f"/{bucket}/{key}",
        [
            ("Content-Encoding", "aws-chunked"),
            ("X-Amz-Decoded-Content-Length", "3"),
            ("Content-Length", str(len(framing))),
        ],
        payload=UNSIGNED_TRAILER,
    )
    answer = exchange(wire.endpoint, signed.head + framing, "PUT")
    assert answer.status == 400, answer.body
    assert answer.error_code in ("IncompleteBody", "InvalidRequest", "InvalidChunkSizeError", "MalformedTrailerError")
    assert missing(direct, bucket, key)
