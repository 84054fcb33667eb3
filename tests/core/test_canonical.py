"""The canonical forms of paths and queries."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.canonical import canonical_path, canonical_query
from s3d._core.fault import Fault, FaultCode


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"", b"/"),
        (b"/", b"/"),
        (b"/b//k/../x/./", b"/b//k/../x/./"),
        (b"/b/a%2Fb%2fc", b"/b/a/b/c"),
        (b"/b/%7e%41-_.", b"/b/~A-_."),
        (b"/b/a+b c\xff*", b"/b/a%2Bb%20c%FF%2A"),
        (b"/b/%00%25%2525", b"/b/%00%25%2525"),
    ],
)
def test_a_path_is_decoded_once_and_encoded_once(raw: bytes, canonical: bytes) -> None:
    assert canonical_path(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"", b""),
        (b"acl", b"acl="),
        (b"acl=", b"acl="),
        (b"b=2&a=1&a=0&A=", b"A=&a=0&a=1&b=2"),
        (b"a-b=1&a=2", b"a=2&a-b=1"),
        (b"prefix=a+b%20c/%2f", b"prefix=a%20b%20c%2F%2F"),
        (b"&&x=1&&", b"x=1"),
        (b"a=b=c", b"a=b%3Dc"),
        (b"=v", b"=v"),
    ],
)
def test_a_query_is_sorted_by_encoded_name_then_value(raw: bytes, canonical: bytes) -> None:
    assert canonical_query(raw) == canonical


@given(st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=6)), max_size=60))
def test_any_number_of_parameters_is_sorted_alike(pairs: list[tuple[bytes, bytes]]) -> None:
    encoded = [(quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in pairs]
    raw = "&".join(f"{name}={value}" for name, value in encoded).encode()
    assert canonical_query(raw) == "&".join(f"{name}={value}" for name, value in sorted(encoded)).encode()


@given(st.binary(max_size=60))
def test_a_canonical_form_is_its_own_canonical_form(data: bytes) -> None:
    path = canonical_path(b"/" + quote(data).encode())
    assert canonical_path(path) == path
    query = canonical_query(quote(data, safe="=&").encode())
    assert canonical_query(query) == query


@pytest.mark.parametrize("raw", [b"%", b"%4", b"%zz", b"a%2", b"%-1"])
def test_a_malformed_escape_is_an_invalid_uri(raw: bytes) -> None:
    for canonical in (canonical_path, canonical_query):
        with pytest.raises(Fault) as caught:
            canonical(raw)
        assert caught.value.code == FaultCode.INVALID_URI
