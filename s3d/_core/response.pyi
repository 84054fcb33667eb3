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
    def discard(self) -> None: ...
    def header(self, name: bytes) -> bytes | None: ...
