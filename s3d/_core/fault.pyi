from enum import IntEnum

class FaultCode(IntEnum):
    INTERNAL_ERROR = 0
    BAD_REQUEST = 1
    INVALID_URI = 2
    INVALID_BUCKET_NAME = 3
    KEY_TOO_LONG = 4
    METHOD_NOT_ALLOWED = 5
    NOT_IMPLEMENTED = 6
    INVALID_ARGUMENT = 7
    INVALID_REQUEST = 8
    REQUEST_HEADER_SECTION_TOO_LARGE = 9
    HTTP_VERSION_NOT_SUPPORTED = 10
    MISDIRECTED_REQUEST = 11
    ACCESS_DENIED = 12
    AUTHORIZATION_HEADER_MALFORMED = 13
    AUTHORIZATION_QUERY_PARAMETERS_ERROR = 14
    CREDENTIALS_NOT_SUPPORTED = 15
    EXPIRED_TOKEN = 16
    INVALID_ACCESS_KEY_ID = 17
    INVALID_TOKEN = 18
    MISSING_SECURITY_HEADER = 19
    REQUEST_EXPIRED = 20
    REQUEST_TIME_TOO_SKEWED = 21
    SIGNATURE_DOES_NOT_MATCH = 22
    SIGNATURE_VERSION_NOT_SUPPORTED = 23
    BAD_DIGEST = 24
    ENTITY_TOO_LARGE = 25
    INCOMPLETE_BODY = 26
    INVALID_CHUNK_SIZE = 27
    INVALID_DIGEST = 28
    MALFORMED_TRAILER = 29
    MAX_MESSAGE_LENGTH_EXCEEDED = 30
    MISSING_CONTENT_LENGTH = 31
    REQUEST_TIMEOUT = 32
    CONTENT_SHA256_MISMATCH = 33
    SERVICE_UNAVAILABLE = 34
    SLOW_DOWN = 35

class Fault(Exception):
    @property
    def code(self) -> FaultCode: ...
    @property
    def detail(self) -> str: ...
    @property
    def fields(self) -> tuple[tuple[str, str | bytes], ...]: ...
    def __init__(self, code: FaultCode, detail: str = "", fields: tuple[tuple[str, str | bytes], ...] = ()) -> None: ...
