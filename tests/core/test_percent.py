"""Percent-encoding: round trips, the exact alphabet, and refusal of malformed escapes."""

from __future__ import annotations

import string
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.fault import Fault, FaultCode
from s3d._core.percent import decode, encode

EVERY_BYTE = bytes(range(256))
UNRESERVED = (string.ascii_letters + string.digits + "-._~").encode()


def test_encoding_leaves_exactly_the_unreserved_bytes() -> None:
    assert bytes(byte for byte in EVERY_BYTE if encode(bytes([byte])) == bytes([byte])) == bytes(sorted(UNRESERVED))


def test_keep_slash_adds_only_the_slash_to_the_bytes_left_alone() -> None:
    kept = {byte for byte in EVERY_BYTE if encode(bytes([byte]), keep_slash=True) == bytes([byte])}
    assert kept == {*UNRESERVED, ord("/")}


def test_encoding_writes_upper_case_digits() -> None:
    assert encode(b"\xab/\x0f ") == b"%AB%2F%0F%20"


def test_decoding_accepts_digits_of_either_case() -> None:
    assert decode(b"%aB%Ab%AB%ab") == b"\xab" * 4


def test_decoding_happens_once() -> None:
    assert decode(b"%2541") == b"%41"


def test_a_plus_stays_a_plus_unless_asked() -> None:
    assert decode(b"a+b%2B") == b"a+b+"


def test_a_plus_becomes_a_space_when_asked_but_an_escaped_plus_does_not() -> None:
    assert decode(b"a+b%2B", plus_is_space=True) == b"a b+"


@pytest.mark.parametrize("malformed", [b"%", b"a%", b"%4", b"%4g", b"%g4", b"%%41", b"%\xb10", b"%1\x10", b"% 1"])
def test_a_malformed_escape_is_an_invalid_uri(malformed: bytes) -> None:
    with pytest.raises(Fault) as refused:
        decode(malformed)
    assert refused.value.code == FaultCode.INVALID_URI


def test_only_hexadecimal_digits_make_an_escape() -> None:
    def decodes(digit: int) -> bool:
        try:
            return decode(b"%0" + bytes([digit])) is not None
        except Fault:
            return False

    assert {byte for byte in EVERY_BYTE if decodes(byte)} == set(string.hexdigits.encode())


@given(st.binary(max_size=300), st.booleans())
def test_decoding_undoes_encoding(data: bytes, keep_slash: bool) -> None:
    assert decode(encode(data, keep_slash)) == data


@given(st.binary(max_size=300))
def test_encoding_equals_the_standard_library(data: bytes) -> None:
    assert encode(data) == quote(data, safe="~").encode()
    assert encode(data, keep_slash=True) == quote(data, safe="/~").encode()


@given(st.lists(st.sampled_from([b"%", b"4", b"f", b"+", b"%41", b"\x00", b"\xff", b"g"]), max_size=40), st.booleans())
def test_decoding_any_bytes_equals_the_standard_library_or_is_a_fault(parts: list[bytes], plus: bool) -> None:
    data = b"".join(parts)
    try:
        decoded = decode(data, plus)
    except Fault as fault:
        if fault.code != FaultCode.INVALID_URI or b"%" not in data:
            raise
    else:
        # The library leaves malformed escapes alone; there are none here, so the two agree.
        assert decoded == unquote_to_bytes(data.replace(b"+", b" ") if plus else data)


def test_the_inputs_are_left_untouched() -> None:
    data = bytearray(b"a+%41")
    decode(data, plus_is_space=True)
    encode(data)
    assert data == b"a+%41"
