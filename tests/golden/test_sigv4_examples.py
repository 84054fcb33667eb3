"""The examples that AWS publishes for Signature Version 4 in S3, down to the canonical request.

Sources, Amazon S3 API reference: "Signature Calculations for the Authorization Header: Transferring Payload in a
Single Chunk" (the four header examples), "Authenticating Requests: Using Query Parameters" (the presigned one).
"""

from __future__ import annotations

import calendar

import pytest

from s3d._core.fault import FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer
from s3d._core.verify import SignatureMismatch, Verifier

ACCESS_KEY = b"AKIAIOSFODNN7EXAMPLE"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = b"20130524/us-east-1/s3/aws4_request"
TIME = b"20130524T000000Z"
NOW_S = calendar.timegm((2013, 5, 24, 0, 0, 0))
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WELCOME = b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
HOST = (b"host", b"examplebucket.s3.amazonaws.com")

# name: (method, target, headers, signed headers, canonical request, its SHA-256, signature)
HEADER_EXAMPLES = {
    "GET object with a range": (
        b"GET",
        b"/test.txt",
        [HOST, (b"range", b"bytes=0-9"), (b"x-amz-content-sha256", EMPTY), (b"x-amz-date", TIME)],
        b"host;range;x-amz-content-sha256;x-amz-date",
        b"GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\nx-amz-content-sha256:"
        + EMPTY
        + b"\nx-amz-date:20130524T000000Z\n\nhost;range;x-amz-content-sha256;x-amz-date\n"
        + EMPTY,
        b"7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        b"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": (
        b"PUT",
        b"/test$file.text",
        [
            HOST,
            (b"date", b"Fri, 24 May 2013 00:00:00 GMT"),
            (b"x-amz-date", TIME),
            (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
            (b"x-amz-content-sha256", WELCOME),
        ],
        b"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        b"PUT\n/test%24file.text\n\ndate:Fri, 24 May 2013 00:00:00 GMT\nhost:examplebucket.s3.amazonaws.com\n"
        b"x-amz-content-sha256:"
        + WELCOME
        + b"\nx-amz-date:20130524T000000Z\nx-amz-storage-class:REDUCED_REDUNDANCY\n\n"
        b"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class\n" + WELCOME,
        b"9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        b"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": (
        b"GET",
        b"/?lifecycle",
        [HOST, (b"x-amz-date", TIME), (b"x-amz-content-sha256", EMPTY)],
        b"host;x-amz-content-sha256;x-amz-date",
        b"GET\n/\nlifecycle=\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:"
        + EMPTY
        + b"\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n"
        + EMPTY,
        b"9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        b"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        b"GET",
        b"/?max-keys=2&prefix=J",
        [HOST, (b"x-amz-date", TIME), (b"x-amz-content-sha256", EMPTY)],
        b"host;x-amz-content-sha256;x-amz-date",
        b"GET\n/\nmax-keys=2&prefix=J\nhost:examplebucket.s3.amazonaws.com\nx-amz-content-sha256:"
        + EMPTY
        + b"\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n"
        + EMPTY,
        b"df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        b"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}
PRESIGNED = (
    b"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
    b"aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
)
PRESIGNED_SIGNATURE = b"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
PRESIGNED_CANONICAL = (
    b"GET\n/test.txt\nX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2F"
    b"s3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\n"
    b"host:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD"
)


def credentials() -> Credentials:
    return Credentials(ACCESS_KEY, SECRET, owner="root")


def with_signature(example: str, signature: bytes) -> Request:
    method, target, headers, signed, *_ = HEADER_EXAMPLES[example]
    authorization = b"AWS4-HMAC-SHA256 Credential=%b/%b,SignedHeaders=%b,Signature=%b" % (
        ACCESS_KEY,
        SCOPE,
        signed,
        signature,
    )
    return Request(method, target, [*headers, (b"authorization", authorization)])


@pytest.mark.parametrize("example", HEADER_EXAMPLES)
def test_the_published_signature_is_accepted(example: str) -> None:
    signature = HEADER_EXAMPLES[example][6]
    context = Verifier([credentials()]).verify(with_signature(example, signature), NOW_S)
    assert context is not None
    assert (context.credentials.owner, context.signature, context.timestamp, context.scope) == (
        "root",
        signature,
        TIME,
        SCOPE,
    )


@pytest.mark.parametrize("example", HEADER_EXAMPLES)
def test_the_canonical_request_and_string_to_sign_are_the_published_ones(example: str) -> None:
    *_, canonical, digest, signature = HEADER_EXAMPLES[example]
    with pytest.raises(SignatureMismatch) as caught:
        Verifier([credentials()]).verify(with_signature(example, signature[::-1]), NOW_S)
    assert caught.value.canonical_request == canonical
    assert caught.value.string_to_sign == b"AWS4-HMAC-SHA256\n%b\n%b\n%b" % (TIME, SCOPE, digest)
    assert caught.value.code == FaultCode.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize("example", ["GET bucket lifecycle", "list objects"])
def test_signing_the_example_gives_the_published_authorization(example: str) -> None:
    method, target, _, signed, _, _, signature = HEADER_EXAMPLES[example]
    path, _, query = target.partition(b"?")
    own = Signer(credentials(), b"us-east-1").sign(method, path, query, [HOST], EMPTY, NOW_S)
    assert own == [
        (b"x-amz-date", TIME),
        (b"x-amz-content-sha256", EMPTY),
        (
            b"authorization",
            b"AWS4-HMAC-SHA256 Credential=%b/%b, SignedHeaders=%b, Signature=%b"
            % (ACCESS_KEY, SCOPE, signed, signature),
        ),
    ]


def test_the_published_presigned_url_is_accepted() -> None:
    context = Verifier([credentials()]).verify(Request(b"GET", PRESIGNED + PRESIGNED_SIGNATURE, [HOST]), NOW_S)
    assert context is not None
    assert (context.presigned, context.payload_hash, context.signature) == (
        True,
        b"UNSIGNED-PAYLOAD",
        PRESIGNED_SIGNATURE,
    )


def test_the_presigned_canonical_request_is_the_published_one() -> None:
    with pytest.raises(SignatureMismatch) as caught:
        Verifier([credentials()]).verify(Request(b"GET", PRESIGNED + b"0" * 64, [HOST]), NOW_S)
    assert caught.value.canonical_request == PRESIGNED_CANONICAL
    assert caught.value.string_to_sign == (
        b"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
        b"3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"
    )
