"""The chunked upload examples that AWS publishes, chunk by chunk.

Sources, Amazon S3 API reference: "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks (Chunked Upload)" and "… Including Trailing Headers (Chunked Upload)".
"""

from __future__ import annotations

import calendar

import pytest

from s3d._core.awschunked import ChunkedDecoder
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, SigningContext
from s3d._core.verify import SignatureMismatch, Verifier

ACCESS_KEY = b"AKIAIOSFODNN7EXAMPLE"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW_S = calendar.timegm((2013, 5, 24, 0, 0, 0))
BODY = b"a" * 66560

CHUNKED_SEED = b"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKED_HEADERS = [
    (b"host", b"s3.amazonaws.com"),
    (b"x-amz-date", b"20130524T000000Z"),
    (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
    (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    (b"content-encoding", b"aws-chunked"),
    (b"x-amz-decoded-content-length", b"66560"),
    (b"content-length", b"66824"),
]
CHUNKED_SIGNED = (
    b"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
    b"x-amz-storage-class"
)
CHUNKED_BODY = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + BODY[:65536]
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
    + BODY[65536:]
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)

TRAILER_SEED = b"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
TRAILER_HEADERS = [
    (b"host", b"s3.amazonaws.com"),
    (b"x-amz-date", b"20130524T000000Z"),
    (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
    (b"x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
    (b"content-encoding", b"aws-chunked"),
    (b"x-amz-decoded-content-length", b"66560"),
    (b"x-amz-trailer", b"x-amz-checksum-crc32c"),
]
TRAILER_SIGNED = (
    b"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
    b"x-amz-trailer"
)
TRAILER_BODY = (
    b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
    + BODY[:65536]
    + b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
    + BODY[65536:]
    + b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
    b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n"
    b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
)


def seed_of(headers: list[tuple[bytes, bytes]], signed: bytes, signature: bytes) -> SigningContext:
    authorization = (
        b"AWS4-HMAC-SHA256 Credential=%b/20130524/us-east-1/s3/aws4_request,SignedHeaders=%b,Signature=%b"
        % (ACCESS_KEY, signed, signature)
    )
    request = Request(b"PUT", b"/examplebucket/chunkObject.txt", [*headers, (b"authorization", authorization)])
    context = Verifier([Credentials(ACCESS_KEY, SECRET)]).verify(request, NOW_S)
    assert context is not None
    return context


def trailer_decoder() -> ChunkedDecoder:
    return ChunkedDecoder(
        66560,
        signed_chunks=True,
        signed_trailer=True,
        trailer_names=[b"x-amz-checksum-crc32c"],
        context=seed_of(TRAILER_HEADERS, TRAILER_SIGNED, TRAILER_SEED),
    )


def test_the_seed_of_the_chunked_upload_is_the_published_one() -> None:
    assert seed_of(CHUNKED_HEADERS, CHUNKED_SIGNED, CHUNKED_SEED).signature == CHUNKED_SEED


def test_the_canonical_request_of_the_chunked_upload_is_the_published_one() -> None:
    with pytest.raises(SignatureMismatch) as caught:
        seed_of(CHUNKED_HEADERS, CHUNKED_SIGNED, b"0" * 64)
    assert caught.value.canonical_request == (
        b"PUT\n/examplebucket/chunkObject.txt\n\ncontent-encoding:aws-chunked\ncontent-length:66824\n"
        b"host:s3.amazonaws.com\nx-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nx-amz-date:20130524T000000Z\n"
        b"x-amz-decoded-content-length:66560\nx-amz-storage-class:REDUCED_REDUNDANCY\n\n"
        b"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        b"x-amz-storage-class\nSTREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    )
    assert caught.value.string_to_sign == (
        b"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
        b"cee3fed04b70f867d036f722359b0b1f2f0e5dc0efadbc082b76c4c60e316455"
    )


def test_the_published_chunk_signatures_are_accepted() -> None:
    decoder = ChunkedDecoder(66560, signed_chunks=True, context=seed_of(CHUNKED_HEADERS, CHUNKED_SIGNED, CHUNKED_SEED))
    assert len(CHUNKED_BODY) == 66824
    assert decoder.decode(CHUNKED_BODY) == BODY
    decoder.close()


@pytest.mark.parametrize("chunk", [b"ad80c730", b"0055627c", b"b6c6ea8a"])
def test_each_published_chunk_signature_is_checked(chunk: bytes) -> None:
    decoder = ChunkedDecoder(66560, signed_chunks=True, context=seed_of(CHUNKED_HEADERS, CHUNKED_SIGNED, CHUNKED_SEED))
    with pytest.raises(Fault) as caught:
        decoder.decode(CHUNKED_BODY.replace(chunk, chunk[::-1]))
    assert caught.value.code == FaultCode.SIGNATURE_DOES_NOT_MATCH


def test_the_seed_of_the_upload_with_a_trailer_is_the_published_one() -> None:
    assert seed_of(TRAILER_HEADERS, TRAILER_SIGNED, TRAILER_SEED).signature == TRAILER_SEED


def test_the_canonical_request_of_the_upload_with_a_trailer_is_the_published_one() -> None:
    with pytest.raises(SignatureMismatch) as caught:
        seed_of(TRAILER_HEADERS, TRAILER_SIGNED, b"0" * 64)
    assert caught.value.canonical_request == (
        b"PUT\n/examplebucket/chunkObject.txt\n\ncontent-encoding:aws-chunked\nhost:s3.amazonaws.com\n"
        b"x-amz-content-sha256:STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\nx-amz-date:20130524T000000Z\n"
        b"x-amz-decoded-content-length:66560\nx-amz-storage-class:REDUCED_REDUNDANCY\n"
        b"x-amz-trailer:x-amz-checksum-crc32c\n\n"
        b"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;"
        b"x-amz-trailer\nSTREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    )


def test_the_published_chunk_and_trailer_signatures_are_accepted() -> None:
    decoder = trailer_decoder()
    assert decoder.decode(TRAILER_BODY) == BODY
    decoder.close()
    assert decoder.trailers == [(b"x-amz-checksum-crc32c", b"sOO8/Q==")]


def test_the_published_trailer_signature_is_checked() -> None:
    decoder = trailer_decoder()
    with pytest.raises(Fault) as caught:
        decoder.decode(TRAILER_BODY.replace(b"d81f82fc", b"cf28f18d"))
    assert caught.value.code == FaultCode.SIGNATURE_DOES_NOT_MATCH
