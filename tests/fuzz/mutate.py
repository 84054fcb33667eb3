"""Random changes to byte strings, the same ones for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

# Where parsers go wrong: ends of integer ranges, in the spellings of HTTP.
_NUMBERS = [
    b"0", b"-1", b"+1", b"1", b"7fffffff", b"80000000", b"ffffffff", b"100000000", b"7fffffffffffffff",
    b"ffffffffffffffff", b"10000000000000000", b"2147483647", b"4294967296", b"9223372036854775807",
    b"9223372036854775808", b"18446744073709551616", b"0x10", b"1e3", b"00000000000000000000000000000000001",
]  # fmt: skip
_BYTES = b'\x00\t\n\r "%&+,/:;=?@\\\x7f\x80\xc0\xff'


class Mutator:
    """Makes new inputs out of old ones."""

    def __init__(self, seed: int, tokens: Sequence[bytes] = (), *, max_bytes: int = 16384) -> None:
        self._random = random.Random(seed)
        self._tokens = [*tokens, b"\r\n", b"%00", b"%2F", b"%", b":", b" "]
        self._max_bytes = max_bytes
        self._steps = (
            self._flip, self._set, self._insert, self._delete, self._repeat, self._token, self._number, self._cut,
        )  # fmt: skip

    def mutate(self, data: bytes, other: bytes) -> bytes:
        """One to eight changes to `data`; sometimes its tail becomes that of `other`."""
        rng = self._random
        buffer = bytearray(data)
        if rng.random() < 0.1:
            buffer[rng.randint(0, len(buffer)) :] = other[rng.randint(0, len(other)) :]
        for _ in range(1 << rng.randint(0, 3)):
            rng.choice(self._steps)(buffer)
        return bytes(buffer[: self._max_bytes])

    def _position(self, buffer: bytearray) -> int:
        return self._random.randint(0, len(buffer))

    def _flip(self, buffer: bytearray) -> None:
        if buffer:
            buffer[self._random.randrange(len(buffer))] ^= 1 << self._random.randrange(8)

    def _set(self, buffer: bytearray) -> None:
        if buffer:
            buffer[self._random.randrange(len(buffer))] = self._random.choice(_BYTES)

    def _insert(self, buffer: bytearray) -> None:
        at = self._position(buffer)
        buffer[at:at] = self._random.randbytes(self._random.randint(1, 4))

    def _delete(self, buffer: bytearray) -> None:
        at = self._position(buffer)
        del buffer[at : at + self._random.choice((1, 1, 2, 4, 16, 64))]

    def _repeat(self, buffer: bytearray) -> None:
        at = self._position(buffer)
        piece = buffer[at : at + self._random.choice((1, 4, 16, 64))]
        buffer[at:at] = piece * self._random.choice((1, 1, 2, 8, 64))

    def _token(self, buffer: bytearray) -> None:
        at = self._position(buffer)
        buffer[at : at + self._random.choice((0, 0, 1, 4))] = self._random.choice(self._tokens)

    def _number(self, buffer: bytearray) -> None:
        found = list(re.finditer(rb"[0-9a-fA-F]+", buffer))
        if found:
            one = self._random.choice(found)
            buffer[one.start() : one.end()] = self._random.choice(_NUMBERS)

    def _cut(self, buffer: bytearray) -> None:
        del buffer[self._position(buffer) :]
