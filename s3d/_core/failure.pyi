from enum import IntEnum

class RemoteFailure(IntEnum):
    CONNECT = 0
    DISCONNECTED = 1
    TIMED_OUT = 2
    PROTOCOL = 3

class RemoteError(Exception):
    @property
    def failure(self) -> RemoteFailure: ...
    @property
    def detail(self) -> str: ...
    @property
    def answered(self) -> bool: ...
    def __init__(self, failure: RemoteFailure, detail: str, answered: bool = False) -> None: ...
