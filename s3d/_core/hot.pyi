from collections.abc import Callable
from typing import Any, Protocol, final

from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d._core.stage import Stage

@final
class Entry:
    @property
    def generation(self) -> Any: ...
    @property
    def body(self) -> bytes | None: ...
    memo: Any
    seen: bool
    @property
    def size_bytes(self) -> int: ...
    def __init__(self, generation: Any, body: bytes | None, size_bytes: int) -> None: ...

class _Source(Protocol):
    @property
    def entries(self) -> dict[bytes, Entry]: ...

@final
class WholeObjects:
    def __init__(
        self,
        source: _Source,
        *,
        cached: Callable[[str, bytes], Entry | None],
        heads: Callable[[Any], tuple[bytes, bytes]],
        body: Callable[[Any], bytes | Stage],
        read: Callable[[Request, SigningContext | None], Response],
        check: Callable[[SigningContext], object],
    ) -> None: ...
    def __call__(self, request: Request, context: SigningContext | None) -> Response: ...
