"""Digests: the kernels against hashlib, the checksums against published check values."""

from __future__ import annotations

import hashlib
import zlib

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.digest import Algorithm, digests, sha256, sha256_in_pieces

CHECK = b"123456789"
# "Check" values of the CRC catalogue (reveng) and of the NVM Express specification; FIPS 180-4 and RFC 1321 suites for
# the rest; XXH by the reference implementation (xxhsum -H1, -H3, -H2 of the same nine bytes).
CHECK_VALUES = {
    Algorithm.CRC32: "cbf43926",
    Algorithm.CRC32C: "e3069283",
    Algorithm.CRC64NVME: "ae8b14860a799888",
    Algorithm.MD5: "25f9e794323b453885f5181f1b624d0b",
    Algorithm.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    Algorithm.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    Algorithm.SHA512: hashlib.sha512(CHECK).hexdigest(),
    Algorithm.XXHASH64: "8cb841db40e6ae83",
}


@pytest.mark.parametrize("algorithm", CHECK_VALUES)
def test_the_check_value_is_the_published_one(algorithm: Algorithm) -> None:
    assert digests(CHECK, [algorithm])[algorithm].hex() == CHECK_VALUES[algorithm]


@pytest.mark.parametrize(("algorithm", "name"), [(Algorithm.XXHASH3, "xxh3_64"), (Algorithm.XXHASH128, "xxh3_128")])
def test_xxh3_agrees_with_the_reference_library(algorithm: Algorithm, name: str) -> None:
    assert digests(CHECK, [algorithm])[algorithm] == getattr(xxhash, name)(CHECK).digest()


@given(st.binary(max_size=5000), st.integers(1, 1000))
def test_any_split_gives_the_same_digests(data: bytes, piece: int) -> None:
    everything = list(Algorithm)
    assert digests(data, everything, piece) == digests(data, everything)


def test_algorithms_are_independent_of_each_other() -> None:
    together = digests(CHECK, list(Algorithm))
    assert together == {algorithm: digests(CHECK, [algorithm])[algorithm] for algorithm in Algorithm}


def test_the_digest_of_nothing_is_the_algorithms_own() -> None:
    empty = digests(b"", list(Algorithm))
    assert empty[Algorithm.SHA256] == hashlib.sha256().digest()
    assert empty[Algorithm.CRC32] == zlib.crc32(b"").to_bytes(4, "big")


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("size", [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 4096])
def test_every_kernel_pads_every_size_right(size: int, portable: bool) -> None:
    data = bytes(range(256)) * 16
    assert sha256(data[:size], portable) == hashlib.sha256(data[:size]).digest()


@given(st.binary(max_size=2000))
def test_the_kernels_agree_with_hashlib(data: bytes) -> None:
    assert sha256(data) == sha256(data, portable=True) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("native", [False, True])
@given(data=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_sha256_is_the_same_over_any_split(native: bool, data: bytes, cuts: list[int]) -> None:
    assert sha256_in_pieces(data, cuts, native) == hashlib.sha256(data).digest()
