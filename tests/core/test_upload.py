"""The upload stage: what comes out was verified, and nothing whole comes out of a bad body."""

from __future__ import annotations

import base64
import calendar
import hashlib
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.awschunked import ChunkedDecoder
from s3d._core.collect import Collector, Source, chain
from s3d._core.digest import Algorithm, digests
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer, SigningContext
from s3d._core.upload import Upload, plan_upload
from s3d._core.verify import Verifier

Pairs = list[tuple[bytes, bytes]]
EMPTY = hashlib.sha256().hexdigest().encode()
NO_LIMIT = 5 * 2**40
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CRC32 = b"x-amz-checksum-crc32"


def b64(digest: bytes) -> bytes:
    return base64.b64encode(digest)


def crc32_of(data: bytes) -> bytes:
    return b64(zlib.crc32(data).to_bytes(4, "big"))


class Sink:
    """Where the body ends up, and how."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self.body: bytes | None = None
        self.error: BaseException | None = None
        self.stage = Collector(limit, self.done)

    def done(self, body: bytes | None, error: BaseException | None) -> None:
        self.body, self.error = body, error


def request(headers: Pairs, content_length: int, method: bytes = b"PUT", target: bytes = b"/b/k") -> Request:
    return Request(method, target, [(b"host", b"h"), *headers], content_length=content_length)


def plan(headers: Pairs, body: bytes, method: bytes = b"PUT", target: bytes = b"/b/k") -> Upload:
    return plan_upload(request(headers, len(body), method, target), NO_LIMIT, None)


def run(upload: Upload, pieces: list[bytes]) -> Sink:
    source, sink = Source(), Sink()
    chain(source, upload, sink.stage)
    for piece in pieces:
        source.feed(piece)
    source.end()
    return sink


def split(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:stop] for start, stop in pairwise(edges)]


def refused_early(headers: Pairs, content_length: int, max_size: int = NO_LIMIT, target: bytes = b"/b/k") -> Fault:
    with pytest.raises(Fault) as caught:
        plan_upload(request(headers, content_length, target=target), max_size, None)
    return caught.value


def refused_late(upload: Upload, pieces: list[bytes]) -> tuple[FaultCode, int]:
    """The code of the refusal, and how many bytes had been passed on."""
    source, sink = Source(), Sink()
    chain(source, upload, sink.stage)
    with pytest.raises(Fault) as caught:
        for piece in pieces:
            source.feed(piece)
        source.end()
    assert sink.body is None
    assert sink.error is caught.value
    assert not upload.verified
    return caught.value.code, sink.stage.size


def chunked(data: bytes, trailer: bytes = b"", size: int = 7) -> bytes:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def chunked_headers(data: bytes, *more: tuple[bytes, bytes], trailer: bytes = CRC32) -> Pairs:
    headers = [
        (b"x-amz-content-sha256", UNSIGNED_TRAILER),
        (b"content-encoding", b"aws-chunked"),
        (b"x-amz-decoded-content-length", b"%d" % len(data)),
        *more,
    ]
    return [*headers, (b"x-amz-trailer", trailer)] if trailer else headers


# --- plain bodies ----------------------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=500), st.lists(st.integers(0, 500), max_size=6))
def test_a_plain_body_passes_in_any_split(body: bytes, cuts: list[int]) -> None:
    payload = hashlib.sha256(body).hexdigest().encode()
    upload = plan([(b"x-amz-content-sha256", payload)], body)
    assert run(upload, split(body, cuts)).body == body
    assert (upload.decoded_length, upload.forward_length, upload.payload_hash) == (len(body), len(body), payload)
    assert upload.verified
    assert upload.changes == []


def test_an_unsigned_plain_body_is_forwarded_unsigned() -> None:
    assert plan([], b"hello").payload_hash == b"UNSIGNED-PAYLOAD"
    assert plan([(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")], b"hello").payload_hash == b"UNSIGNED-PAYLOAD"


GOOD = b"the quick brown fox"
WRONG = b"the quick brown fix"
ALL_CHECKSUMS = {b"x-amz-checksum-" + algorithm.name.lower().encode(): algorithm for algorithm in Algorithm}


@pytest.mark.parametrize("name", ALL_CHECKSUMS)
def test_every_checksum_header_is_verified(name: bytes) -> None:
    algorithm = ALL_CHECKSUMS[name]
    headers = [(name, b64(digests(GOOD, [algorithm])[algorithm]))]
    assert run(plan(headers, GOOD), [GOOD]).body == GOOD
    assert refused_late(plan(headers, WRONG), [WRONG]) == (FaultCode.BAD_DIGEST, 0)


def test_a_wrong_content_md5_is_a_bad_digest() -> None:
    headers = [(b"content-md5", b64(hashlib.md5(GOOD).digest()))]
    assert run(plan(headers, GOOD), [GOOD]).body == GOOD
    assert refused_late(plan(headers, WRONG), [WRONG]) == (FaultCode.BAD_DIGEST, 0)


def test_a_wrong_payload_hash_is_a_mismatch() -> None:
    headers = [(b"x-amz-content-sha256", hashlib.sha256(GOOD).hexdigest().encode())]
    assert refused_late(plan(headers, WRONG), [WRONG]) == (FaultCode.CONTENT_SHA256_MISMATCH, 0)


def test_the_end_of_a_bad_plain_body_is_never_passed_on() -> None:
    headers = [(b"content-md5", b64(hashlib.md5(GOOD).digest()))]
    code, passed = refused_late(plan(headers, WRONG), [WRONG[:10], WRONG[10:]])
    assert (code, passed) == (FaultCode.BAD_DIGEST, 10)


def test_several_expectations_hold_at_once() -> None:
    headers = [
        (b"content-md5", b64(hashlib.md5(GOOD).digest())),
        (b"x-amz-content-sha256", hashlib.sha256(GOOD).hexdigest().encode()),
        (b"x-amz-sdk-checksum-algorithm", b"CRC32"),
        (CRC32, crc32_of(GOOD)),
    ]
    assert run(plan(headers, GOOD), [GOOD]).body == GOOD


def test_a_plain_body_that_ends_early_is_incomplete() -> None:
    assert refused_late(plan([], GOOD), [GOOD[:-1]]) == (FaultCode.INCOMPLETE_BODY, len(GOOD) - 1)


def test_a_body_framed_by_http_chunks_passes_by_its_decoded_length() -> None:
    upload = plan_upload(request([(b"x-amz-decoded-content-length", b"19")], -1), NO_LIMIT, None)
    assert upload.forward_length == 19
    assert upload.changes == [(b"x-amz-decoded-content-length", None)]
    assert run(upload, [GOOD[:5], GOOD[5:]]).body == GOOD


def test_the_end_of_a_body_framed_by_http_chunks_waits_for_the_end() -> None:
    upload = plan_upload(request([(b"x-amz-decoded-content-length", b"19")], -1), NO_LIMIT, None)
    assert refused_late(upload, [GOOD[:5], GOOD[5:], b"!"]) == (FaultCode.INCOMPLETE_BODY, 5)


# --- refused before the body -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"", b"abc", b"!!!!", b"AAAA", b64(b"x" * 17), b64(b"x" * 16)[:-2]])
def test_a_malformed_content_md5_is_an_invalid_digest(value: bytes) -> None:
    assert refused_early([(b"content-md5", value)], 5).code == FaultCode.INVALID_DIGEST


@pytest.mark.parametrize("name", ALL_CHECKSUMS)
@pytest.mark.parametrize("value", [b"", b"AAA", b"*" * 8, b64(b"x" * 99), b64(b"x" * 20) + b"-3"])
def test_a_malformed_checksum_is_an_invalid_request(name: bytes, value: bytes) -> None:
    fault = refused_early([(name, value)], 5)
    assert (fault.code, fault.detail) == (FaultCode.INVALID_REQUEST, f"Value for {name.decode()} header is invalid.")


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([(CRC32, b"AAAAAA=="), (b"x-amz-checksum-crc32c", b"AAAAAA==")], "Expecting a single x-amz-checksum- header"),
        ([(CRC32, b"AAAAAA=="), (CRC32, b"AAAAAA==")], "Expecting a single x-amz-checksum- header"),
        ([(CRC32, b"AAAAAA=="), (b"x-amz-sdk-checksum-algorithm", b"SHA1")], "x-amz-sdk-checksum-algorithm header is"),
        ([(b"x-amz-sdk-checksum-algorithm", b"CRC99")], "Value for x-amz-sdk-checksum-algorithm header is invalid."),
        ([(b"x-amz-sdk-checksum-algorithm", b"CRC32")], "no corresponding x-amz-checksum-*"),
        ([(b"x-amz-trailer", CRC32)], "x-amz-trailer needs a payload"),
        (chunked_headers(b"12345", trailer=b"x-amz-meta-a"), "value specified in the x-amz-trailer header"),
        (chunked_headers(b"12345", (CRC32, b"AAAAAA==")), "Expecting a single x-amz-checksum- header"),
        (chunked_headers(b"12345", trailer=CRC32 + b",x-amz-checksum-sha1"), "Expecting a single"),
        (chunked_headers(b"12345", (b"x-amz-sdk-checksum-algorithm", b"SHA256")), "checksum-algorithm header is inv"),
    ],
)
def test_headers_that_contradict_each_other_are_an_invalid_request(headers: Pairs, words: str) -> None:
    fault = refused_early(headers, 100)
    assert fault.code == FaultCode.INVALID_REQUEST
    assert words in fault.detail


def test_a_body_of_unknown_length_needs_a_decoded_length() -> None:
    assert refused_early([], -1).code == FaultCode.MISSING_CONTENT_LENGTH


def test_an_aws_chunked_body_needs_a_decoded_length() -> None:
    assert refused_early([(b"x-amz-content-sha256", UNSIGNED_TRAILER)], 50).code == FaultCode.MISSING_CONTENT_LENGTH


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1.5", b"ten", b"9" * 30, b"1 "])
def test_a_malformed_decoded_length_is_an_invalid_argument(value: bytes) -> None:
    headers = [(b"x-amz-content-sha256", UNSIGNED_TRAILER), (b"x-amz-decoded-content-length", value)]
    assert refused_early(headers, 50).code == FaultCode.INVALID_ARGUMENT


def test_two_decoded_lengths_are_an_invalid_argument() -> None:
    headers = chunked_headers(b"12345", (b"x-amz-decoded-content-length", b"5"))
    assert refused_early(headers, 50).code == FaultCode.INVALID_ARGUMENT


def test_a_decoded_length_that_cannot_fit_is_refused() -> None:
    assert refused_early(chunked_headers(b"x" * 100), 100).code == FaultCode.INCOMPLETE_BODY


def test_a_decoded_length_that_differs_from_a_plain_bodys_is_refused() -> None:
    assert refused_early([(b"x-amz-decoded-content-length", b"4")], 5).code == FaultCode.INVALID_ARGUMENT


def test_a_body_above_the_limit_is_too_large() -> None:
    assert plan_upload(request([], 10), 10, None).decoded_length == 10
    assert refused_early([], 11, max_size=10).code == FaultCode.ENTITY_TOO_LARGE
    assert refused_early(chunked_headers(b"x" * 11), 60, max_size=10).code == FaultCode.ENTITY_TOO_LARGE


@pytest.mark.parametrize("value", [b"", b"abc", b"E" * 64, b"STREAMING-SOMETHING", EMPTY[:-1]])
def test_a_malformed_payload_hash_is_an_invalid_argument(value: bytes) -> None:
    fault = refused_early([(b"x-amz-content-sha256", value)], 5)
    assert fault.code == FaultCode.INVALID_ARGUMENT
    assert fault.detail.startswith("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-")


@pytest.mark.parametrize("suffix", [b"", b"-TRAILER"])
def test_ecdsa_chunk_signatures_are_not_implemented(suffix: bytes) -> None:
    payload = b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" + suffix
    assert refused_early([(b"x-amz-content-sha256", payload)], 50).code == FaultCode.NOT_IMPLEMENTED


def test_the_checksum_of_a_multipart_upload_is_not_that_of_its_request_body() -> None:
    target = b"/b/k?uploadId=abc"
    headers = [(CRC32, crc32_of(b"the object")), (b"x-amz-checksum-type", b"FULL_OBJECT")]
    assert run(plan(headers, GOOD, b"POST", target), [GOOD]).body == GOOD
    assert refused_late(plan(headers, GOOD, b"PUT", target + b"&partNumber=1"), [GOOD])[0] == FaultCode.BAD_DIGEST


# --- bodies to keep --------------------------------------------------------------------------------------------------


def kept(headers: Pairs, body: bytes) -> Upload:
    return plan_upload(request(headers, len(body)), NO_LIMIT, None, keep=True)


@given(st.binary(max_size=300), st.lists(st.integers(0, 700), max_size=6))
def test_a_body_to_keep_comes_out_plain_in_any_split(data: bytes, cuts: list[int]) -> None:
    body = chunked(data, CRC32 + b":" + crc32_of(data) + b"\r\n")
    upload = kept(chunked_headers(data), body)
    assert run(upload, split(body, cuts)).body == data
    assert (upload.forward_length, upload.decoded_length) == (len(data), len(data))


@pytest.mark.parametrize("name", ALL_CHECKSUMS)
def test_the_checksum_of_a_trailer_is_known_once_verified(name: bytes) -> None:
    expected = digests(GOOD, [ALL_CHECKSUMS[name]])
    body = chunked(GOOD, name + b":" + b64(expected[ALL_CHECKSUMS[name]]) + b"\r\n")
    upload = kept(chunked_headers(GOOD, trailer=name), body)
    assert upload.checksums == {}
    assert run(upload, [body]).body == GOOD
    assert upload.checksums == expected


@pytest.mark.parametrize("name", ALL_CHECKSUMS)
def test_the_checksum_of_a_header_is_known_once_verified(name: bytes) -> None:
    expected = digests(GOOD, [ALL_CHECKSUMS[name]])
    upload = kept([(name, b64(expected[ALL_CHECKSUMS[name]]))], GOOD)
    assert run(upload, [GOOD]).body == GOOD
    assert upload.checksums == expected


@pytest.mark.parametrize("headers", [[], [(b"content-md5", b64(hashlib.md5(b"a good body to keep").digest()))]])
def test_a_body_to_keep_without_a_checksum_gets_one(headers: Pairs) -> None:
    data = b"a good body to keep"
    upload = kept(headers, data)
    assert run(upload, [data]).body == data
    assert upload.checksums == digests(data, [Algorithm.CRC64NVME])


def test_an_empty_body_to_keep_gets_a_checksum_at_once() -> None:
    assert kept([], b"").checksums == {Algorithm.CRC64NVME: bytes(8)}


def test_a_body_to_forward_gets_no_checksum_of_ours() -> None:
    upload = plan([], GOOD)
    run(upload, [GOOD])
    assert upload.checksums == {}


def test_the_end_of_a_bad_body_to_keep_is_never_passed_on() -> None:
    body = chunked(WRONG, CRC32 + b":" + crc32_of(GOOD) + b"\r\n")
    assert refused_late(kept(chunked_headers(GOOD), body), [body])[0] == FaultCode.BAD_DIGEST


# --- empty bodies ----------------------------------------------------------------------------------------------------


def test_an_empty_body_is_verified_at_once() -> None:
    upload = plan([(b"x-amz-content-sha256", EMPTY), (CRC32, crc32_of(b""))], b"")
    assert upload.verified
    assert (upload.decoded_length, upload.forward_length, upload.payload_hash) == (0, 0, EMPTY)


def test_an_empty_body_that_should_not_be_is_refused_at_once() -> None:
    not_empty = hashlib.sha256(b"x").hexdigest().encode()
    assert refused_early([(b"x-amz-content-sha256", not_empty)], 0).code == FaultCode.CONTENT_SHA256_MISMATCH
    assert refused_early([(b"content-md5", b64(hashlib.md5(b"x").digest()))], 0).code == FaultCode.BAD_DIGEST
    assert refused_early([(CRC32, crc32_of(b"x"))], 0).code == FaultCode.BAD_DIGEST


def test_an_aws_chunked_request_without_any_body_is_incomplete() -> None:
    assert refused_early(chunked_headers(b""), 0).code == FaultCode.INCOMPLETE_BODY


def test_an_empty_aws_chunked_body_keeps_its_trailer() -> None:
    body = chunked(b"", CRC32 + b":" + crc32_of(b"") + b"\r\n")
    upload = plan(chunked_headers(b""), body)
    out = run(upload, [body]).body
    assert out == body
    assert len(body) == upload.forward_length


# --- aws-chunked -----------------------------------------------------------------------------------------------------


@given(
    st.one_of(st.binary(max_size=100), st.integers(16000, 40000).map(bytes)),
    st.lists(st.integers(0, 50000), max_size=6),
    st.sampled_from([7, 5000, 100000]),
)
def test_a_body_with_a_trailer_is_framed_anew_in_any_split(data: bytes, cuts: list[int], size: int) -> None:
    trailer = CRC32 + b":" + crc32_of(data) + b"\r\n"
    body = chunked(data, trailer, size)
    upload = plan(chunked_headers(data), body)
    out = run(upload, split(body, cuts)).body
    assert out == chunked(data, trailer, 1 << 20)
    assert upload.forward_length == len(out)
    assert (upload.payload_hash, upload.decoded_length) == (UNSIGNED_TRAILER, len(data))


def test_a_large_body_is_framed_in_chunks_of_one_mebibyte() -> None:
    data = bytes(range(256)) * 10000
    trailer = CRC32 + b":" + crc32_of(data) + b"\r\n"
    body = chunked(data, trailer, 65536)
    upload = plan(chunked_headers(data), body)
    out = run(upload, [body[start : start + 100000] for start in range(0, len(body), 100000)]).body
    assert out == chunked(data, trailer, 1 << 20)
    assert out.startswith(b"100000\r\n")
    assert upload.forward_length == len(out)


def test_the_forwarded_head_of_a_body_with_a_trailer_says_so() -> None:
    body = chunked(GOOD, CRC32 + b":" + crc32_of(GOOD) + b"\r\n")
    headers = [*chunked_headers(GOOD)[:1], *chunked_headers(GOOD)[2:], (b"content-encoding", b"aws-chunked, gzip")]
    assert plan(headers, body).changes == [
        (b"content-encoding", b"aws-chunked,gzip"),
        (b"x-amz-decoded-content-length", b"19"),
        (b"x-amz-trailer", CRC32),
    ]


@pytest.mark.parametrize(
    ("encoding", "left"), [(b"aws-chunked", None), (b"aws-chunked,gzip", b"gzip"), (b"gzip, AWS-Chunked", b"gzip")]
)
def test_a_body_without_trailer_goes_on_plain(encoding: bytes, left: bytes | None) -> None:
    body = chunked(GOOD)
    headers = [
        (b"x-amz-content-sha256", UNSIGNED_TRAILER),
        (b"content-encoding", encoding),
        (b"x-amz-decoded-content-length", b"19"),
    ]
    upload = plan(headers, body)
    assert run(upload, [body]).body == GOOD
    assert (upload.forward_length, upload.payload_hash) == (19, b"UNSIGNED-PAYLOAD")
    assert upload.changes == [(b"content-encoding", left), (b"x-amz-decoded-content-length", None)]


def test_an_anonymous_or_presigned_request_names_the_framing_in_content_encoding() -> None:
    body = chunked(GOOD, CRC32 + b":" + crc32_of(GOOD) + b"\r\n")
    upload = plan(chunked_headers(GOOD)[1:], body)
    assert run(upload, [body]).body == chunked(GOOD, CRC32 + b":" + crc32_of(GOOD) + b"\r\n", 1 << 20)


@pytest.mark.parametrize("name", ALL_CHECKSUMS)
def test_every_trailer_checksum_is_verified_and_forwarded(name: bytes) -> None:
    algorithm = ALL_CHECKSUMS[name]
    trailer = name + b":" + b64(digests(GOOD, [algorithm])[algorithm]) + b"\r\n"
    upload = plan(chunked_headers(GOOD, trailer=name), chunked(GOOD, trailer))
    out = run(upload, [chunked(GOOD, trailer)]).body
    assert out == chunked(GOOD, trailer, 1 << 20)
    assert upload.forward_length == len(out)
    bad = chunked(WRONG, trailer)
    passed = len(b"13\r\n") + 14  # two of three chunks
    assert refused_late(plan(chunked_headers(GOOD, trailer=name), bad), [bad]) == (FaultCode.BAD_DIGEST, passed)


@pytest.mark.parametrize("value", [b"", b"AAA", b"!!!!!!!!"])
def test_a_malformed_trailer_value_is_an_invalid_request(value: bytes) -> None:
    body = chunked(GOOD, CRC32 + b":" + value + b"\r\n")
    assert refused_late(plan(chunked_headers(GOOD), body), [body])[0] == FaultCode.INVALID_REQUEST


@given(st.lists(st.integers(0, 400), max_size=6))
def test_the_end_of_a_bad_aws_chunked_body_is_held_back_in_any_split(cuts: list[int]) -> None:
    data = bytes(200)
    body = chunked(data, CRC32 + b":AAAAAA==\r\n", 64)
    upload = plan(chunked_headers(data), body)
    code, passed = refused_late(upload, split(body, cuts))
    assert code == FaultCode.BAD_DIGEST
    assert passed < len(b"c8\r\n") + len(data)


def test_what_is_held_back_is_bounded() -> None:
    data = bytes(100_000)
    body = chunked(data, CRC32 + b":AAAAAA==\r\n", 1 << 20)
    at = body.index(b"\r\n0\r\n")
    code, passed = refused_late(plan(chunked_headers(data), body), [body[:at], body[at:]])
    assert (code, passed) == (FaultCode.BAD_DIGEST, len(b"186a0\r\n") + 100_000 - 16384)


@pytest.mark.parametrize("surplus", [b"x", b"\r\n\r\n", b"\r\nx"])
def test_bytes_after_the_end_are_refused_before_the_end_is_passed_on(surplus: bytes) -> None:
    body = chunked(GOOD, CRC32 + b":" + crc32_of(GOOD) + b"\r\n") + surplus
    for pieces in ([body], [body[:-1], body[-1:]], [body[: -len(surplus)], surplus]):
        code, passed = refused_late(plan(chunked_headers(GOOD), body), pieces)
        assert code == FaultCode.INVALID_REQUEST
        assert passed < len(b"13\r\n") + len(GOOD)


def test_a_body_that_breaks_off_is_incomplete() -> None:
    body = chunked(GOOD, CRC32 + b":" + crc32_of(GOOD) + b"\r\n")
    assert refused_late(plan(chunked_headers(GOOD), body), [body[:-2]])[0] == FaultCode.INCOMPLETE_BODY


# --- signed chunks ---------------------------------------------------------------------------------------------------

CREDENTIALS = Credentials(b"AKID", b"secret")
NOW_S = calendar.timegm((2026, 3, 14, 15, 9, 26))
SIGNED = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def signed_upload(data: bytes, shown: bytes | None = None) -> tuple[Upload, bytes]:
    """The stage for a signed aws-chunked body of ``data``, and that body with ``shown`` in place of ``data``."""
    headers = [
        (b"host", b"h"),
        (b"content-encoding", b"aws-chunked"),
        (b"x-amz-decoded-content-length", b"%d" % len(data)),
    ]
    own = Signer(CREDENTIALS, b"us-east-1").sign(b"PUT", b"/b/k", b"", headers, SIGNED, NOW_S)
    context = Verifier([CREDENTIALS]).verify(Request(b"PUT", b"/b/k", headers + own), NOW_S)
    assert context is not None
    body = signed_chunks(context, data).replace(data, shown or data)
    upload = plan_upload(Request(b"PUT", b"/b/k", headers + own, content_length=len(body)), NO_LIMIT, context)
    return upload, body


def signed_chunks(context: SigningContext, data: bytes) -> bytes:
    key, previous, out = CREDENTIALS.signing_key(context.scope), context.signature, b""
    for chunk in (data, b""):
        digest = hashlib.sha256(chunk).hexdigest().encode()
        text = [b"AWS4-HMAC-SHA256-PAYLOAD", context.timestamp, context.scope, previous, EMPTY, digest]
        previous = key.signature(b"\n".join(text))
        out += b"%x;chunk-signature=%b\r\n%b\r\n" % (len(chunk), previous, chunk)
    return out


def test_a_body_of_signed_chunks_goes_on_plain() -> None:
    upload, body = signed_upload(GOOD)
    assert run(upload, [body]).body == GOOD
    assert upload.changes == [(b"content-encoding", None), (b"x-amz-decoded-content-length", None)]
    assert upload.payload_hash == b"UNSIGNED-PAYLOAD"


@given(st.lists(st.integers(0, 400), max_size=6))
def test_no_body_with_a_wrong_chunk_becomes_whole(cuts: list[int]) -> None:
    upload, body = signed_upload(GOOD, WRONG)
    code, passed = refused_late(upload, split(body, cuts))
    assert code == FaultCode.SIGNATURE_DOES_NOT_MATCH
    assert passed < len(GOOD)


# --- the chain -------------------------------------------------------------------------------------------------------


def test_a_cancelled_body_stops_the_source() -> None:
    source, sink = Source(), Sink()
    chain(source, plan([], GOOD), sink.stage)
    source.feed(GOOD[:4])
    gone = ConnectionResetError("gone")
    sink.stage.abandon(gone)
    source.feed(GOOD[4:])
    source.end()
    assert (source.cancelled, sink.body, sink.stage.size) == (gone, None, 4)


def test_a_failed_body_reaches_the_sink() -> None:
    source, sink = Source(), Sink()
    chain(source, plan([], GOOD), sink.stage)
    lost = ConnectionResetError("lost")
    source.feed(GOOD[:4])
    source.abort(lost)
    assert sink.error is lost


def test_a_collector_refuses_more_than_its_limit() -> None:
    source, sink = Source(), Sink(limit=10)
    chain(source, sink.stage)
    source.feed(b"0123456789")
    with pytest.raises(Fault) as caught:
        source.feed(b"x")
    assert caught.value.code == FaultCode.MAX_MESSAGE_LENGTH_EXCEEDED
    assert sink.error is caught.value


def test_the_decoder_alone_reads_what_the_stage_wrote() -> None:
    trailer = CRC32 + b":" + crc32_of(GOOD) + b"\r\n"
    body = chunked(GOOD, trailer)
    out = run(plan(chunked_headers(GOOD), body), [body]).body
    assert out is not None
    again = ChunkedDecoder(len(GOOD), trailer_names=[CRC32])
    assert again.decode(out) == GOOD
    again.close()


def test_a_body_to_keep_is_not_taken_with_a_checksum_that_nobody_knows() -> None:
    with pytest.raises(Fault) as caught:
        plan_upload(request([(b"x-amz-checksum-foo", b"AAAA")], 1), NO_LIMIT, None, keep=True)
    assert caught.value.code == FaultCode.INVALID_REQUEST


def test_a_checksum_that_only_the_remote_may_know_passes() -> None:
    out = run(plan([(b"x-amz-checksum-foo", b"AAAA")], GOOD), [GOOD])
    assert out.body == GOOD


@pytest.mark.parametrize("name", [b"x-amz-checksum-algorithm", b"x-amz-checksum-type", b"x-amz-checksum-mode"])
def test_what_speaks_about_a_checksum_is_none(name: bytes) -> None:
    plan_upload(request([(name, b"x")], 1), NO_LIMIT, None, keep=True)
