"""The router: targets, addresses, keys and queries; ``tests/unit/test_operations.py`` says what selects an operation.

Sources: RFC 9112 §3.2 for targets; "Virtual hosting of buckets" and "Object key names" of the Amazon S3 User Guide.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3d._core.fault import Fault, FaultCode
from s3d._core.percent import encode
from s3d._core.request import Request
from s3d._core.route import Router
from s3d.s3.operations import load_operations

TABLE = load_operations()
ROUTER = Router(TABLE.routes, ["localhost", "S3.Example.com", "example.com"])


def routed(target: bytes, host: bytes = b"127.0.0.1:33333", method: bytes = b"GET", router: Router = ROUTER) -> Request:
    request = Request(method, target, [(b"host", host)])
    assert router.route(request) == request.operation
    return request


def name_of(request: Request) -> str:
    return TABLE.operations[request.operation].name


def refusal(target: bytes, host: bytes = b"localhost", method: bytes = b"GET") -> FaultCode:
    with pytest.raises(Fault) as refused:
        routed(target, host, method)
    return FaultCode(refused.value.code)


# Targets.


def test_a_path_of_one_slash_names_the_service() -> None:
    request = routed(b"/")
    assert (name_of(request), request.bucket, request.key) == ("ListBuckets", "", b"")


def test_a_bucket_is_a_bucket_with_or_without_a_final_slash() -> None:
    for target in (b"/bucket", b"/bucket/"):
        request = routed(target)
        assert (name_of(request), request.bucket, request.key) == ("ListObjects", "bucket", b"")


def test_the_absolute_form_replaces_host_and_path_and_keeps_the_target() -> None:
    request = routed(b"http://bucket.s3.example.com:80/a/b?acl", host=b"other.localhost")
    assert (request.host, request.path, request.query) == (b"bucket.s3.example.com:80", b"/a/b", b"acl")
    assert (request.bucket, request.key, name_of(request)) == ("bucket", b"a/b", "GetObjectAcl")
    assert request.target == b"http://bucket.s3.example.com:80/a/b?acl"


@pytest.mark.parametrize("target", [b"HTTP://host/bucket/key", b"https://host/bucket/key"])
def test_the_scheme_of_the_absolute_form_ignores_letter_case(target: bytes) -> None:
    assert routed(target).key == b"key"


def test_an_absolute_form_without_a_path_names_the_service() -> None:
    assert name_of(routed(b"http://localhost")) == "ListBuckets"


def test_an_absolute_form_without_a_path_keeps_its_query() -> None:
    request = routed(b"http://bucket.localhost?versions")
    assert (name_of(request), request.path) == ("ListObjectVersions", b"/")


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"*",
        b"bucket/key",
        b"?acl",
        b"ftp://host/bucket",
        b"http:/host/bucket",
        b"http://",
        b"http:///bucket",
        b"https://?acl",
        b"http://user@host/bucket",
        b"localhost:443",
        b"/bucket/a key",
        b"/bucket/a\x00key",
        b"/bucket/a\x7fkey",
        b"/bucket?a\r\nb",
    ],
)
def test_a_target_that_is_neither_path_nor_url_is_an_invalid_uri(target: bytes) -> None:
    assert refusal(target) == FaultCode.INVALID_URI


def test_a_double_slash_never_begins_an_authority() -> None:
    assert refusal(b"//bucket.localhost/key") == FaultCode.INVALID_BUCKET_NAME
    assert routed(b"//bucket.localhost/key", host=b"real.localhost").key == b"/bucket.localhost/key"


def test_an_asterisk_is_for_options_alone() -> None:
    assert name_of(routed(b"*", method=b"OPTIONS")) == "Preflight"
    assert refusal(b"*", method=b"PUT") == FaultCode.INVALID_URI


def test_options_is_a_preflight_of_whatever_it_names() -> None:
    request = routed(b"/bucket/key?acl", method=b"OPTIONS")
    assert (name_of(request), request.bucket, request.key) == ("Preflight", "bucket", b"key")


@pytest.mark.parametrize("method", [b"PATCH", b"TRACE", b"CONNECT", b"get", b"GETS", b"", b"\xff"])
def test_a_method_that_no_operation_has_is_not_allowed(method: bytes) -> None:
    assert refusal(b"/bucket/key", method=method) == FaultCode.METHOD_NOT_ALLOWED


# Addresses.


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        (b"bucket.localhost", "bucket"),
        (b"bucket.localhost:33333", "bucket"),
        (b"bucket.localhost.", "bucket"),
        (b"bucket.localhost.:33333", "bucket"),
        (b"Bucket.LOCALHOST", "bucket"),
        (b"my.dotted.bucket.localhost", "my.dotted.bucket"),
        (b"bucket.s3.example.com", "bucket"),
        (b"s3-1.example.com", "s3-1"),
        (b"under_score.localhost", "under_score"),
    ],
)
def test_a_host_below_a_domain_names_the_bucket(host: bytes, bucket: str) -> None:
    request = routed(b"/a/key", host)
    assert (request.bucket, request.key, request.virtual_host) == (bucket, b"a/key", True)


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"localhost",
        b"LOCALHOST:33333",
        b"localhost.",
        b"s3.example.com",
        b"notlocalhost",
        b"bucket.localhost.evil",
        b"bucket.elsewhere.org",
        b"127.0.0.1",
        b"127.0.0.1:33333",
        b"[::1]",
        b"[::1]:33333",
        b"[::ffff:1.localhost]",
        b"localhostx",
        b":80",
        b".",
        b"\xff",
    ],
)
def test_any_other_host_is_path_style(host: bytes) -> None:
    request = routed(b"/bucket/key", host)
    assert (request.bucket, request.key, request.virtual_host) == ("bucket", b"key", False)


def test_the_root_of_a_virtual_host_is_its_bucket() -> None:
    request = routed(b"/", b"bucket.localhost")
    assert (name_of(request), request.bucket, request.key) == ("ListObjects", "bucket", b"")


def test_a_router_without_domains_knows_only_path_style() -> None:
    assert routed(b"/bucket/key", b"other.localhost", router=Router(TABLE.routes)).bucket == "bucket"


@pytest.mark.parametrize("host", [b".localhost", b"..localhost", b".a.localhost", b"_s3d.localhost", b"a b.localhost"])
def test_a_host_that_names_an_impossible_bucket_is_refused(host: bytes) -> None:
    assert refusal(b"/key", host) == FaultCode.INVALID_BUCKET_NAME


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "127.0.0.1", "::1", "[::1]", "a b", "localhost:80", "é.com", ".com"]
)
def test_a_domain_that_is_no_host_name_is_a_value_error(domain: str) -> None:
    with pytest.raises(ValueError, match="not a domain name"):
        Router(TABLE.routes, [domain])


@pytest.mark.parametrize(
    ("segment", "bucket"),
    [
        (b"b", "b"),
        (b"Legacy_Bucket", "Legacy_Bucket"),
        (b"my.bucket-1", "my.bucket-1"),
        (b"tenant:bucket", "tenant:bucket"),
        (b"my%2Dbucket", "my-bucket"),
        (b"bucket--usw2-az1--x-s3", "bucket--usw2-az1--x-s3"),
        (b"a" * 255, "a" * 255),
        (
            b"arn%3Aaws%3As3%3Aus-west-2%3A123456789012%3Aaccesspoint%2Fname",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/name",
        ),
    ],
)
def test_names_of_older_and_compatible_stores_and_access_points_pass(segment: bytes, bucket: str) -> None:
    request = routed(b"/" + segment + b"/key")
    assert (request.bucket, request.key) == (bucket, b"key")


@pytest.mark.parametrize(
    "target",
    [
        b"//",
        b"//key",
        b"/./key",
        b"/../key",
        b"/%2e%2e/key",
        b"/.hidden",
        b"/_s3d/health",
        b"/%5Fs3d/health",
        b"/a%2Fb/key",
        b"/a%00b/key",
        b"/caf%C3%A9/key",
        b"/caf\xc3\xa9/key",
        b"/a+b/key",
        b"/a%20b/key",
        b"/" + b"a" * 256 + b"/key",
    ],
)
def test_a_bucket_name_that_no_store_has_is_refused(target: bytes) -> None:
    assert refusal(target) == FaultCode.INVALID_BUCKET_NAME


# Keys.


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (b"a//b", b"a//b"),
        (b"/a", b"/a"),
        (b"/", b"/"),
        (b"//", b"//"),
        (b"a/", b"a/"),
        (b"../../etc/passwd", b"../../etc/passwd"),
        (b"./a/.", b"./a/."),
        (b"a%2F%2fb", b"a//b"),
        (b"%2e%2e/%2E", b"../."),
        (b"a+b", b"a+b"),
        (b"a%2Bb%20c", b"a+b c"),
        (b"%2520", b"%20"),
        (b"%00", b"\x00"),
        (b"%ff\xff", b"\xff\xff"),
        (b"a;b=c&d:e@f", b"a;b=c&d:e@f"),
        (b"a#b", b"a#b"),
        (b"%3Facl", b"?acl"),
        (b"caf%C3%A9", "café".encode()),
    ],
)
@pytest.mark.parametrize("virtual", [False, True])
def test_a_key_is_decoded_once_and_never_normalized(path: bytes, key: bytes, virtual: bool) -> None:
    target, host = (b"/" + path, b"bucket.localhost") if virtual else (b"/bucket/" + path, b"localhost")
    request = routed(target, host)
    assert (request.bucket, request.key, name_of(request)) == ("bucket", key, "GetObject")


@pytest.mark.parametrize(
    "target", [b"/bucket/%", b"/bucket/%4", b"/bucket/%zz", b"/bucket/%%41", b"/b%2/key", b"/b%g0"]
)
def test_a_malformed_escape_in_the_path_is_an_invalid_uri(target: bytes) -> None:
    assert refusal(target) == FaultCode.INVALID_URI


def test_a_key_of_1024_bytes_is_the_longest() -> None:
    assert len(routed(b"/bucket/" + b"%41" * 1024).key) == 1024
    assert refusal(b"/bucket/" + b"%41" * 1025) == FaultCode.KEY_TOO_LONG


# Queries.


def test_parameters_come_decoded_in_their_order() -> None:
    request = routed(b"/bucket?prefix=a%2Fb&delimiter=%2F&marker=&fetch-owner&x=1=2")
    assert request.params == [
        (b"prefix", b"a/b"),
        (b"delimiter", b"/"),
        (b"marker", b""),
        (b"fetch-owner", b""),
        (b"x", b"1=2"),
    ]


def test_a_plus_in_a_query_is_a_space() -> None:
    request = routed(b"/bucket?prefix=a+b%2Bc")
    assert request.params == [(b"prefix", b"a b+c")]


def test_empty_pairs_are_skipped() -> None:
    assert routed(b"/bucket?&&prefix=a&").params == [(b"prefix", b"a")]


def test_a_pair_without_a_name_stays_a_parameter() -> None:
    assert routed(b"/bucket?=a&=").params == [(b"", b"a"), (b"", b"")]


def test_a_target_without_a_query_has_no_parameters() -> None:
    assert routed(b"/bucket/key").params == []
    assert routed(b"/bucket/key?").params == []


def test_a_question_mark_in_a_query_is_part_of_it() -> None:
    assert routed(b"/bucket/key?a=?b").params == [(b"a", b"?b")]


@pytest.mark.parametrize("query", [b"%", b"a=%4", b"a=b&c=%zz", b"%g1=a", b"a=%"])
def test_a_malformed_escape_in_the_query_is_an_invalid_uri(query: bytes) -> None:
    assert refusal(b"/bucket?" + query) == FaultCode.INVALID_URI


@pytest.mark.parametrize("target", [b"/bucket/key?acl", b"http://localhost/bucket/key?acl"])
def test_routing_again_starts_afresh(target: bytes) -> None:
    request = routed(target)
    ROUTER.route(request)
    assert (request.bucket, request.key, request.params) == ("bucket", b"key", [(b"acl", b"")])


# Properties.

KEYS = st.binary(min_size=1, max_size=1024)
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)


@given(NAMES, KEYS, st.booleans(), st.booleans())
def test_every_key_arrives_byte_for_byte(bucket: str, key: bytes, virtual: bool, keep_slash: bool) -> None:
    path = b"/" + encode(key, keep_slash=keep_slash)
    if virtual:
        request = routed(path, bucket.encode() + b".localhost:1")
    else:
        request = routed(b"/" + bucket.encode() + path)
    assert (request.bucket, request.key, request.virtual_host) == (bucket, key, virtual)


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20))
def test_every_query_arrives_byte_for_byte(pairs: list[tuple[bytes, bytes]]) -> None:
    query = b"&".join(encode(name) + b"=" + encode(value) for name, value in pairs)
    request = Request(b"OPTIONS", b"/bucket?" + query, [])
    try:
        ROUTER.route(request)
    except Fault as fault:
        if fault.code != FaultCode.INVALID_ARGUMENT:  # two subresources by chance
            raise
    else:
        assert request.params == pairs


TARGET_PARTS = st.sampled_from(
    b"/ // ? & = % %2 %2f %00 .. * http:// @ acl uploadId partNumber list-type=2 bucket WriteGetObjectResponse "
    b"x-amz-copy-source \x00 \xff".split(b" ")
)


@given(
    st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"]),
    st.one_of(st.binary(max_size=200), st.lists(TARGET_PARTS, max_size=12).map(b"".join)),
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([b"localhost", b"b.localhost", b"." * 400 + b".localhost", b"b" * 400 + b".localhost"]),
    ),
    st.lists(st.tuples(st.sampled_from([b"x-amz-copy-source", b"authorization"]), st.binary(max_size=9)), max_size=2),
)
def test_any_bytes_are_routed_or_are_a_fault(
    method: bytes, target: bytes, host: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    request = Request(method, target, [(b"host", host), *headers])
    try:
        operation = ROUTER.route(request)
    except Fault:
        return
    assert 0 <= operation < len(TABLE)
    assert len(request.key) <= 1024
    assert len(request.bucket) <= 255
    assert request.key == b"" or request.bucket
