from collections.abc import Awaitable, Callable

from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.route import Router
from s3d._core.sigv4 import SigningContext
from s3d._core.verify import Verifier

_Answer = Response | Promise | Awaitable[Response]

class Admission:
    def __init__(
        self,
        router: Router,
        *,
        preflight: int,
        internal: Callable[[Request], Response | None],
        check_host: Callable[[Request], object],
        authenticate: Callable[[Request], tuple[object, SigningContext | None]],
        from_page: Callable[[Request, SigningContext | None, bytes], _Answer],
        handle: Callable[[Request, SigningContext | None], _Answer],
        verifier: Verifier | None = None,
    ) -> None: ...
    def __call__(self, request: Request) -> _Answer: ...
