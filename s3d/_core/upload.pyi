from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d._core.stage import Stage

class Upload(Stage):
    decoded_length: int
    forward_length: int
    payload_hash: bytes
    changes: list[tuple[bytes, bytes | None]]
    verified: bool

def plan_upload(request: Request, max_size: int, context: SigningContext | None) -> Upload: ...
