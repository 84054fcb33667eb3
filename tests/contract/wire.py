"""S3 requests written by hand: SigV4 and aws-chunked from AWS's documents, with nothing of s3d or botocore in them.

Sources: AWS, "Authenticating Requests (AWS Signature Version 4)", with its pages on the Authorization header, on
chunked uploads and on trailing headers.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import http.client
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes, urlsplit

from awscrt import checksums

from servers.raw import RawConnection, RawResponse, exchange
from servers.remotes import REGION, Credentials

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checksum(algorithm: str, data: bytes) -> str:
    """The value of `x-amz-checksum-<algorithm>`: big-endian bytes in base64."""
    name = algorithm.lower()
    if name == "crc32":
        raw = zlib.crc32(data).to_bytes(4, "big")
    elif name == "crc32c":
        raw = checksums.crc32c(data).to_bytes(4, "big")
    elif name == "crc64nvme":
        raw = checksums.crc64nvme(data).to_bytes(8, "big")
    else:
        raw = hashlib.new(name, data).digest()
    return base64.b64encode(raw).decode()


def md5(data: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def wrong(value: str) -> str:
    """A digest in base64 of the same length with one bit another."""
    raw = bytearray(binascii.a2b_base64(value))
    raw[0] ^= 1
    return base64.b64encode(raw).decode()


@dataclass
class SigningKey:
    """A derived key with its scope, for one request; `signature` is the last one made, which the next chunk chains."""

    key: bytes
    scope: str
    date: str
    signature: str = ""

    def sign_chunk(self, data: bytes) -> str:
        self.signature = _hmac(
            self.key,
            "\n".join(
                ["AWS4-HMAC-SHA256-PAYLOAD", self.date, self.scope, self.signature, EMPTY_SHA256, sha256_hex(data)]
            ),
        ).hex()
        return self.signature

    def sign_trailer(self, lines: bytes) -> str:
        self.signature = _hmac(
            self.key,
            "\n".join(["AWS4-HMAC-SHA256-TRAILER", self.date, self.scope, self.signature, sha256_hex(lines)]),
        ).hex()
        return self.signature


@dataclass
class Signed:
    """A request's head, ready to send, and the key for what follows."""

    head: bytes
    key: SigningKey


def canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        pairs.append((quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signature_of(
    method: str, target: str, headers: Iterable[tuple[str, str]], signed: list[str], payload: str, key: SigningKey
) -> str:
    """The signature that a request must have; the path of `target` counts as it is, each escape decoded once."""
    path, _, query = target.partition("?")
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    canonical = "\n".join(
        [
            method,
            quote(unquote_to_bytes(path), safe="/-_.~"),
            canonical_query(query),
            *(f"{name}:{','.join(values[name])}" for name in signed),
            "",
            ";".join(signed),
            payload,
        ]
    )
    key.signature = _hmac(
        key.key, "\n".join(["AWS4-HMAC-SHA256", key.date, key.scope, sha256_hex(canonical.encode("latin-1"))])
    ).hex()
    return key.signature


def signing_key(credentials: Credentials, date: str, region: str = REGION) -> SigningKey:
    """The key for one day, region and service s3; `date` is the request's, as 20130524T000000Z."""
    derived = _hmac(("AWS4" + credentials.secret_access_key).encode(), date[:8])
    for part in (region, "s3", "aws4_request"):
        derived = _hmac(derived, part)
    return SigningKey(derived, f"{date[:8]}/{region}/s3/aws4_request", date)


def now(offset_s: int = 0) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=offset_s)
    return moment.strftime("%Y%m%dT%H%M%SZ")


@dataclass
class Wire:
    """Writes and sends signed requests to one endpoint. `target` goes out byte for byte."""

    endpoint: str
    credentials: Credentials
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = urlsplit(self.endpoint).netloc

    def sign(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        payload: str = EMPTY_SHA256,
        date: str | None = None,
        host: str | None = None,
    ) -> Signed:
        """The head of a request with an Authorization header over all of `headers`."""
        moment = date or now()
        lines = [
            ("Host", host or self.host),
            ("X-Amz-Date", moment),
            ("X-Amz-Content-Sha256", payload),
            *headers,
        ]
        key = signing_key(self.credentials, moment)
        signed = sorted({name.lower() for name, _ in lines})
        signature = signature_of(method, target, lines, signed, payload, key)
        lines.append(
            (
                "Authorization",
                f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key_id}/{key.scope}, "
                f"SignedHeaders={';'.join(signed)}, Signature={signature}",
            )
        )
        head = "".join([f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in lines), "\r\n"])
        return Signed(head.encode("latin-1"), key)

    def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        payload: str | None = None,
        host: str | None = None,
        date: str | None = None,
    ) -> RawResponse:
        """Sends a whole request over a connection of its own; `payload` is x-amz-content-sha256, else computed."""
        lines = list(headers)
        if body or method in ("PUT", "POST"):
            lines.append(("Content-Length", str(len(body))))
        signed = self.sign(
            method, target, lines, payload=sha256_hex(body) if payload is None else payload, host=host, date=date
        )
        return exchange(self.endpoint, signed.head + body, method)

    def put_chunked(
        self,
        target: str,
        pieces: list[bytes],
        *,
        payload: str,
        trailers: Iterable[tuple[str, str]] = (),
        headers: Iterable[tuple[str, str]] = (),
        tamper_chunk: int | None = None,
        tamper_trailer: bool = False,
        decoded_length: int | None = None,
        cut_bytes: int = 0,
        announced: Iterable[str] | None = None,
        piece_bytes: int = 0,
    ) -> RawResponse:
        """PUTs `pieces` as one aws-chunked chunk each, with the empty one and the trailers after them.

        `tamper_chunk` gives that chunk (the empty last one counts) a wrong signature, `tamper_trailer` the trailer;
        `cut_bytes` leaves that many bytes off the end of the body, whose Content-Length then is that of what is sent.
        """
        trailers = list(trailers)
        signed_chunks = payload in (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER)
        size = sum(map(len, pieces)) if decoded_length is None else decoded_length
        names = [name for name, _ in trailers] if announced is None else list(announced)
        lines = [
            ("Content-Encoding", "aws-chunked"),
            ("X-Amz-Decoded-Content-Length", str(size)),
            *([("X-Amz-Trailer", ",".join(names))] if names else []),
            *headers,
        ]
        # The length is signed, and depends on nothing but sizes.
        blank = SigningKey(b"", "", "")
        total = len(self._chunks(blank, pieces, trailers, signed_chunks, payload, None, False)) - cut_bytes
        signed = self.sign("PUT", target, [*lines, ("Content-Length", str(total))], payload=payload)
        body = self._chunks(signed.key, pieces, trailers, signed_chunks, payload, tamper_chunk, tamper_trailer)
        with RawConnection(self.endpoint) as connection:
            connection.send(signed.head + body[:total], piece_bytes=piece_bytes)
            return connection.read_response("PUT")

    @staticmethod
    def _chunks(
        key: SigningKey,
        pieces: list[bytes],
        trailers: list[tuple[str, str]],
        signed: bool,
        payload: str,
        tamper_chunk: int | None,
        tamper_trailer: bool,
    ) -> bytes:
        out = b""
        for number, piece in enumerate([*pieces, b""]):
            out += b"%x" % len(piece)
            if signed:
                signature = key.sign_chunk(piece)
                if number == tamper_chunk:
                    signature = ("0" if signature[0] != "0" else "1") + signature[1:]
                out += b";chunk-signature=" + signature.encode()
            out += b"\r\n"
            if piece:
                out += piece + b"\r\n"
        if payload == SIGNED_CHUNKS:
            return out + b"\r\n"
        for name, value in trailers:
            out += f"{name}:{value}\r\n".encode()
        if signed:
            signature = key.sign_trailer(b"".join(f"{name}:{value}\n".encode() for name, value in trailers))
            if tamper_trailer:
                signature = ("0" if signature[0] != "0" else "1") + signature[1:]
            out += b"x-amz-trailer-signature:" + signature.encode() + b"\r\n"
        return out + b"\r\n"


def fetch(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Fetches a URL as curl would: (status, headers by names in lower case, body)."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
