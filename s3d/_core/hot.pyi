from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d._core.stage import Stage

_Generation = TypeVar("_Generation")

class _Entry(Protocol[_Generation]):
    @property
    def generation(self) -> _Generation: ...
    @property
    def body(self) -> bytes | None: ...
    memo: Any

class WholeObjects:
    def __init__(
        self,
        *,
        cached: Callable[[str, bytes], _Entry[_Generation] | None],
        heads: Callable[[_Generation], tuple[bytes, bytes]],
        body: Callable[[_Generation], bytes | Stage],
        read: Callable[[Request, SigningContext | None], Response],
        check: Callable[[SigningContext], object],
    ) -> None: ...
    def __call__(self, request: Request, context: SigningContext | None) -> Response: ...
