from asyncio import Future
from collections import deque

from s3d._core.exchange import Exchange, Pulse, _Owner
from s3d._core.forward import Target
from s3d._core.promise import Promise
from s3d._core.remote import RemoteConnection
from s3d._core.request import Request
from s3d._core.upload import Upload

class Idle:
    @property
    def idle(self) -> list[RemoteConnection]: ...
    @property
    def waiting(self) -> deque[Future[RemoteConnection | None]]: ...
    def take(self, sure: bool) -> RemoteConnection | None: ...
    def released(self, connection: RemoteConnection) -> int: ...

def send(
    connection: RemoteConnection,
    target: Target,
    request: Request,
    upload: Upload | None,
    now_s: int,
    promise: Promise | None = None,
) -> Promise: ...
def relay(
    owner: _Owner,
    pulse: Pulse,
    pool: Idle,
    target: Target,
    request: Request,
    upload: Upload | None,
    clock_offset_s: float,
) -> Exchange | None: ...
