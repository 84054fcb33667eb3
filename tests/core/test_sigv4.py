"""Verifying and making signatures: every refusal in S3's words, and botocore as the second opinion both ways."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

import botocore.auth
import botocore.compat
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer, SigningContext
from s3d._core.verify import SignatureMismatch, Verifier, refuse_signature_v2

ACCESS_KEY = b"AKIAIOSFODNN7EXAMPLE"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
NOW_S = calendar.timegm(NOW.timetuple())
TIME = b"20260314T150926Z"
SCOPE = b"20260314/eu-west-1/s3/aws4_request"
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HOST = (b"host", b"localhost:33333")
CREDENTIALS = Credentials(ACCESS_KEY, SECRET)

Pairs = list[tuple[bytes, bytes]]


def signed(
    method: bytes = b"GET",
    target: bytes = b"/bucket/key",
    headers: Pairs | None = None,
    *,
    credentials: Credentials = CREDENTIALS,
    now_s: int = NOW_S,
    service: bytes = b"s3",
) -> Request:
    headers = [HOST, *(headers or [])]
    path, _, query = target.partition(b"?")
    own = Signer(credentials, b"eu-west-1", service).sign(method, path, query, headers, EMPTY, now_s)
    return Request(method, target, headers + own)


def replaced(request: Request, name: bytes, old: bytes, new: bytes) -> Request:
    """The request with ``old`` replaced in its header ``name``; without the header if ``old`` is empty."""
    headers = [
        (key, value.replace(old, new) if key == name else value) for key, value in request.headers if old or key != name
    ]
    return Request(request.method, request.target, headers)


def verify(request: Request, now_s: int = NOW_S, credentials: Credentials = CREDENTIALS) -> SigningContext | None:
    return Verifier([credentials]).verify(request, now_s)


@contextmanager
def refused(code: FaultCode, words: str = "") -> Iterator[None]:
    with pytest.raises(Fault) as caught:
        yield
    assert caught.value.code == code, caught.value.detail
    assert words in caught.value.detail


# --- the Authorization header ---------------------------------------------------------------------------------------


def test_a_request_without_signature_has_no_context() -> None:
    assert verify(Request(b"GET", b"/bucket/key?prefix=a", [HOST])) is None


def test_an_empty_authorization_header_counts_as_none() -> None:
    assert verify(Request(b"GET", b"/", [HOST, (b"authorization", b"")])) is None


def test_a_signed_request_yields_its_credentials_and_payload_hash() -> None:
    context = verify(signed())
    assert context is not None
    assert (context.credentials, context.payload_hash, context.presigned) == (CREDENTIALS, EMPTY, False)


def test_any_region_is_accepted() -> None:
    own = Signer(CREDENTIALS, b"mars-north-1").sign(b"GET", b"/b", b"", [HOST], EMPTY, NOW_S)
    context = verify(Request(b"GET", b"/b", [HOST, *own]))
    assert context is not None
    assert context.scope == b"20260314/mars-north-1/s3/aws4_request"


@pytest.mark.parametrize("field", ["method", "target", "query", "header", "host"])
def test_a_change_to_what_was_signed_is_noticed(field: str) -> None:
    request = signed(b"PUT", b"/bucket/key?tagging", [(b"content-type", b"text/plain")])
    changed = {
        "method": Request(b"POST", request.target, request.headers),
        "target": Request(b"PUT", b"/bucket/kez?tagging", request.headers),
        "query": Request(b"PUT", b"/bucket/key?acl", request.headers),
        "header": replaced(request, b"content-type", b"plain", b"html"),
        "host": replaced(request, b"host", b"local", b"remote"),
    }[field]
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(changed)


@pytest.mark.parametrize("position", [0, 31, 63])
def test_one_wrong_digit_of_the_signature_is_noticed(position: int) -> None:
    request = signed()
    value = request.header(b"authorization")
    at = len(value) - 64 + position
    wrong = value[:at] + (b"0" if value[at : at + 1] != b"0" else b"1") + value[at + 1 :]
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(replaced(request, b"authorization", value, wrong))


def test_a_short_signature_is_a_mismatch() -> None:
    request = signed()
    value = request.header(b"authorization")
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(replaced(request, b"authorization", value, value[:-1]))


def test_a_mismatch_tells_nothing_secret() -> None:
    request = signed()
    right = request.header(b"authorization")[-64:]
    with pytest.raises(SignatureMismatch) as caught:
        verify(Request(b"HEAD", request.target, request.headers))
    told = repr(caught.value) + caught.value.detail + str(caught.value.canonical_request + caught.value.string_to_sign)
    assert SECRET.decode() not in told
    assert right.decode() not in told
    assert SECRET.decode() not in repr(CREDENTIALS)


def test_the_secret_decides() -> None:
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(signed(), credentials=Credentials(ACCESS_KEY, b"another secret"))


def test_an_unknown_access_key_is_refused() -> None:
    with refused(FaultCode.INVALID_ACCESS_KEY_ID):
        verify(signed(), credentials=Credentials(b"AKIAOTHER", SECRET))


def test_an_access_key_may_contain_slashes() -> None:
    odd = Credentials(b"team/a/key", SECRET)
    assert verify(signed(credentials=odd), credentials=odd) is not None


@pytest.mark.parametrize("offset_s", [-900, 0, 900])
def test_a_clock_within_fifteen_minutes_is_accepted(offset_s: int) -> None:
    assert verify(signed(), NOW_S + offset_s) is not None


@pytest.mark.parametrize("offset_s", [-901, 901, 86400 * 365])
def test_a_clock_further_off_is_refused(offset_s: int) -> None:
    with refused(FaultCode.REQUEST_TIME_TOO_SKEWED):
        verify(signed(), NOW_S + offset_s)


def test_a_wrong_signature_is_told_before_a_wrong_clock() -> None:
    request = replaced(signed(), b"authorization", b"Signature=", b"Signature=0")
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(request, NOW_S + 86400)


def test_a_missing_payload_hash_is_refused() -> None:
    with refused(FaultCode.INVALID_REQUEST, "Missing required header for this request: x-amz-content-sha256"):
        verify(replaced(signed(), b"x-amz-content-sha256", b"", b""))


@pytest.mark.parametrize(
    "time", [b"", b"yesterday", b"20260314T150926", b"20260314 150926Z", b"20261314T150926Z", b"20260332T150926Z"]
)
def test_a_malformed_time_is_refused(time: bytes) -> None:
    with refused(FaultCode.ACCESS_DENIED, "requires a valid Date or x-amz-date header"):
        verify(replaced(signed(), b"x-amz-date", TIME, time))


def test_a_date_header_stands_in_for_x_amz_date() -> None:
    headers = [HOST, (b"date", b"Sat, 14 Mar 2026 15:09:26 GMT"), (b"x-amz-content-sha256", EMPTY)]
    request = botocore_signature_over(b"GET", "/bucket/key", headers)
    assert verify(request) is not None


def test_a_scope_of_another_day_is_refused() -> None:
    with refused(FaultCode.AUTHORIZATION_HEADER_MALFORMED, 'Invalid credential date "20260313"'):
        verify(replaced(signed(), b"authorization", b"/20260314/", b"/20260313/"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"/s3/", b"/ec2/", 'incorrect service "ec2". This endpoint belongs to "s3".'),
        (b"aws4_request", b"aws5_request", 'incorrect terminal "aws5_request"'),
        (b"/20260314/", b"/2026031/", 'incorrect date format "2026031"'),
        (b"/20260314/", b"/2026031x/", 'incorrect date format "2026031x"'),
        (b"/eu-west-1/s3/", b"/s3/", "the Credential is mal-formed"),
        (b"Credential=AKIAIOSFODNN7EXAMPLE", b"Credential=", "the Credential is mal-formed"),
        (b"Credential=", b"Credentials=", "the authorization component"),
        (b"SignedHeaders=", b"Signed=", "the authorization component"),
        (b", Signature=", b", Signature=0, Signature=", "the authorization component"),
        (b"SHA256 ", b"SHA256", "requires three components"),
        (b", Signature=", b";", "requires three components"),
    ],
)
def test_a_malformed_authorization_header_is_refused(old: bytes, new: bytes, words: str) -> None:
    with refused(FaultCode.AUTHORIZATION_HEADER_MALFORMED, words):
        verify(replaced(signed(), b"authorization", old, new))


def test_a_scope_for_s3express_is_refused() -> None:
    with refused(FaultCode.AUTHORIZATION_HEADER_MALFORMED, 'incorrect service "s3express"'):
        verify(signed(service=b"s3express"))


def test_signature_version_2_is_refused_with_advice() -> None:
    request = Request(b"GET", b"/b/k", [HOST, (b"authorization", b"AWS AKID:c2lnbmF0dXJl")])
    with refused(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED, "configure the client for Signature Version 4"):
        verify(request)
    with refused(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED):
        refuse_signature_v2(request)


def test_signature_version_2_in_the_query_is_refused() -> None:
    request = Request(b"GET", b"/b/k?AWSAccessKeyId=AKID&Signature=abc%3D&Expires=1", [HOST])
    with refused(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED):
        verify(request)
    with refused(FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED):
        refuse_signature_v2(request)


def test_other_requests_are_not_taken_for_version_2() -> None:
    refuse_signature_v2(Request(b"GET", b"/b?prefix=AWSAccessKeyId=Signature=", [HOST]))
    refuse_signature_v2(signed())


def test_signature_version_4a_is_refused() -> None:
    with refused(FaultCode.NOT_IMPLEMENTED):
        verify(replaced(signed(), b"authorization", b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"))


def test_another_authorization_scheme_is_refused() -> None:
    with refused(FaultCode.INVALID_ARGUMENT, "Unsupported Authorization Type"):
        verify(Request(b"GET", b"/", [HOST, (b"authorization", b"Bearer token")]))


def test_header_and_query_signatures_exclude_each_other() -> None:
    request = signed(target=b"/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256")
    with refused(FaultCode.INVALID_ARGUMENT, "Only one auth mechanism allowed"):
        verify(request)


def test_two_authorization_headers_are_refused() -> None:
    request = signed()
    with refused(FaultCode.INVALID_ARGUMENT, "Only one auth mechanism allowed"):
        verify(Request(b"GET", request.target, [*request.headers, (b"authorization", b"AWS4-HMAC-SHA256 x")]))


def test_an_unsigned_amz_header_is_refused_by_name() -> None:
    request = signed()
    with refused(FaultCode.ACCESS_DENIED, "were not signed: x-amz-acl"):
        verify(Request(b"GET", request.target, [*request.headers, (b"x-amz-acl", b"public-read")]))


def test_an_unsigned_host_is_refused_by_name() -> None:
    request = replaced(signed(), b"authorization", b"SignedHeaders=host;", b"SignedHeaders=")
    with refused(FaultCode.ACCESS_DENIED, "were not signed: host"):
        verify(request)


@pytest.mark.parametrize("names", [b"host;host;", b"zzz;host;"])
def test_signed_headers_that_do_not_ascend_are_refused(names: bytes) -> None:
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH, "SignedHeaders"):
        verify(replaced(signed(), b"authorization", b"SignedHeaders=host;", b"SignedHeaders=" + names))


def test_an_unsigned_header_of_no_concern_may_be_added() -> None:
    request = signed()
    assert verify(Request(b"GET", request.target, [*request.headers, (b"x-forwarded-for", b"10.0.0.1")])) is not None


def test_inner_runs_of_blanks_in_a_header_are_one_space() -> None:
    request = signed(headers=[(b"x-amz-meta-a", b"one two three")])
    assert verify(replaced(request, b"x-amz-meta-a", b"one two three", b" one  two \t three  ")) is not None


def test_repeated_headers_are_joined_in_order() -> None:
    request = signed(headers=[(b"x-amz-meta-a", b"1"), (b"x-amz-meta-b", b"x"), (b"x-amz-meta-a", b"2")])
    assert verify(request) is not None
    with pytest.raises(SignatureMismatch) as caught:
        verify(Request(b"PUT", request.target, request.headers))
    assert b"\nx-amz-meta-a:1,2\nx-amz-meta-b:x\n" in caught.value.canonical_request


def test_swapping_repeated_headers_is_noticed() -> None:
    request = signed(headers=[(b"x-amz-meta-a", b"1"), (b"x-amz-meta-a", b"2")])
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(Request(b"GET", request.target, [request.headers[0], *request.headers[2:0:-1], *request.headers[3:]]))


# --- session tokens --------------------------------------------------------------------------------------------------

TEMPORARY = Credentials(ACCESS_KEY, SECRET, b"the session token")


def test_a_session_token_that_matches_is_accepted() -> None:
    assert verify(signed(credentials=TEMPORARY), credentials=TEMPORARY) is not None


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (None, b"the session token"),
        (b"the session token", None),
        (b"the session tokeN", b"the session token"),
        (b"the session", b"the session token"),
        (b"", b"the session token"),
    ],
)
def test_a_session_token_that_does_not_match_is_refused(sent: bytes | None, known: bytes | None) -> None:
    request = signed(credentials=Credentials(ACCESS_KEY, SECRET, sent))
    with refused(FaultCode.INVALID_TOKEN):
        verify(request, credentials=Credentials(ACCESS_KEY, SECRET, known))


# --- presigned -------------------------------------------------------------------------------------------------------


def presigned(
    url: str = "/bucket/key",
    expires: object = 3600,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    token: str | None = None,
) -> Request:
    """A request presigned by botocore at NOW."""
    boto = AWSRequest(method=method, url="http://localhost:33333" + url, headers=headers or {})
    with frozen_botocore():
        botocore.auth.S3SigV4QueryAuth(
            BotoCredentials(ACCESS_KEY.decode(), SECRET.decode(), token), "s3", "eu-west-1", expires=expires
        ).add_auth(boto)
    parts = urlsplit(boto.url)
    sent = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request(method.encode(), f"{parts.path}?{parts.query}".encode(), [HOST, *sent])


@contextmanager
def frozen_botocore() -> Iterator[None]:
    """botocore signs with the current time; for the length of this context that is NOW."""
    original = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_, **__: NOW.replace(tzinfo=None)
    try:
        yield
    finally:
        botocore.auth.get_current_datetime = original


def test_a_presigned_request_is_unsigned_payload() -> None:
    context = verify(presigned())
    assert context is not None
    assert (context.presigned, context.payload_hash) == (True, b"UNSIGNED-PAYLOAD")


def test_a_presigned_request_is_valid_to_the_last_second() -> None:
    assert verify(presigned(expires=60), NOW_S + 60) is not None


def test_an_expired_presigned_request_is_refused_with_its_times() -> None:
    with pytest.raises(Fault) as caught:
        verify(presigned(expires=60), NOW_S + 61)
    assert caught.value.code == FaultCode.REQUEST_EXPIRED
    at = [(NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ") for seconds in (60, 61)]
    assert dict(caught.value.fields) == {"X-Amz-Expires": b"60", "Expires": at[0], "ServerTime": at[1]}


def test_a_presigned_request_of_zero_seconds_has_expired() -> None:
    with refused(FaultCode.REQUEST_EXPIRED):
        verify(presigned(expires=0))


def test_a_presigned_request_from_the_future_is_not_valid_yet() -> None:
    assert verify(presigned(), NOW_S - 900) is not None
    with refused(FaultCode.ACCESS_DENIED, "Request is not valid yet"):
        verify(presigned(), NOW_S - 901)


def test_seven_days_are_the_longest_a_presigned_request_lasts() -> None:
    assert verify(presigned(expires=604800), NOW_S + 604800) is not None
    with refused(FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR, "must be less than a week"):
        verify(presigned(expires=604801))


@pytest.mark.parametrize(
    ("expires", "words"),
    [(-1, "must be non-negative"), ("soon", "should be a number"), ("1.5", "should be a number"), ("9" * 40, "number")],
)
def test_a_bad_expiry_is_refused(expires: object, words: str) -> None:
    with refused(FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR, words):
        verify(presigned(expires=expires))


@pytest.mark.parametrize(
    "name",
    [
        b"X-Amz-Algorithm",
        b"X-Amz-Credential",
        b"X-Amz-Signature",
        b"X-Amz-Date",
        b"X-Amz-SignedHeaders",
        b"X-Amz-Expires",
    ],
)
def test_every_parameter_of_a_presigned_request_is_required(name: bytes) -> None:
    request = presigned()
    kept = [part for part in request.query.split(b"&") if not part.startswith(name)]
    with refused(FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR, "Query-string authentication version 4 requires"):
        verify(Request(b"GET", request.path + b"?" + b"&".join(kept), request.headers))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA512", "X-Amz-Algorithm only supports"),
        (b"%2Fs3%2F", b"%2Fec2%2F", 'X-Amz-Credential parameter; incorrect service "ec2"'),
        (b"aws4_request", b"aws4_reques", 'incorrect terminal "aws4_reques"'),
        (b"EXAMPLE%2F2026", b"EXAMPLE2026", "the Credential is mal-formed"),
        (b"%2F20260314%2F", b"%2F2026314%2F", 'incorrect date format "2026314"'),
        (b"%2F20260314%2F", b"%2F20260313%2F", 'Invalid credential date "20260313"'),
        (b"Date=20260314T", b"Date=20260314X", "ISO8601 Long Format"),
        (b"X-Amz-Expires=3600", b"X-Amz-Expires=3600&X-Amz-Expires=3600", "must be given only once"),
    ],
)
def test_a_malformed_presigned_query_is_refused(old: bytes, new: bytes, words: str) -> None:
    request = presigned()
    assert old in request.target
    with refused(FaultCode.AUTHORIZATION_QUERY_PARAMETERS_ERROR, words):
        verify(Request(b"GET", request.target.replace(old, new), request.headers))


@pytest.mark.parametrize(("old", "new"), [(b"/key", b"/kez"), (b"Expires=3600", b"Expires=3601"), (b"?", b"?acl&")])
def test_a_change_to_a_presigned_target_is_noticed(old: bytes, new: bytes) -> None:
    request = presigned()
    with refused(FaultCode.SIGNATURE_DOES_NOT_MATCH):
        verify(Request(b"GET", request.target.replace(old, new, 1), request.headers))


def test_the_order_of_presigned_parameters_does_not_matter() -> None:
    request = presigned("/bucket/key?response-content-type=text%2Fplain")
    parts = request.query.split(b"&")
    assert verify(Request(b"GET", request.path + b"?" + b"&".join(reversed(parts)), request.headers)) is not None


def test_a_presigned_session_token_is_checked() -> None:
    request = presigned(token="the session token")
    assert verify(request, credentials=TEMPORARY) is not None
    with refused(FaultCode.INVALID_TOKEN):
        verify(request)


def test_an_unsigned_amz_header_beside_a_presigned_query_is_refused() -> None:
    request = presigned(method="PUT")
    with refused(FaultCode.ACCESS_DENIED, "were not signed: x-amz-acl"):
        verify(Request(b"PUT", request.target, [*request.headers, (b"x-amz-acl", b"public-read")]))


def test_an_unsigned_payload_hash_beside_a_presigned_query_is_allowed() -> None:
    request = presigned(method="PUT")
    assert verify(Request(b"PUT", request.target, [*request.headers, (b"x-amz-content-sha256", EMPTY)])) is not None


def test_a_malformed_escape_in_the_target_is_an_invalid_uri() -> None:
    with refused(FaultCode.INVALID_URI):
        verify(Request(b"GET", b"/b?a=%zz", [HOST]))


# --- botocore as a second opinion ------------------------------------------------------------------------------------


def botocore_signature_over(method: bytes, url: str, headers: Pairs) -> Request:
    """The request with botocore's authorization, made at NOW."""
    boto = AWSRequest(
        method=method.decode(),
        url="http://localhost:33333" + url,
        headers={name.decode(): value.decode("latin-1") for name, value in headers},
    )
    boto.context["timestamp"] = TIME.decode()
    boto.context["payload_signing_enabled"] = True
    auth = botocore.auth.S3SigV4Auth(BotoCredentials(ACCESS_KEY.decode(), SECRET.decode()), "s3", "eu-west-1")
    canonical = auth.canonical_request(boto)
    signature = auth.signature(auth.string_to_sign(boto, canonical), boto)
    names = auth.signed_headers(auth.headers_to_sign(boto))
    authorization = f"AWS4-HMAC-SHA256 Credential={auth.scope(boto)}, SignedHeaders={names}, Signature={signature}"
    return Request(method, url.encode(), [*headers, (b"authorization", authorization.encode())])


keys = st.binary(min_size=1, max_size=40).map(lambda key: "/bucket/" + quote(key, safe="/-._~"))
words = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
values = st.lists(words, max_size=4).map(" ".join)
metadata = st.dictionaries(st.sampled_from(["a", "b", "cc", "z-1"]), values, max_size=4).map(
    lambda found: [(b"x-amz-meta-" + name.encode(), value.encode()) for name, value in found.items()]
)
encoded = st.text(max_size=8).map(lambda text: quote(text, safe="-._~"))
queries = st.dictionaries(
    st.sampled_from(["acl", "prefix", "list-type", "a%20b", "uploadId", "%C3%A9"]), encoded, max_size=4
).map(lambda found: "&".join(f"{name}={value}" for name, value in found.items()))
methods = st.sampled_from([b"GET", b"PUT", b"DELETE", b"HEAD", b"POST"])


@settings(max_examples=200, deadline=None)
@given(methods, keys, queries, metadata)
def test_what_botocore_signs_we_accept(method: bytes, path: str, query: str, meta: Pairs) -> None:
    headers = [HOST, (b"x-amz-date", TIME), (b"x-amz-content-sha256", EMPTY), *meta]
    request = botocore_signature_over(method, path + ("?" + query if query else ""), headers)
    assert verify(request) is not None


@settings(max_examples=200, deadline=None)
@given(methods, keys, queries, metadata)
def test_what_we_sign_has_botocores_signature(method: bytes, path: str, query: str, meta: Pairs) -> None:
    own = Signer(CREDENTIALS, b"eu-west-1").sign(method, path.encode(), query.encode(), [HOST, *meta], EMPTY, NOW_S)
    headers = [HOST, *meta, *own[:-1]]
    boto = botocore_signature_over(method, path + ("?" + query if query else ""), headers)
    assert own[-1] == (b"authorization", boto.header(b"authorization"))


@settings(max_examples=100, deadline=None)
@given(keys, queries, metadata, st.integers(1, 604800))
def test_what_botocore_presigns_we_accept(path: str, query: str, meta: Pairs, expires: int) -> None:
    headers = {name.decode(): value.decode() for name, value in meta}
    # botocore moves x-amz-* parameters nowhere: the headers stay headers, and are signed.
    assert verify(presigned(path + ("?" + query if query else ""), expires, "PUT", headers)) is not None


@given(st.binary(max_size=120), st.binary(max_size=60))
def test_arbitrary_authorization_and_targets_raise_nothing_but_faults(value: bytes, target: bytes) -> None:
    for authorization in (value, b"AWS4-HMAC-SHA256 " + value):
        try:
            verify(Request(b"GET", b"/" + target, [HOST, (b"x-amz-date", TIME), (b"authorization", authorization)]))
        except Fault:
            continue


# --- the signer ------------------------------------------------------------------------------------------------------


def test_a_session_token_is_sent_and_signed() -> None:
    own = dict(Signer(TEMPORARY, b"eu-west-1").sign(b"GET", b"/", b"", [HOST], EMPTY, NOW_S))
    assert own[b"x-amz-security-token"] == b"the session token"
    assert b"x-amz-security-token," in own[b"authorization"]


def test_headers_that_proxies_change_are_not_signed() -> None:
    headers = [HOST, *((name, b"x") for name in (b"user-agent", b"expect", b"range", b"te", b"via"))]
    own = dict(Signer(CREDENTIALS, b"eu-west-1").sign(b"GET", b"/", b"", headers, EMPTY, NOW_S))
    assert b"SignedHeaders=host;x-amz-content-sha256;x-amz-date," in own[b"authorization"]


@pytest.mark.parametrize("name", [b"x-amz-date", b"x-amz-content-sha256", b"x-amz-security-token", b"authorization"])
def test_a_header_that_is_the_signers_own_is_a_mistake(name: bytes) -> None:
    with pytest.raises(ValueError, match="the signer's to set"):
        Signer(CREDENTIALS, b"eu-west-1").sign(b"GET", b"/", b"", [HOST, (name, b"x")], EMPTY, NOW_S)


def test_the_key_changes_with_the_day() -> None:
    signer = Signer(CREDENTIALS, b"eu-west-1")
    for now_s in (NOW_S, NOW_S + 86400, NOW_S):
        own = signer.sign(b"GET", b"/b", b"", [HOST], EMPTY, now_s)
        assert verify(Request(b"GET", b"/b", [HOST, *own]), now_s) is not None


def test_more_regions_than_keys_are_kept_still_verify() -> None:
    verifier = Verifier([CREDENTIALS])
    for number in (*range(100), 0):
        signer = Signer(Credentials(ACCESS_KEY, SECRET), b"region-%d" % number)
        own = signer.sign(b"GET", b"/", b"", [HOST], EMPTY, NOW_S)
        assert verifier.verify(Request(b"GET", b"/", [HOST, *own]), NOW_S) is not None


@given(st.integers(0, 253402300799))
def test_times_are_written_as_the_calendar_has_them(now_s: int) -> None:
    own = Signer(CREDENTIALS, b"r").sign(b"GET", b"/", b"", [HOST], EMPTY, now_s)
    assert own[0][1].decode() == datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ").rjust(16, "0")


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))
def test_times_are_read_as_they_are_written(time: datetime) -> None:
    now_s = calendar.timegm(time.timetuple())
    assert verify(signed(now_s=now_s), now_s) is not None
    with refused(FaultCode.REQUEST_TIME_TOO_SKEWED):
        verify(signed(now_s=now_s), now_s + 901)
