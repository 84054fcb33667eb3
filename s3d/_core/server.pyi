from asyncio import AbstractEventLoop, Future
from collections.abc import Awaitable, Callable
from typing import Any

from s3d._core.channel import Channel
from s3d._core.meter import Meter
from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response

class Service:
    def __init__(
        self,
        dispatch: Callable[[Request], Response | Promise | Awaitable[Response]],
        refuse: Callable[[Request | None, BaseException], Response],
        *,
        loop: AbstractEventLoop,
        operations: int,
        max_connections: int = 1000,
        max_head_size: int = 32768,
        head_timeout_s: float = 10.0,
        idle_timeout_s: float = 75.0,
        body_timeout_s: float = 60.0,
    ) -> None: ...
    @property
    def meter(self) -> Meter: ...
    @property
    def closing(self) -> bool: ...
    @property
    def open_connections(self) -> int: ...
    @property
    def active_requests(self) -> int: ...
    def connection(self, secure: bool = False) -> Any: ...
    def sweep(self) -> None: ...
    def close(self) -> Future[None]: ...
    def abort(self) -> None: ...

class ServerConnection(Channel):
    def __init__(self, service: Service, secure: bool = False) -> None: ...
    def _task_done(self, request: Request, task: Any) -> None: ...
