from collections.abc import Iterable, Sequence
from typing import Self, final

MAX_PREFIX: int
GLOB_TEXT: int
GLOB_BYTES: int
GLOB_ONE: int
GLOB_ANY: int
NO_AMOUNT: int
NUMBER: int
SIZE: int
DURATION: int
DATE: int
BUCKET_TAGS: int
OBJECT_TAGS: int
METADATA: int
BUCKET_TAG: int
OBJECT_TAG: int
HEADER: int
CONTENT_LENGTH_HEADER: int
LAST_MODIFIED_HEADER: int
OBJECT_SIZE: int
AGE: int
OPERATION: int
USER: int
PRESENT: int
EQUAL: int
NOT_EQUAL: int
LESS: int
AT_MOST: int
MORE: int
AT_LEAST: int
QUEUE: int
CACHE: int
SYNC: int
INCLUDED: int
PINNED: int
IMMUTABLE: int
BY_TAG: int
BY_SETTING: int
NEEDS_SHIFT: int
CLAUSE_SHIFT: int

def read_amount(text: bytes) -> tuple[int, int] | None: ...

@final
class Subject:
    def refill(
        self,
        bucket: str | bytes,
        key: str | bytes,
        *,
        operation: str | bytes | None = None,
        user: str | bytes | None = None,
        now_ms: int = -1,
    ) -> None: ...
    def set_bucket_tags(self, tags: Iterable[tuple[str | bytes, str | bytes]] | None, /) -> None: ...
    def set_object_tags(self, tags: Iterable[tuple[str | bytes, str | bytes]] | None, /) -> None: ...
    def set_metadata(
        self,
        headers: Iterable[tuple[str | bytes, str | bytes]] | None,
        *,
        size_bytes: int | None = None,
        modified_ms: int | None = None,
    ) -> None: ...

@final
class Program:
    @property
    def nodes(self) -> int: ...
    @property
    def unknown(self) -> int: ...
    def __new__(
        cls,
        text: bytes,
        ops: Sequence[tuple[int, int, int]],
        conditions: Sequence[tuple[int, int, int, int, int, int, int, int]],
        clauses: Sequence[tuple[bool, int, int, int, int, int, int, int, int]],
        nodes: Sequence[tuple[int, int, int, int, int, int]],
        entries: Sequence[int],
        *,
        purpose: int,
        included_by_default: bool,
        included_if_unknowable: bool,
    ) -> Self: ...
    def decide(self, subject: Subject, /) -> int: ...
    def measure(self, subjects: list[Subject], rounds: int, /) -> tuple[int, int]: ...
