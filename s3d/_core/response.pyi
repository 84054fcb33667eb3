from s3d._core.stage import Stage

class Response:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | Stage | None
    content_length: int
    close: bool
    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes | Stage | None = None,
        content_length: int = -2,
        close: bool = False,
    ) -> None: ...
    @staticmethod
    def prebuilt(
        status: int,
        raw: bytes,
        body: bytes | Stage | None = None,
        content_length: int = -2,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> Response: ...
    def discard(self) -> None: ...
    def header(self, name: bytes) -> bytes | None: ...

def head_block(headers: list[tuple[bytes, bytes]]) -> bytes: ...
