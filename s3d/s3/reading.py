"""Documents that come in: XML to records, or S3's MalformedXML.

A document type, and with it every entity and every reference outwards, is refused, as is nesting deeper than any of
these documents has. How long a body may be, whoever collects it decides: 10,000 parts with a SHA-512 each, the longest
that S3 allows, are 2.2 MB, 3.5 MB when laid out over lines. Elements are taken with or without S3's namespace. One
that the operation's schema does not have is refused too: it may be a condition that somebody relies on.

Sources: the operations' pages in the Amazon S3 API reference; XML 1.0, fifth edition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.parsers import expat

import msgspec

from s3d.s3.checksums import BY_ELEMENT
from s3d.s3.dates import parse_http_date
from s3d.s3.errors import S3Error
from s3d.s3.names import invalid_argument
from s3d.s3.steps import Steps, at_once

MAX_PARTS = 10_000
MAX_DELETES = 1000

_MAX_DEPTH = 8
# The largest document has 10,000 parts of at most four elements each, twice over; an element takes some 200 bytes here,
# the shortest one four in the body.
_MAX_ELEMENTS = 80_000
_STEP_BYTES = 4096
_STEP_PARTS = 64


class Element:
    """One element: its name without a prefix, its own text (of a leaf), its children."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Element] = []


class _Tree:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._count = 0
        self._open: list[Element] = []
        self._text: list[str] = []

    def start(self, name: str, _: object) -> None:
        element = Element(name.rpartition(":")[2])
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            raise malformed()
        if self._open:
            # What stands between children may only lay the document out.
            if self._text and "".join(self._text).strip():
                raise malformed()
            if len(self._open) == _MAX_DEPTH:
                raise malformed()
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._text.clear()

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _: str) -> None:
        element = self._open.pop()
        if element.children:
            if self._text and "".join(self._text).strip():
                raise malformed()
        else:
            element.text = "".join(self._text)
        self._text.clear()

    def doctype(self, *_: object) -> None:
        raise malformed()


def malformed(message: str = "") -> S3Error:
    """The MalformedXML, to be raised."""
    return S3Error("MalformedXML", message)


def parse_document(body: bytes, root: str) -> Element:
    """The document's element, which must be called ``root``; raises MalformedXML. Safe for any bytes."""
    return at_once(_document(body, root))


def _document(body: bytes, root: str) -> Steps[Element]:
    tree = _Tree()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    try:
        for start in range(0, len(body), _STEP_BYTES):
            parser.Parse(body[start : start + _STEP_BYTES], False)
            yield
        parser.Parse(b"", True)
    # ValueError and LookupError: an encoding in the XML declaration that Python does not have.
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise S3Error("MalformedXML", cause=error) from error
    if tree.root is None or tree.root.name != root:
        raise malformed()
    return tree.root


def leaves(element: Element, allowed: Iterable[str], required: Iterable[str] = ()) -> dict[str, str]:
    """The texts of an element's children by name; MalformedXML if one is not ``allowed``, comes twice, has children of
    its own, or is ``required`` and missing."""
    found: dict[str, str] = {}
    for child in element.children:
        if child.children or child.name in found or child.name not in allowed:
            raise malformed()
        found[child.name] = child.text
    if not element.children and element.text.strip():
        raise malformed()
    if any(name not in found for name in required):
        raise malformed()
    return found


class CompletedPart(msgspec.Struct, frozen=True):
    """A part as CompleteMultipartUpload lists it."""

    number: int
    etag: str
    """Without quotes."""
    checksum: tuple[str, str] | None = None
    """Algorithm's name and value as sent."""


_PART_FIELDS = frozenset(("PartNumber", "ETag", *BY_ELEMENT))
_NUMBER = re.compile(r"\s*[+-]?\d{1,18}\s*", re.ASCII)


def _integer(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise malformed()
    return int(text)


def parse_complete(body: bytes) -> list[CompletedPart]:
    """The parts that a CompleteMultipartUpload document lists, in its order.

    Raises MalformedXML, also for no parts or more than `MAX_PARTS`; InvalidArgument for a part number below 1 and for
    two checksums of one part; InvalidPart for a number that no part can have.
    """
    return at_once(parse_complete_in_steps(body))


def parse_complete_in_steps(body: bytes) -> Steps[list[CompletedPart]]:
    """`parse_complete`: 10,000 parts take 100 to 200 ms."""
    root = yield from _document(body, "CompleteMultipartUpload")
    if not 1 <= len(root.children) <= MAX_PARTS:
        raise malformed()
    parts: list[CompletedPart] = []
    for count, child in enumerate(root.children):
        if count % _STEP_PARTS == 0:
            yield
        if child.name != "Part":
            raise malformed()
        fields = leaves(child, _PART_FIELDS, ("PartNumber", "ETag"))
        number = _integer(fields["PartNumber"])
        if number < 1:
            raise invalid_argument("PartNumber", str(number), "PartNumber must be >= 1")
        if number > MAX_PARTS:
            raise S3Error("InvalidPart", extra={"PartNumber": str(number), "ETag": fields["ETag"]})
        checksums = [(BY_ELEMENT[name], value) for name, value in fields.items() if name in BY_ELEMENT]
        if len(checksums) > 1:
            raise invalid_argument(
                "Checksum", checksums[1][1], "Invalid Base64 or multiple checksums present in request"
            )
        parts.append(CompletedPart(number, fields["ETag"].strip().strip('"'), checksums[0] if checksums else None))
    return parts


class DeleteEntry(msgspec.Struct, frozen=True):
    """An object that DeleteObjects is to delete, if the conditions hold (`conditions.check_delete_entry`)."""

    key: bytes
    version: str | None = None
    etag: bytes | None = None
    """As sent, quotes and all."""
    modified_ms: int | None = None
    size_bytes: int | None = None


class DeleteRequest(msgspec.Struct, frozen=True):
    quiet: bool
    """Only errors are reported."""
    entries: list[DeleteEntry]


_ENTRY_FIELDS = frozenset(("Key", "VersionId", "ETag", "LastModifiedTime", "Size"))


def parse_delete(body: bytes) -> DeleteRequest:
    """What a Delete document asks for: 1 to `MAX_DELETES` entries in its order; raises MalformedXML.

    Keys may be longer than a key may be: that is an error of their entry, as `names.check_key` has it.
    """
    root = parse_document(body, "Delete")
    quiet = None
    entries: list[DeleteEntry] = []
    for child in root.children:
        if child.name == "Quiet" and quiet is None and not child.children:
            quiet = _boolean(child.text)
        elif child.name == "Object" and len(entries) < MAX_DELETES:
            entries.append(_delete_entry(child))
        else:
            raise malformed()
    if not entries:
        raise malformed()
    return DeleteRequest(bool(quiet), entries)


def _delete_entry(element: Element) -> DeleteEntry:
    fields = leaves(element, _ENTRY_FIELDS, ("Key",))
    if not fields["Key"]:
        raise malformed()
    modified_ms = size_bytes = None
    if "LastModifiedTime" in fields:
        modified_ms = parse_http_date(fields["LastModifiedTime"].strip().encode())
        if modified_ms is None:
            raise malformed()
    if "Size" in fields:
        size_bytes = _integer(fields["Size"])
    etag = fields.get("ETag")
    return DeleteEntry(
        fields["Key"].encode(),
        # An empty element is what some clients write for none.
        fields.get("VersionId") or None,
        None if etag is None else etag.encode(),
        modified_ms,
        size_bytes,
    )


def _boolean(text: str) -> bool:
    value = text.strip().lower()
    if value not in ("true", "false", "1", "0"):
        raise malformed()
    return value in ("true", "1")


class BucketConfiguration(msgspec.Struct, frozen=True):
    """What CreateBucket asks for."""

    location: str = ""
    """LocationConstraint; empty: none."""
    tags: list[tuple[str, str]] = []
    """As sent: hold them against `tags.check_tags`."""


def parse_bucket_configuration(body: bytes) -> BucketConfiguration:
    """What a CreateBucketConfiguration document, or an empty body, asks for.

    Raises MalformedXML, or NotImplemented for a directory bucket (``Location`` or ``Bucket``).
    """
    if not body.strip():
        return BucketConfiguration()
    root = parse_document(body, "CreateBucketConfiguration")
    location = None
    tags = None
    for child in root.children:
        if child.name == "LocationConstraint" and location is None and not child.children:
            location = child.text.strip()
        elif child.name == "Tags" and tags is None:
            tags = parse_tags(child)
        elif child.name in ("Location", "Bucket"):
            raise S3Error("NotImplemented", "Directory buckets are not implemented", extra={"Element": child.name})
        else:
            raise malformed()
    if not root.children and root.text.strip():
        raise malformed()
    return BucketConfiguration(location or "", tags or [])


# The shape of the names of regions, those that compatible stores give themselves included.
_REGION = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
# What Ireland was called before there were other regions in Europe.
_OLD_NAMES = {"EU": "eu-west-1"}


def region_of(location: str) -> str:
    """The region that a LocationConstraint names; "" for none."""
    return _OLD_NAMES.get(location, location)


def check_location(location: str, region: str) -> None:
    """Raise unless a bucket may be made in ``location`` here, where the region is ``region``.

    InvalidLocationConstraint for what is no region's name, IllegalLocationConstraintException for another region's;
    but us-east-1 takes any, as the endpoint of that name does at AWS. An empty one is the region's own.
    """
    if not location:
        return
    named = region_of(location)
    if not _REGION.fullmatch(named):
        raise S3Error("InvalidLocationConstraint", extra={"LocationConstraint": location})
    if region not in (named, "us-east-1"):
        raise S3Error(
            "IllegalLocationConstraintException",
            f"The {location} location constraint is incompatible for the region specific endpoint this request was "
            "sent to.",
        )


def parse_tags(element: Element) -> list[tuple[str, str]]:
    """The Tag elements below a TagSet or Tags, as sent; raises MalformedXML."""
    if not element.children and element.text.strip():
        raise malformed()
    tags = []
    for child in element.children:
        if child.name != "Tag":
            raise malformed()
        fields = leaves(child, ("Key", "Value"), ("Key", "Value"))
        tags.append((fields["Key"], fields["Value"]))
    return tags
