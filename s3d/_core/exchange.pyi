from typing import Any, Protocol, type_check_only

from s3d._core.forward import Target
from s3d._core.promise import Promise
from s3d._core.remote import RemoteConnection
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.upload import Upload

class Pulse:
    well: bool

@type_check_only
class _Owner(Protocol):
    def answered(self, exchange: Exchange, response: Response) -> Response | Promise: ...
    def failed(self, exchange: Exchange, error: BaseException) -> Response | Promise: ...

class Exchange(Promise):
    def __init__(
        self,
        owner: _Owner,
        pulse: Pulse,
        request: Request,
        upload: Upload | None,
        target: Target,
        connection: RemoteConnection,
    ) -> None: ...
    @property
    def request(self) -> Request: ...
    @property
    def upload(self) -> Any: ...
    @property
    def target(self) -> Target: ...
    @property
    def connection(self) -> RemoteConnection: ...
    def resolve(self, value: Any) -> int: ...
    def reject(self, error: BaseException) -> int: ...
