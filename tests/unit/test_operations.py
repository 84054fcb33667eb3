"""The operation table: every operation of botocore's model is recognised, and hand-written requests are too.

What a request looks like is botocore's own doing here: its client fills in and signs each operation, and the head it
would have sent is routed back. The hand-written requests say what other clients send.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.route import Router
from s3d.s3.operations import Operation, Target, _Model, load_operations

TABLE = load_operations()
DOMAIN = "s3.test.example"
ROUTER = Router(TABLE.routes, [DOMAIN])
MODEL = botocore.session.Session().get_service_model("s3")

# Told apart only by their bodies; the model marks the first of each pair deprecated.
SAME_ON_THE_WIRE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
BUCKET, KEY = "bucket", "a key/with+plus//and é"


class Captured(Exception):
    """Carries the request that botocore was about to send."""


@cache
def client(style: str) -> Any:
    made = botocore.session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://{DOMAIN}:33333",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": style}, retries={"total_max_attempts": 1}),
    )

    def capture(request: Any, **_: Any) -> None:
        raise Captured(request)

    made.meta.events.register_first("before-send.s3", capture)
    return made


def value_for(shape: Shape, name: str = "") -> Any:
    """The least value that botocore's validation takes for ``shape``."""
    known = {"Bucket": BUCKET, "Key": KEY, "CopySource": {"Bucket": BUCKET, "Key": "source"}}
    if name in known:
        return known[name]
    if isinstance(shape, StructureShape):
        members = shape.required_members
        if not members and getattr(shape, "is_tagged_union", False):
            members = list(shape.members)[:1]
        return {member: value_for(shape.members[member], member) for member in members}
    if isinstance(shape, ListShape):
        return [value_for(shape.member)]
    if isinstance(shape, MapShape):
        return {}
    values = {"integer": 1, "long": 1, "boolean": True, "timestamp": "2026-01-01T00:00:00Z", "blob": b"body"}
    if shape.type_name in values:
        return values[shape.type_name]
    assert isinstance(shape, StringShape), shape.type_name
    return (shape.enum or ["v" * max(1, shape.metadata.get("min", 1))])[0]


def head_of(model: OperationModel, style: str, arguments: dict[str, Any]) -> Request:
    method = getattr(client(style), botocore.xform_name(model.name))
    with pytest.raises(Captured) as captured:
        method(**arguments)
    sent = captured.value.args[0]
    url = urlsplit(sent.url)
    target = url.path + ("?" + url.query if url.query else "")
    headers = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in sent.headers.items()
    ]
    return Request(sent.method.encode(), target.encode(), [(b"host", url.netloc.encode()), *headers])


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("name", MODEL.operation_names)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_operation_as_botocore_sends_it_is_recognised(name: str, style: str) -> None:
    model = MODEL.operation_model(name)
    arguments = value_for(model.input_shape) if model.input_shape else {}
    request = head_of(model, style, arguments)

    routed = TABLE.operations[ROUTER.route(request)]

    assert routed.name == SAME_ON_THE_WIRE.get(name, name)
    assert (request.bucket, request.key) == (
        arguments.get("Bucket", ""),
        arguments["Key"].encode() if "Key" in arguments else b"",
    )
    # botocore sends GetBucketLocation in path style whatever it is told.
    assert request.virtual_host == (style == "virtual" and "Bucket" in arguments and name != "GetBucketLocation")


@pytest.mark.parametrize(
    "name", [name for name in MODEL.operation_names if name not in ("ListBuckets", "ListDirectoryBuckets")]
)
def test_every_operation_is_recognised_with_the_hint_of_other_sdks(name: str) -> None:
    operation = TABLE[name]
    path = operation.path or ["/", "/bucket", "/bucket/key"][operation.target]
    pairs = [f"x-id={name}", *(f"{key}=1" for key in operation.required_query)]
    pairs += [key if value is None else f"{key}={value}" for key, value in operation.query]
    headers = [(header.encode(), b"1") for header in operation.required_headers]
    request = Request(operation.method.encode(), f"{path}?{'&'.join(pairs)}".encode(), headers)
    assert TABLE.operations[ROUTER.route(request)].name == SAME_ON_THE_WIRE.get(name, name)


def test_the_table_has_every_operation_of_the_model_once() -> None:
    assert [operation.name for operation in TABLE if operation.modelled] == sorted(MODEL.operation_names)


def test_the_table_adds_what_only_exists_on_the_wire() -> None:
    assert [operation.name for operation in TABLE if not operation.modelled] == ["PostObject", "Preflight"]


def test_an_index_is_the_place_in_the_table() -> None:
    assert [operation.index for operation in TABLE] == list(range(len(TABLE)))
    assert all(TABLE.index(operation.name) == operation.index for operation in TABLE)


def test_two_loads_give_the_same_table() -> None:
    assert load_operations().operations == TABLE.operations


def test_deprecated_operations_name_their_successors() -> None:
    assert {operation.name: operation.successor for operation in TABLE if operation.successor} == SAME_ON_THE_WIRE


def test_the_parsed_model_is_not_kept() -> None:
    load_operations()
    gc.collect()
    assert not any(isinstance(thing, _Model) for thing in gc.get_objects())


def test_an_operation_says_what_the_model_says() -> None:
    assert TABLE["UploadPartCopy"] == Operation(
        index=TABLE.index("UploadPartCopy"),
        name="UploadPartCopy",
        method="PUT",
        uri="/{Bucket}/{Key+}",
        target=Target.OBJECT,
        required_query=("partNumber", "uploadId"),
        required_headers=("x-amz-copy-source",),
    )
    assert TABLE["SelectObjectContent"].query == (("select", None), ("select-type", "2"))
    assert TABLE["WriteGetObjectResponse"].host_prefix == "{RequestRoute}."


def test_an_unknown_name_is_a_key_error() -> None:
    assert "GetObjekt" not in TABLE
    assert TABLE.get("GetObjekt") is None
    with pytest.raises(KeyError):
        TABLE.index("GetObjekt")


COPY = (b"x-amz-copy-source", b"/bucket/source")
EXPRESS = (b"authorization", b"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3express/aws4_request, Signature=0")

# (method, path-style target, further headers, operation)
HAND_WRITTEN: list[tuple[str, str, list[tuple[bytes, bytes]], str]] = [
    # Empty and valueless keys select alike.
    ("GET", "/bucket?acl", [], "GetBucketAcl"),
    ("GET", "/bucket/?acl=", [], "GetBucketAcl"),
    ("GET", "/bucket/?acl=ignored", [], "GetBucketAcl"),
    ("GET", "/bucket/key?acl", [], "GetObjectAcl"),
    ("GET", "/bucket/key?%61cl", [], "GetObjectAcl"),
    ("GET", "/bucket/key?acl&acl", [], "GetObjectAcl"),
    ("GET", "/bucket/key?&acl&", [], "GetObjectAcl"),
    ("GET", "/bucket/key?uploadId=", [], "ListParts"),
    # Query keys are case-sensitive, and unknown ones change nothing.
    ("GET", "/bucket/key?ACL", [], "GetObject"),
    ("GET", "/bucket/key?v=12&utm_source=x&uploadid=1", [], "GetObject"),
    ("GET", "/bucket/key?session=1&location=2", [], "GetObject"),
    ("PUT", "/bucket/key?v=12", [], "PutObject"),
    ("GET", "/bucket?acl&v=12", [], "GetBucketAcl"),
    ("GET", "/?acl", [], "ListBuckets"),
    ("GET", "/bucket/key?=acl", [], "GetObject"),
    ("GET", "/bucket/key?prefix=acl&marker=uploadId", [], "GetObject"),
    ("GET", "/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00", [], "GetObject"),
    ("GET", "/bucket/key?versionId=1&response-content-type=text%2Fplain", [], "GetObject"),
    # The hint of the SDKs is not needed and does not select.
    ("GET", "/bucket/key?x-id=GetObject", [], "GetObject"),
    ("PUT", "/bucket/key?x-id=CopyObject", [], "PutObject"),
    ("GET", "/bucket/key?x-id=DeleteObject", [], "GetObject"),
    # One template, told apart by a required query key, in any order.
    ("GET", "/bucket/key", [], "GetObject"),
    ("GET", "/bucket/key?partNumber=1", [], "GetObject"),
    ("HEAD", "/bucket/key?partNumber=1", [], "HeadObject"),
    ("GET", "/bucket/key?max-parts=1&uploadId=1", [], "ListParts"),
    ("DELETE", "/bucket/key", [], "DeleteObject"),
    ("DELETE", "/bucket/key?versionId=1", [], "DeleteObject"),
    ("DELETE", "/bucket/key?uploadId=1", [], "AbortMultipartUpload"),
    ("POST", "/bucket/key?uploadId=1", [], "CompleteMultipartUpload"),
    ("POST", "/bucket/key?uploads", [], "CreateMultipartUpload"),
    ("PUT", "/bucket/key?partNumber=1&uploadId=1", [], "UploadPart"),
    ("PUT", "/bucket/key?uploadId=1&x=y&partNumber=1", [], "UploadPart"),
    ("GET", "/bucket?analytics", [], "ListBucketAnalyticsConfigurations"),
    ("GET", "/bucket?analytics&id=1", [], "GetBucketAnalyticsConfiguration"),
    ("GET", "/bucket?id=1&analytics=", [], "GetBucketAnalyticsConfiguration"),
    ("GET", "/bucket?id=1", [], "ListObjects"),
    # A subresource is recognised even while its operation lacks something.
    ("PUT", "/bucket?analytics", [], "PutBucketAnalyticsConfiguration"),
    ("GET", "/bucket/key?attributes", [], "GetObjectAttributes"),
    ("POST", "/bucket/key?select", [], "SelectObjectContent"),
    ("POST", "/bucket/key?select-type=2&select", [], "SelectObjectContent"),
    # By a header, which a presigned URL may carry in its query.
    ("PUT", "/bucket/key", [COPY], "CopyObject"),
    ("PUT", "/bucket/key?uploadId=1&partNumber=1", [COPY], "UploadPartCopy"),
    ("PUT", "/bucket/key?X-Amz-Copy-Source=%2Fbucket%2Fsource", [], "CopyObject"),
    ("PUT", "/bucket/key?uploadId=1&partNumber=1&x-amz-copy-source=b%2Fk", [], "UploadPartCopy"),
    ("PUT", "/bucket/key?acl", [COPY], "PutObjectAcl"),
    ("GET", "/bucket/key", [COPY], "GetObject"),
    # By a value, which gives way to a subresource.
    ("GET", "/bucket", [], "ListObjects"),
    ("GET", "/bucket?list-type=2", [], "ListObjectsV2"),
    ("GET", "/bucket/?prefix=a&delimiter=%2F&list-type=2", [], "ListObjectsV2"),
    ("GET", "/bucket?list-type=%32", [], "ListObjectsV2"),
    ("GET", "/bucket?list-type=1", [], "ListObjects"),
    ("GET", "/bucket?list-type", [], "ListObjects"),
    ("GET", "/bucket?list-type=1&list-type=2", [], "ListObjects"),
    ("GET", "/bucket?list-type=2&list-type=1", [], "ListObjectsV2"),
    ("GET", "/bucket?list-type=2&versions", [], "ListObjectVersions"),
    ("GET", "/bucket?versions&list-type=2", [], "ListObjectVersions"),
    ("PUT", "/bucket?list-type=2", [], "CreateBucket"),
    # On the service.
    ("GET", "/", [], "ListBuckets"),
    ("GET", "/?x-id=ListBuckets", [], "ListBuckets"),
    ("GET", "/?x-id=ListDirectoryBuckets", [], "ListDirectoryBuckets"),
    ("GET", "/?max-directory-buckets=5", [], "ListDirectoryBuckets"),
    ("GET", "/?max-buckets=5", [], "ListBuckets"),
    ("GET", "/", [EXPRESS], "ListDirectoryBuckets"),
    ("POST", "/WriteGetObjectResponse", [], "PostObject"),
    (
        "POST",
        "/WriteGetObjectResponse",
        [(b"x-amz-request-route", b"r"), (b"x-amz-request-token", b"t")],
        "WriteGetObjectResponse",
    ),
    # The rest of the common ones.
    ("POST", "/bucket", [(b"content-type", b"multipart/form-data; boundary=x")], "PostObject"),
    ("POST", "/bucket/?delete", [], "DeleteObjects"),
    ("POST", "/bucket?delete=&x-id=DeleteObjects", [], "DeleteObjects"),
    ("PUT", "/bucket", [], "CreateBucket"),
    ("HEAD", "/bucket", [], "HeadBucket"),
    ("DELETE", "/bucket", [], "DeleteBucket"),
    ("GET", "/bucket?uploads&prefix=a", [], "ListMultipartUploads"),
    ("GET", "/bucket?session", [], "CreateSession"),
    ("PUT", "/bucket/key?renameObject", [(b"x-amz-rename-source", b"/a")], "RenameObject"),
    ("OPTIONS", "/bucket/key", [(b"origin", b"http://a.example")], "Preflight"),
    ("OPTIONS", "/", [], "Preflight"),
]


@pytest.mark.parametrize(("method", "target", "headers", "name"), HAND_WRITTEN)
def test_a_hand_written_request_is_recognised(
    method: str, target: str, headers: list[tuple[bytes, bytes]], name: str
) -> None:
    request = Request(method.encode(), target.encode(), [(b"host", b"127.0.0.1:33333"), *headers])
    assert TABLE.operations[ROUTER.route(request)].name == name


@pytest.mark.parametrize(
    ("method", "target", "headers", "name"), [row for row in HAND_WRITTEN if row[1].startswith("/bucket")]
)
def test_a_hand_written_request_to_a_virtual_host_is_recognised(
    method: str, target: str, headers: list[tuple[bytes, bytes]], name: str
) -> None:
    rest = target.removeprefix("/bucket")
    rest = rest if rest.startswith("/") else "/" + rest
    request = Request(method.encode(), rest.encode(), [(b"host", f"bucket.{DOMAIN}".encode()), *headers])
    assert TABLE.operations[ROUTER.route(request)].name == name
    assert (request.bucket, request.key) == ("bucket", b"key" if target.startswith("/bucket/key") else b"")


REFUSED: list[tuple[str, str, FaultCode]] = [
    # A known subresource by a method that it does not have must not fall back on the bucket or object itself.
    ("DELETE", "/bucket?acl", FaultCode.METHOD_NOT_ALLOWED),
    ("DELETE", "/bucket?versioning", FaultCode.METHOD_NOT_ALLOWED),
    ("DELETE", "/bucket/key?acl", FaultCode.METHOD_NOT_ALLOWED),
    ("PUT", "/bucket?location", FaultCode.METHOD_NOT_ALLOWED),
    ("PUT", "/bucket?delete", FaultCode.METHOD_NOT_ALLOWED),
    ("PUT", "/bucket/key?torrent", FaultCode.METHOD_NOT_ALLOWED),
    ("GET", "/bucket/key?uploads", FaultCode.METHOD_NOT_ALLOWED),
    ("HEAD", "/bucket?acl", FaultCode.METHOD_NOT_ALLOWED),
    ("POST", "/bucket?acl", FaultCode.METHOD_NOT_ALLOWED),
    # Nothing has this method here.
    ("POST", "/bucket/key", FaultCode.METHOD_NOT_ALLOWED),
    ("POST", "/", FaultCode.METHOD_NOT_ALLOWED),
    ("PUT", "/", FaultCode.METHOD_NOT_ALLOWED),
    ("HEAD", "/", FaultCode.METHOD_NOT_ALLOWED),
    ("DELETE", "/", FaultCode.METHOD_NOT_ALLOWED),
    # Two subresources, in either order: the remote might take the other one.
    ("GET", "/bucket?acl&policy", FaultCode.INVALID_ARGUMENT),
    ("GET", "/bucket/key?tagging&acl", FaultCode.INVALID_ARGUMENT),
    ("GET", "/bucket/key?acl&uploadId=1", FaultCode.INVALID_ARGUMENT),
    ("POST", "/bucket/key?uploads&uploadId=1", FaultCode.INVALID_ARGUMENT),
    ("DELETE", "/bucket?cors&website", FaultCode.INVALID_ARGUMENT),
    # Half of UploadPart must not become PutObject.
    ("PUT", "/bucket/key?uploadId=1", FaultCode.INVALID_ARGUMENT),
    ("PUT", "/bucket/key?partNumber=1", FaultCode.INVALID_ARGUMENT),
]


@pytest.mark.parametrize(("method", "target", "code"), REFUSED)
def test_what_is_no_operation_is_refused(method: str, target: str, code: FaultCode) -> None:
    request = Request(method.encode(), target.encode(), [(b"host", b"127.0.0.1")])
    with pytest.raises(Fault) as refused:
        ROUTER.route(request)
    assert refused.value.code == code
    assert request.operation == -1


@pytest.mark.parametrize("target", ["/bucket/key?partNumber=1", "/bucket/key?uploadId=1"])
def test_half_of_a_part_copy_is_refused_too(target: str) -> None:
    with pytest.raises(Fault) as refused:
        ROUTER.route(Request(b"PUT", target.encode(), [COPY]))
    assert refused.value.code == FaultCode.INVALID_ARGUMENT


_STRONG = {
    target: sorted(
        {one.selector for one in TABLE.routes if one.target == target and one.selector and one.selector_value is None}
    )
    for target in (Target.BUCKET, Target.OBJECT)
}
_FOREIGN = [
    *((name, "/bucket/key") for name in _STRONG[Target.BUCKET] if name not in _STRONG[Target.OBJECT]),
    *((name, "/bucket") for name in _STRONG[Target.OBJECT] if name not in _STRONG[Target.BUCKET]),
    # Of an object whose key got lost.
    (b"versionId", "/bucket"),
]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize(("name", "path"), _FOREIGN)
def test_a_write_is_not_read_past_a_subresource_of_another_target(name: bytes, path: str, method: str) -> None:
    with pytest.raises(Fault) as refused:
        ROUTER.route(Request(method.encode(), f"{path}?{name.decode()}=1".encode(), [(b"host", b"127.0.0.1")]))
    assert refused.value.code == FaultCode.METHOD_NOT_ALLOWED


def test_no_parameter_of_a_write_is_a_subresource_of_another_target() -> None:
    for operation in TABLE:
        foreign = {
            name.decode() for name, path in _FOREIGN if (path == "/bucket") == (operation.target == Target.BUCKET)
        }
        if operation.method in ("PUT", "POST", "DELETE") and operation.target != Target.SERVICE:
            assert not foreign & {*operation.optional_query, *operation.required_query}, operation.name
