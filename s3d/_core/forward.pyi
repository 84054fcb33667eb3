from typing import Any

from s3d._core.request import Request
from s3d._core.sigv4 import Signer

class Target:
    signer: Signer | None
    pool: Any
    @property
    def host(self) -> bytes: ...
    @property
    def base(self) -> bytes: ...
    @property
    def bucket_in_host(self) -> bool: ...
    @property
    def origin(self) -> Any: ...
    def __init__(
        self,
        host: bytes,
        origin: Any,
        signer: Signer | None = None,
        *,
        base: bytes = b"",
        bucket_in_host: bool = False,
    ) -> None: ...

def forward_head(
    request: Request,
    target: Target,
    payload_hash: bytes,
    length: int,
    changes: list[tuple[bytes, bytes | None]] | None,
    expect: bool,
    now_s: int,
) -> bytes: ...
