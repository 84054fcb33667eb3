from s3d._core.sigv4 import SigningContext

class ChunkedDecoder:
    decoded_length: int
    done: bool
    trailers: list[tuple[bytes, bytes]]
    def __init__(
        self,
        decoded_length: int,
        *,
        signed_chunks: bool = ...,
        signed_trailer: bool = ...,
        trailer_names: list[bytes] | None = ...,
        context: SigningContext | None = ...,
    ) -> None: ...
    def decode(self, data: bytes) -> bytes: ...
    def close(self) -> None: ...

class Framer:
    decoded_length: int
    encoded_length: int
    def __init__(self, decoded_length: int, trailer_bytes: int) -> None: ...
