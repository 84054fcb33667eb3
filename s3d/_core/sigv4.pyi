from collections.abc import Iterable
from typing import Any

from s3d._core.fault import Fault
from s3d._core.request import Request

class SigningKey:
    scope: bytes
    def signature(self, text: bytes) -> bytes: ...

class Credentials:
    access_key: bytes
    session_token: bytes | None
    owner: Any
    def __init__(
        self, access_key: bytes, secret: bytes, session_token: bytes | None = ..., owner: object = ...
    ) -> None: ...
    def signing_key(self, scope: bytes) -> SigningKey: ...

class SigningContext:
    credentials: Credentials
    payload_hash: bytes
    presigned: bool
    @property
    def signature(self) -> bytes: ...
    @property
    def timestamp(self) -> bytes: ...
    @property
    def scope(self) -> bytes: ...

class SignatureMismatch(Fault):
    access_key: bytes
    canonical_request: bytes
    string_to_sign: bytes
    signature_provided: bytes

class Verifier:
    def __init__(self, credentials: Iterable[Credentials] = ...) -> None: ...
    def verify(self, request: Request, now_s: int) -> SigningContext | None: ...

class Signer:
    credentials: Credentials
    region: bytes
    service: bytes
    def __init__(self, credentials: Credentials, region: bytes, service: bytes = ...) -> None: ...
    def sign(
        self,
        method: bytes,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        payload_hash: bytes,
        now_s: int,
    ) -> list[tuple[bytes, bytes]]: ...

def refuse_signature_v2(request: Request) -> None: ...
