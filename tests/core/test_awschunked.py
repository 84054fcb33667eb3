"""The aws-chunked decoder: all variants, any split, and nothing bad let through."""

from __future__ import annotations

import calendar
import hashlib
import hmac
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d._core.awschunked import ChunkedDecoder, Framer
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer, SigningContext
from s3d._core.verify import Verifier

CREDENTIALS = Credentials(b"AKID", b"secret")
NOW_S = calendar.timegm((2026, 3, 14, 15, 9, 26))
SCOPE = b"20260314/us-east-1/s3/aws4_request"
CRC32 = b"x-amz-checksum-crc32"


def context() -> SigningContext:
    """A verified request whose signature starts a chain."""
    headers = [(b"host", b"h")]
    own = Signer(CREDENTIALS, b"us-east-1").sign(b"PUT", b"/b/k", b"", headers, b"STREAMING", NOW_S)
    verified = Verifier([CREDENTIALS]).verify(Request(b"PUT", b"/b/k", headers + own), NOW_S)
    assert verified is not None
    return verified


CONTEXT = context()
TIME = CONTEXT.timestamp


def sign(text: bytes) -> bytes:
    """By hmac, independent of the code under test."""
    key = b"AWS4secret"
    for part in SCOPE.split(b"/"):
        key = hmac.digest(key, part, "sha256")
    return hmac.digest(key, text, "sha256").hex().encode()


def signed_body(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    """``chunks`` framed and signed; with ``trailer`` (lines ending in LF) also that."""
    previous, out = CONTEXT.signature, b""
    empty = hashlib.sha256().hexdigest().encode()
    for chunk in [*chunks, b""]:
        digest = hashlib.sha256(chunk).hexdigest().encode()
        previous = sign(b"\n".join([b"AWS4-HMAC-SHA256-PAYLOAD", TIME, SCOPE, previous, empty, digest]))
        out += b"%x;chunk-signature=%b\r\n%b" % (len(chunk), previous, chunk + b"\r\n" if chunk else b"")
    if trailer:
        digest = hashlib.sha256(trailer).hexdigest().encode()
        signature = sign(b"\n".join([b"AWS4-HMAC-SHA256-TRAILER", TIME, SCOPE, previous, digest]))
        out += trailer.replace(b"\n", b"\r\n") + b"x-amz-trailer-signature:%b\r\n" % signature
    return out + b"\r\n"


def unsigned_body(chunks: list[bytes], trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def signed_decoder(size: int) -> ChunkedDecoder:
    return ChunkedDecoder(size, signed_chunks=True, context=CONTEXT)


def signed_trailer_decoder(size: int) -> ChunkedDecoder:
    return ChunkedDecoder(size, signed_chunks=True, signed_trailer=True, trailer_names=[CRC32], context=CONTEXT)


def unsigned_decoder(size: int) -> ChunkedDecoder:
    return ChunkedDecoder(size, trailer_names=[CRC32])


def decode(decoder: ChunkedDecoder, body: bytes, cuts: list[int] | None = None) -> bytes:
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts or [])})
    out = b"".join(decoder.decode(body[start:stop]) for start, stop in pairwise(edges))
    decoder.close()
    return out


def code_of(decoder: ChunkedDecoder, body: bytes) -> FaultCode:
    with pytest.raises(Fault) as caught:
        decode(decoder, body)
    return caught.value.code


TRAILER = CRC32 + b":y/Q5Jg==\r\n"
SIGNED_TRAILER = CRC32 + b":y/Q5Jg==\n"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.lists(st.integers(0, 3000), max_size=8))
def test_signed_chunks_decode_in_any_split(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(chunks)
    assert decode(signed_decoder(len(data)), signed_body(chunks), cuts) == data


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.lists(st.integers(0, 3000), max_size=8))
def test_signed_chunks_with_a_trailer_decode_in_any_split(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(chunks)
    decoder = signed_trailer_decoder(len(data))
    assert decode(decoder, signed_body(chunks, SIGNED_TRAILER), cuts) == data
    assert decoder.trailers == [(CRC32, b"y/Q5Jg==")]


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.lists(st.integers(0, 3000), max_size=8))
def test_unsigned_chunks_decode_in_any_split(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(chunks)
    decoder = unsigned_decoder(len(data))
    assert decode(decoder, unsigned_body(chunks, TRAILER), cuts) == data
    assert decoder.trailers == [(CRC32, b"y/Q5Jg==")]


def test_byte_by_byte_is_a_split_like_any_other() -> None:
    body = signed_body([b"hello", b"world"], SIGNED_TRAILER)
    assert decode(signed_trailer_decoder(10), body, list(range(len(body)))) == b"helloworld"


@settings(max_examples=300)
@given(st.data())
def test_no_flipped_bit_of_a_signed_body_yields_the_whole_body(data: st.DataObject) -> None:
    body = bytearray(signed_body([b"first chunk", b"second"], SIGNED_TRAILER))
    at = data.draw(st.integers(0, len(body) * 8 - 1))
    body[at // 8] ^= 1 << at % 8
    try:
        decoded = decode(signed_trailer_decoder(17), bytes(body))
    except Fault:
        return
    # The case of a hexadecimal size or of a trailer's name is no part of the content, nor is white space at line ends.
    assert decoded == b"first chunksecond"
    assert bytes(body).lower().split() == signed_body([b"first chunk", b"second"], SIGNED_TRAILER).lower().split()


def test_every_flipped_bit_of_data_and_signatures_is_refused() -> None:
    body = signed_body([b"first chunk", b"second"])
    for at in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[at // 8] ^= 1 << at % 8
        if bytes(flipped).lower() == body.lower() and body[at // 8 : at // 8 + 1] == b"b" and at // 8 < 2:
            continue  # "b" and "B" are the same size of the first chunk
        with pytest.raises(Fault):
            decode(signed_decoder(17), bytes(flipped))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_but_faults(body: bytes) -> None:
    for decoder in (signed_trailer_decoder(100), unsigned_decoder(100), signed_decoder(0)):
        try:
            decode(decoder, body)
        except Fault:
            continue


def test_the_last_byte_of_a_chunk_waits_for_its_signature() -> None:
    body = signed_body([b"abcdef"]).replace(b"abcdef", b"abcdeX")
    start = body.index(b"abcdeX")
    decoder = signed_decoder(6)
    assert decoder.decode(body[: start + 5]) == b"abcde"
    with pytest.raises(Fault) as caught:
        decoder.decode(body[start + 5 :])
    assert caught.value.code == FaultCode.SIGNATURE_DOES_NOT_MATCH


def test_chunks_in_another_order_are_refused() -> None:
    body = signed_body([b"11111", b"22222"])
    head = body.index(b"\r\n") + 2 + 5 + 2
    swapped = body[head : 2 * head] + body[:head] + body[2 * head :]
    assert code_of(signed_decoder(10), swapped) == FaultCode.SIGNATURE_DOES_NOT_MATCH


def test_a_body_cut_before_its_last_chunk_is_incomplete() -> None:
    body = signed_body([b"11111", b"22222"])
    assert code_of(signed_decoder(10), body[: body.index(b"0;chunk")]) == FaultCode.INCOMPLETE_BODY


def test_dropping_a_chunk_is_noticed_by_the_length() -> None:
    body = signed_body([b"11111"])
    assert code_of(signed_decoder(10), body) == FaultCode.INCOMPLETE_BODY


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_body_without_its_end_is_incomplete(cut: int) -> None:
    body = unsigned_body([b"hello"], TRAILER)
    decoder = unsigned_decoder(5)
    decoder.decode(body[:-cut])
    with pytest.raises(Fault) as caught:
        decoder.close()
    assert caught.value.code == FaultCode.INCOMPLETE_BODY


def test_chunk_signatures_are_read_over_without_a_context() -> None:
    body = signed_body([b"hello"]).replace(b"hello", b"jello")
    assert decode(ChunkedDecoder(5, signed_chunks=True), body) == b"jello"


def test_a_chunk_without_signature_is_refused_where_one_must_be() -> None:
    assert code_of(signed_decoder(5), unsigned_body([b"hello"])) == FaultCode.INVALID_REQUEST


def test_a_trailer_without_signature_is_refused_where_one_must_be() -> None:
    body = signed_body([b"hello"], SIGNED_TRAILER)
    body = body[: body.index(b"x-amz-trailer-signature")] + b"\r\n\r\n"
    assert code_of(signed_trailer_decoder(5), body) == FaultCode.MALFORMED_TRAILER


def test_a_changed_trailer_is_refused() -> None:
    body = signed_body([b"hello"], SIGNED_TRAILER).replace(b"y/Q5Jg==", b"z/Q5Jg==")
    assert code_of(signed_trailer_decoder(5), body) == FaultCode.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize(
    "end",
    [
        b"0\r\n" + CRC32 + b":y/Q5Jg==\n\r\n",  # bare LF after the trailer's line
        b"0\r\n" + CRC32 + b":y/Q5Jg==\n\r\n\r\n",  # minio-go: one CRLF too many
        b"0\r\nX-Amz-Checksum-CRC32: y/Q5Jg== \r\n\r\n",
        b"000\r\n" + TRAILER + b"\r\n",
        b"0;extension=1\r\n" + TRAILER + b"\r\n",
    ],
)
def test_what_clients_write_at_the_end_is_understood(end: bytes) -> None:
    decoder = unsigned_decoder(5)
    assert decode(decoder, b"5\r\nhello\r\n" + end) == b"hello"
    assert decoder.trailers == [(CRC32, b"y/Q5Jg==")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"5\nhello\r\n0\r\n", FaultCode.INVALID_REQUEST),
        (b"\r\n", FaultCode.INVALID_REQUEST),
        (b"g\r\n", FaultCode.INVALID_REQUEST),
        (b" 5\r\nhello", FaultCode.INVALID_REQUEST),
        (b"5 \r\nhello", FaultCode.INVALID_REQUEST),
        (b"-5\r\nhello", FaultCode.INVALID_REQUEST),
        (b"0x5\r\nhello", FaultCode.INVALID_REQUEST),
        (b"5\r\nhelloX\r\n", FaultCode.INVALID_REQUEST),
        (b"5\r\nhello\n0\r\n", FaultCode.INVALID_REQUEST),
        (b"5;" + b"x" * 2000, FaultCode.INVALID_REQUEST),
        (b"0" * 40 + b"5\r\nhello\r\n", FaultCode.INVALID_REQUEST),
        (b"6\r\nhello!\r\n0\r\n", FaultCode.INCOMPLETE_BODY),
        (b"ffffffffffffffff\r\n", FaultCode.INCOMPLETE_BODY),
        (b"10000000000000005\r\n", FaultCode.INCOMPLETE_BODY),
        (b"4\r\nhell\r\n0\r\n" + TRAILER + b"\r\n", FaultCode.INCOMPLETE_BODY),
        (b"5\r\nhello\r\n0\r\n\r\n", FaultCode.MALFORMED_TRAILER),
        (b"5\r\nhello\r\n0\r\nx-amz-meta-a:b\r\n\r\n", FaultCode.MALFORMED_TRAILER),
        (b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n", FaultCode.MALFORMED_TRAILER),
        (b"5\r\nhello\r\n0\r\n" + TRAILER + TRAILER + b"\r\n", FaultCode.MALFORMED_TRAILER),
        (b"5\r\nhello\r\n0\r\n" + CRC32 + b":a\x00b\r\n\r\n", FaultCode.MALFORMED_TRAILER),
        (b"5\r\nhello\r\n0\r\n" + CRC32 + b":" + b"A" * 2000, FaultCode.INVALID_REQUEST),
        (b"5\r\nhello\r\n0\r\n" + TRAILER + b"\r\nmore", FaultCode.INVALID_REQUEST),
        (b"5\r\nhello\r\n0\r\n" + TRAILER + b"\r\n\r\n\r\n", FaultCode.INVALID_REQUEST),
        (b"5\r\nhello\r\n0\r\n" + TRAILER + b"\r\n\r", FaultCode.INCOMPLETE_BODY),
    ],
)
def test_a_malformed_body_is_refused(body: bytes, code: FaultCode) -> None:
    assert code_of(unsigned_decoder(5), body) == code


def test_a_decoded_length_near_the_limit_of_64_bits_does_not_overflow() -> None:
    decoder = ChunkedDecoder(2**63 - 1)
    with pytest.raises(Fault) as caught:
        decoder.decode(b"8000000000000000\r\n")
    assert caught.value.code == FaultCode.INCOMPLETE_BODY
    assert ChunkedDecoder(2**63 - 1).decode(b"7fffffffffffffff\r\nabc") == b"abc"


def test_small_chunks_are_accepted() -> None:
    assert decode(signed_decoder(3), signed_body([b"a", b"b", b"c"])) == b"abc"


@pytest.mark.parametrize("size", [0, 1, 15, 16, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20, 5 * 2**40])
def test_the_encoded_length_is_that_of_the_framing(size: int) -> None:
    whole, rest = divmod(size, 1 << 20)
    expected = whole * len(b"100000\r\n\r\n") + size + len(b"0\r\n" + TRAILER + b"\r\n")
    if rest:
        expected += len(b"%x\r\n\r\n" % rest)
    assert Framer(size, len(TRAILER)).encoded_length == expected
