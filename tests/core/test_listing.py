"""Listing entries in C: the same bytes as in Python, for any key, and readable by a parser."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.listing import list_entries
from s3d.index.records import Checksum, Generation
from s3d.s3.dates import iso_date
from s3d.s3.elements import Owner, element, etag_element, in_listing, owner_element

KEYS = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.text(min_size=1, max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text("ab/&<>\"'%+ \t\r\n\x00\x7f\u00fc\u20ac\ufffd\ufffe\uffff\U0001f600\U0010ffff", min_size=1).map(str.encode),
)
CHECKSUMS = st.none() | st.builds(
    Checksum,
    st.sampled_from(["CRC32", "CRC64NVME"]),
    st.just("AAAAAA=="),
    st.sampled_from(["FULL_OBJECT", "COMPOSITE"]),
)
YEAR_10000_MS = 253402300800_000
OBJECTS = st.builds(
    Generation,
    number=st.just(1),
    size_bytes=st.integers(0, 2**63 - 1),
    etag=st.sampled_from(["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e-12", 'a"<&']),
    modified_ms=st.integers(-62135596800_000, YEAR_10000_MS - 1),
    checksum=CHECKSUMS,
    storage_class=st.sampled_from(["STANDARD", "STANDARD_IA"]),
)
OWNER = Owner("abc", 'a "name" & more')


def reference_row(
    key: bytes, item: Generation, *, owner: Owner | None = None, encode: bool = False, version: bool = False
) -> bytes:
    """One ``Contents`` or ``Version``, put together in plain sight."""
    name, said = ("Version", "<VersionId>null</VersionId><IsLatest>true</IsLatest>") if version else ("Contents", "")
    checksum = ""
    if item.checksum is not None:
        checksum = element("ChecksumAlgorithm", item.checksum.algorithm) + element("ChecksumType", item.checksum.kind)
    return (
        f"<{name}>{element('Key', in_listing(key, encode))}{said}"
        f"{element('LastModified', iso_date(item.modified_ms))}{etag_element(item.etag)}"
        f"{checksum}<Size>{item.size_bytes}</Size>{'' if owner is None else owner_element(owner)}"
        f"{element('StorageClass', item.storage_class)}</{name}>"
    ).encode()


def entry(**changes: Any) -> Generation:
    return Generation(**{"number": 1, "size_bytes": 5, "etag": "e", "modified_ms": 0, **changes})


@given(st.lists(st.tuples(KEYS, OBJECTS), max_size=4), st.booleans(), st.booleans())
def test_entries_are_the_bytes_of_the_reference(
    rows: list[tuple[bytes, Generation]], encode: bool, owned: bool
) -> None:
    owner = OWNER if owned else None
    written = list_entries(rows, encode=encode, owner=owner_element(OWNER).encode() if owned else b"")
    assert written == b"".join(reference_row(key, item, owner=owner, encode=encode) for key, item in rows)


@given(KEYS, OBJECTS, st.booleans())
def test_version_entries_are_the_bytes_of_the_reference(key: bytes, item: Generation, encode: bool) -> None:
    owner = owner_element(OWNER).encode()
    written = list_entries([(key, item)], encode=encode, owner=owner, versions=True)
    assert written == reference_row(key, item, owner=OWNER, encode=encode, version=True)


@given(KEYS)
def test_any_key_can_be_parsed_and_is_whole_when_url_encoded(key: bytes) -> None:
    plain = ElementTree.fromstring(list_entries([(key, entry())]))
    encoded = ElementTree.fromstring(list_entries([(key, entry())], encode=True))
    assert plain.findtext("Key")
    assert unquote_to_bytes(encoded.findtext("Key") or "") == key


@given(KEYS.filter(lambda key: key.isascii() and min(key) >= 0x20))
def test_a_key_that_xml_can_carry_is_read_as_it_is(key: bytes) -> None:
    read = ElementTree.fromstring(list_entries([(key, entry())]))
    assert read.findtext("Key") == key.decode()


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"\xed\xa0\x80", b"%ED%A0%80"),
        (b"\xc0\x80", b"%C0%80"),
        (b"\xe2\x82", b"%E2%82"),
        (b"\xe2\x82A", b"%E2%82A"),
        (b"\xf4\x90\x80\x80", b"%F4%90%80%80"),
        (b"\xf0\x8f\xbf\xbf", b"%F0%8F%BF%BF"),
        (b"\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd", b"%EF%BF%BE%EF%BF%BF\xef\xbf\xbd"),
        (b"\x00\x1f\x7f\t\n\r", b"%00%1F\x7f&#9;&#10;&#13;"),
    ],
)
def test_what_xml_cannot_carry_is_escaped_byte_by_byte(data: bytes, written: bytes) -> None:
    assert list_entries([(data, entry())]).partition(b"<Key>")[2].partition(b"</Key>")[0] == written


@given(st.integers(0, YEAR_10000_MS - 1))
def test_times_are_those_of_the_c_library(time_ms: int) -> None:
    expected = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time_ms // 1000)).rjust(24, "0").encode()
    assert b"<LastModified>%b</LastModified>" % expected in list_entries([(b"k", entry(modified_ms=time_ms))])


@pytest.mark.parametrize("changes", [{"size_bytes": -1}, {"modified_ms": YEAR_10000_MS}, {"modified_ms": -(2**62)}])
def test_numbers_that_no_object_has_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"bytes|year"):
        list_entries([(b"k", entry(**changes))])


@pytest.mark.parametrize(
    "rows", [[("key", entry())], [(b"k",)], [[b"k", entry()]], [(b"k", None)], [(b"k", entry(etag=7))]]
)
def test_rows_of_another_shape_are_refused(rows: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        list_entries(rows)
