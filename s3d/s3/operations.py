"""Every S3 operation, and how each is told from the others on the wire.

The table is derived at start from botocore's own service model, so that a newer botocore brings its operations along.
Only the few fields that matter are decoded from the model; the rest of its two megabytes of JSON is skipped, and
nothing of it stays in memory.

What tells one operation from another, in the order in which the router looks:

1. the HTTP method and whether the target names the service, a bucket or an object;
2. one *selector*: a query key that stands in the operation's URI (``?acl``), or, where the URI has none, a query key
   that the operation requires (``uploadId``). A pair with a value, such as ``list-type=2``, is a weak selector: it
   gives way to any other;
3. among operations that share all this, the query keys and headers that each requires: ``id`` tells
   GetBucketAnalyticsConfiguration from ListBucketAnalyticsConfigurations, ``x-amz-copy-source`` CopyObject from
   PutObject;
4. where even those are the same (ListBuckets and ListDirectoryBuckets), query keys that only one of them knows, the
   SDKs' ``x-id`` hint, or the service name that the request is signed for.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import partial
from typing import Any

import msgspec
from botocore.loaders import Loader


class Target(IntEnum):
    """What the request target of an operation names. The router uses the same numbers."""

    SERVICE = 0
    BUCKET = 1
    OBJECT = 2


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One S3 operation as it looks on the wire.

    ``index`` counts from 0 through the table in the order of the names (operations that the model lacks come last):
    the same model gives the same index, another model may not, so it must never be stored.
    """

    index: int
    name: str
    method: str
    uri: str
    """The template of the model, ``/{Bucket}/{Key+}?acl``."""
    target: Target
    path: str = ""
    """A literal path instead of bucket and key (``/WriteGetObjectResponse``), or ``""``."""
    query: tuple[tuple[str, str | None], ...] = ()
    """Query pairs fixed in the URI; the value is None for a bare key."""
    required_query: tuple[str, ...] = ()
    optional_query: tuple[str, ...] = ()
    required_headers: tuple[str, ...] = ()
    """Lower case."""
    host_prefix: str = ""
    """What the model puts before the endpoint's host name; informative, the router does not look at it."""
    express_control: bool = False
    """Sent to the control endpoint of directory buckets, and then signed for ``s3express``."""
    successor: str = ""
    """For a deprecated operation that looks the same on the wire: the operation it is recognised as."""
    modelled: bool = True
    """False for what exists on the wire but not in the model."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the router's table; the router tries the lines in the order in which it gets them."""

    operation: int
    method: bytes
    target: int
    path: bytes = b""
    """The request path must equal this, and bucket and key stay empty; or ``b""``."""
    selector: bytes = b""
    """The query key that must be there; ``b""``: no selector may be there."""
    selector_value: bytes | None = None
    """With a value the selector is weak."""
    queries: tuple[bytes, ...] = ()
    """Further query keys that must be there."""
    headers: tuple[bytes, ...] = ()
    """Headers that must be there, lower case; a presigned request may carry them as query keys."""
    hints: tuple[bytes, ...] = ()
    """One of these query keys, the ``x-id`` or the scope must be there, if any is given."""
    hint_id: bytes = b""
    scope: bytes = b""
    """Service in the credential scope of the Authorization header."""
    fallback: bool = False
    """Taken even without its ``queries`` and ``headers``, when nothing before it fitted."""
    strays: tuple[bytes, ...] = ()
    """Of a line without selector: query keys that must not be there, because with them the request is another
    operation's, sent without its selector."""


class OperationTable:
    """All operations of one service model, by index and by name. Immutable; made once, by `load_operations`."""

    __slots__ = ("_by_name", "operations", "routes")

    operations: tuple[Operation, ...]
    routes: tuple[Route, ...]

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        self._by_name = {operation.name: operation for operation in self.operations}
        self.routes = tuple(_routes(self.operations))

    def __len__(self) -> int:
        return len(self.operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __getitem__(self, name: str) -> Operation:
        """The operation called ``name``, as AWS spells it; KeyError if there is none."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def get(self, name: str) -> Operation | None:
        """The operation called ``name``, or None."""
        return self._by_name.get(name)

    def index(self, name: str) -> int:
        """The index of the operation called ``name``; KeyError if there is none."""
        return self._by_name[name].index


# The parts of service-2.json that matter; msgspec skips all others without making objects of them.


class _Http(msgspec.Struct, rename="camel"):
    method: str
    request_uri: str


class _Shape(msgspec.Struct):
    shape: str


class _Endpoint(msgspec.Struct, rename="camel"):
    host_prefix: str = ""


class _Operation(msgspec.Struct, rename="camel"):
    name: str
    http: _Http
    input: _Shape | None = None
    deprecated: bool = False
    endpoint: _Endpoint | None = None
    static_context_params: dict[str, msgspec.Raw] = {}


class _Member(msgspec.Struct, rename="camel"):
    location: str = ""
    location_name: str = ""


class _Structure(msgspec.Struct):
    required: list[str] = []
    members: dict[str, _Member] = {}


class _Model(msgspec.Struct):
    operations: dict[str, _Operation]
    shapes: dict[str, msgspec.Raw]


class _ModelFile:
    """A file loader for botocore's `Loader` that decodes only what `_Model` names."""

    # Plain text first, as botocore does.
    _forms: tuple[tuple[str, Callable[[str], Any]], ...] = (
        (".json", partial(open, mode="rb")),
        (".json.gz", partial(gzip.open, mode="rb")),
    )

    def exists(self, file_path: str) -> bool:
        return any(os.path.isfile(file_path + suffix) for suffix, _ in self._forms)

    def load_file(self, file_path: str) -> _Model | None:
        for suffix, opened in self._forms:
            if os.path.isfile(file_path + suffix):
                with opened(file_path + suffix) as file:
                    return msgspec.json.decode(file.read(), type=_Model)
        return None


def load_operations() -> OperationTable:
    """Read botocore's S3 model and derive the table; takes some 20 ms.

    Only the model inside the botocore package is read: one in ``~/.aws/models`` extends a client, and must not
    change what a server recognises. Raises what botocore raises when its data are not installed.
    """
    loader = Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH],
        file_loader=_ModelFile(),
        include_default_search_paths=False,
        include_default_extras=False,
    )
    # Not load_service_model(): it would list the directories of all 400 services first.
    version = loader.determine_latest_version("s3", "service-2")
    model: _Model = loader.load_data(f"s3/{version}/service-2")
    modelled = [_modelled(operation, model.shapes) for operation in model.operations.values()]
    return OperationTable(_numbered(_with_successors(modelled) + _unmodelled()))


def _modelled(source: _Operation, shapes: dict[str, msgspec.Raw]) -> Operation:
    path, _, query = source.http.request_uri.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    required: dict[str, list[str]] = {"querystring": [], "header": []}
    optional: list[str] = []
    if source.input is not None:
        structure = msgspec.json.decode(shapes[source.input.shape], type=_Structure)
        for name, member in structure.members.items():
            if name in structure.required:
                if member.location in required:
                    required[member.location].append(member.location_name or name)
            elif member.location == "querystring":
                optional.append(member.location_name or name)
    return Operation(
        index=-1,
        name=source.name,
        method=source.http.method,
        uri=source.http.request_uri,
        target=_target(path),
        path="" if path == "/" or path.startswith("/{") else path,
        # Some models fix an x-id in the URI; no other client sends it, so it cannot be required.
        query=tuple((key, value if equals else None) for key, equals, value in pairs if key not in ("", "x-id")),
        required_query=tuple(required["querystring"]),
        optional_query=tuple(optional),
        required_headers=tuple(name.lower() for name in required["header"]),
        host_prefix=source.endpoint.host_prefix if source.endpoint else "",
        express_control="UseS3ExpressControlEndpoint" in source.static_context_params,
        successor="?" if source.deprecated else "",
    )


def _target(path: str) -> Target:
    if path.startswith("/{Bucket}/"):
        return Target.OBJECT
    return Target.BUCKET if path == "/{Bucket}" else Target.SERVICE


def _unmodelled() -> list[Operation]:
    """Operations that clients send but that no SDK models."""
    return [
        # An HTML form's upload, "POST Object" in the API reference. Its body is multipart/form-data.
        Operation(index=-1, name="PostObject", method="POST", uri="/{Bucket}", target=Target.BUCKET, modelled=False),
        # A browser asks whether it may make a cross-origin request, "OPTIONS object" in the API reference. It may ask
        # about any target; the router recognises it by the method alone.
        Operation(index=-1, name="Preflight", method="OPTIONS", uri="/", target=Target.SERVICE, modelled=False),
    ]


def _appearance(operation: Operation) -> tuple[object, ...]:
    """What the head of a request shows of an operation."""
    return (
        operation.method,
        operation.target,
        operation.path,
        operation.query,
        operation.required_query,
        operation.required_headers,
    )


def _with_successors(operations: list[Operation]) -> list[Operation]:
    """Name for each deprecated operation the one that replaced it on the same URI."""
    current = {_appearance(operation): operation.name for operation in operations if not operation.successor}
    return [
        msgspec.structs.replace(operation, successor=current.get(_appearance(operation), ""))
        if operation.successor
        else operation
        for operation in operations
    ]


def _numbered(operations: list[Operation]) -> list[Operation]:
    ordered = sorted(operations, key=lambda operation: (not operation.modelled, operation.name))
    return [msgspec.structs.replace(operation, index=index) for index, operation in enumerate(ordered)]


def _routes(operations: tuple[Operation, ...]) -> list[Route]:
    """The router's table: most specific first, so that the first line that fits is right."""
    live = [operation for operation in operations if not operation.successor]
    groups: dict[tuple[str, Target, str, str, str | None], list[Operation]] = {}
    for operation in live:
        selector, value = _selector(operation, live)
        groups.setdefault((operation.method, operation.target, operation.path, selector, value), []).append(operation)
    partial_keys: dict[tuple[str, Target], set[str]] = {}
    for (method, target, _, selector, _), group in groups.items():
        for operation in group:
            if selector and not operation.query:
                partial_keys.setdefault((method, target), set()).update({*operation.required_query} - {selector})
    routes: list[Route] = []
    for (method, target, path, selector, value), group in groups.items():
        group.sort(key=lambda one: (-len(one.required_query) - len(one.required_headers), not one.express_control))
        for place, operation in enumerate(group):
            last = place == len(group) - 1
            twins = [one for one in group if one is not operation and _appearance(one) == _appearance(operation)]
            known = {key for twin in twins for key in twin.optional_query}
            hinted = bool(twins) and not last
            strays = set() if selector else partial_keys.get((method, target), set()) - {*operation.optional_query}
            routes.append(
                Route(
                    operation=operation.index,
                    method=method.encode(),
                    target=int(target),
                    path=path.encode(),
                    selector=selector.encode(),
                    selector_value=None if value is None else value.encode(),
                    queries=tuple(key.encode() for key in operation.required_query if key != selector),
                    headers=tuple(name.encode() for name in operation.required_headers),
                    hints=tuple(key.encode() for key in operation.optional_query if key not in known) if hinted else (),
                    hint_id=operation.name.encode() if hinted else b"",
                    scope=b"s3express" if hinted and operation.express_control else b"",
                    # A selector from the URI names its operation even while a required binding is missing: that
                    # is for the operation itself to refuse. Nothing else may be guessed: PUT ?uploadId without a
                    # part number must not become PutObject, and a literal path is a bucket's without its headers.
                    fallback=last and bool(operation.query or not selector) and not path,
                    strays=tuple(key.encode() for key in sorted(strays)),
                )
            )
    return routes


def _selector(operation: Operation, operations: list[Operation]) -> tuple[str, str | None]:
    """The query key (and its value, if that matters) which makes out ``operation``; ``""`` if none does."""
    for key, value in operation.query:
        if value is None:
            return key, None
    for key, value in operation.query:
        return key, value
    # uploadId and partNumber are both required by UploadPart, but GetObject takes partNumber too.
    taken = {key for other in operations if other.target == operation.target for key in other.optional_query}
    for key in operation.required_query:
        if key not in taken:
            return key, None
    return "", None
