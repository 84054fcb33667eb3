"""Identities, the two modes of authentication, and form policies."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import json

import pytest

from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, Signer
from s3d.auth import Authenticator, Identity, PostPolicy
from s3d.s3.errors import S3Error

NOW_S = calendar.timegm((2026, 3, 14, 15, 9, 26))
EMPTY = hashlib.sha256().hexdigest().encode()
ROOT = Identity(access_key_id="AKIDROOT", secret_access_key="topsecret", display_name="root", is_root=True)
GUEST = Identity(access_key_id="AKIDGUEST", secret_access_key="guestsecret", session_token="token/+=")


def authenticator(mode: str = "sigv4", now_s: float = NOW_S) -> Authenticator:
    return Authenticator(mode, [ROOT, GUEST], now_s=lambda: now_s)  # type: ignore[arg-type]


def signed(identity: Identity) -> Request:
    token = None if identity.session_token is None else identity.session_token.encode()
    credentials = Credentials(identity.access_key_id.encode(), identity.secret_access_key.encode(), token)
    headers = [(b"host", b"localhost")]
    own = Signer(credentials, b"us-east-1").sign(b"GET", b"/b", b"", headers, EMPTY, NOW_S)
    return Request(b"GET", b"/b", headers + own)


@pytest.mark.parametrize("identity", [ROOT, GUEST])
def test_a_signed_request_is_its_identitys(identity: Identity) -> None:
    found, context = authenticator().authenticate(signed(identity))
    assert found is identity
    assert context is not None
    assert context.payload_hash == EMPTY


def test_an_anonymous_request_is_denied() -> None:
    with pytest.raises(Fault) as caught:
        authenticator().authenticate(Request(b"GET", b"/b", [(b"host", b"localhost")]))
    assert caught.value.code == FaultCode.ACCESS_DENIED


def test_a_request_of_somebody_unknown_is_denied() -> None:
    with pytest.raises(Fault) as caught:
        authenticator().authenticate(signed(Identity(access_key_id="AKIDX", secret_access_key="x")))
    assert caught.value.code == FaultCode.INVALID_ACCESS_KEY_ID


def test_the_clock_is_the_authenticators() -> None:
    with pytest.raises(Fault) as caught:
        authenticator(now_s=NOW_S + 5000).authenticate(signed(ROOT))
    assert caught.value.code == FaultCode.REQUEST_TIME_TOO_SKEWED


@pytest.mark.parametrize("request_", [signed(ROOT), Request(b"GET", b"/b", []), signed(GUEST)])
def test_mode_none_takes_signed_and_unsigned_requests(request_: Request) -> None:
    assert authenticator("none").authenticate(request_) == (None, None)


@pytest.mark.parametrize("mode", ["none", "sigv4"])
def test_signature_version_2_is_refused_in_every_mode(mode: str) -> None:
    request = Request(b"GET", b"/b", [(b"host", b"h"), (b"authorization", b"AWS AKIDROOT:c2ln")])
    with pytest.raises(Fault) as caught:
        authenticator(mode).authenticate(request)
    assert caught.value.code == FaultCode.SIGNATURE_VERSION_NOT_SUPPORTED


def test_signature_version_2_passes_where_nothing_is_checked_and_nobody_is_asked_behind() -> None:
    request = Request(b"GET", b"/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", [(b"host", b"localhost")])
    assert Authenticator("none", take_any=True).authenticate(request) == (None, None)


def test_two_identities_of_one_access_key_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="AKIDROOT"):
        Authenticator("sigv4", [ROOT, ROOT])


def test_an_identity_keeps_its_secrets_to_itself() -> None:
    told = repr(GUEST) + str(GUEST)
    assert "AKIDGUEST" in told
    assert "guestsecret" not in told
    assert "token" not in told


# --- form policies ---------------------------------------------------------------------------------------------------

Conditions = list[object]
FORM = {"key": "user/file.txt", "bucket": "photos", "x-amz-meta-tag": "x"}
CONDITIONS: Conditions = [
    {"bucket": "photos"},
    ["starts-with", "$key", "user/"],
    ["starts-with", "$x-amz-meta-tag", ""],
    ["content-length-range", 5, 100],
]
SIGNING_CONDITIONS: Conditions = [["starts-with", f"$x-amz-{name}", ""] for name in ("algorithm", "credential", "date")]
DOCUMENT = {"expiration": "2026-03-14T16:00:00.000Z", "conditions": CONDITIONS + SIGNING_CONDITIONS}


def form(document: object = DOCUMENT, *, raw: bytes | None = None, **changes: str | None) -> dict[str, str]:
    """A form with the policy ``document``, signed by ROOT, then ``changes`` made to its fields (None removes one)."""
    encoded = base64.b64encode(raw if raw is not None else json.dumps(document).encode())
    key = b"AWS4topsecret"
    for part in (b"20260314", b"eu-west-1", b"s3", b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    fields: dict[str, str | None] = {
        **FORM,
        "policy": encoded.decode(),
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "AKIDROOT/20260314/eu-west-1/s3/aws4_request",
        "x-amz-date": "20260314T150000Z",
        "x-amz-signature": hmac.digest(key, encoded, "sha256").hex(),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return {name: value for name, value in fields.items() if value is not None}


def with_conditions(*more: object) -> dict[str, object]:
    return {**DOCUMENT, "conditions": [*CONDITIONS, *SIGNING_CONDITIONS, *more]}


def verify(fields: dict[str, str], now_s: float = NOW_S) -> PostPolicy:
    return authenticator(now_s=now_s).verify_post_policy(fields)


def refused(fields: dict[str, str], code: str, words: str = "", now_s: float = NOW_S) -> None:
    with pytest.raises(S3Error) as caught:
        verify(fields, now_s)
    assert caught.value.code == code, caught.value.message
    assert words in caught.value.message


def test_a_form_within_its_policy_is_its_signers() -> None:
    policy = verify(form())
    assert (policy.identity, policy.min_bytes, policy.max_bytes) == (ROOT, 5, 100)


def test_the_published_example_policy_has_the_published_signature() -> None:
    """Amazon S3 API reference, "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)"."""
    text = (
        '{ "expiration": "2015-12-30T12:00:00.000Z",\r\n'
        '  "conditions": [\r\n'
        '    {"bucket": "sigv4examplebucket"},\r\n'
        '    ["starts-with", "$key", "user/user1/"],\r\n'
        '    {"acl": "public-read"},\r\n'
        '    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},\r\n'
        '    ["starts-with", "$Content-Type", "image/"],\r\n'
        '    {"x-amz-meta-uuid": "14365123651274"},\r\n'
        '    {"x-amz-server-side-encryption": "AES256"},\r\n'
        '    ["starts-with", "$x-amz-meta-tag", ""],\r\n'
        "\r\n"
        '    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},\r\n'
        '    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},\r\n'
        '    {"x-amz-date": "20151229T000000Z" }\r\n'
        "  ]\r\n"
        "}"
    )
    example = Identity(
        access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    )
    fields = {
        "bucket": "sigv4examplebucket",
        "key": "user/user1/${filename}",
        "acl": "public-read",
        "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        "content-type": "image/jpeg",
        "x-amz-meta-uuid": "14365123651274",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-meta-tag": "",
        "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-date": "20151229T000000Z",
        "policy": base64.b64encode(text.encode()).decode(),
        "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
    }
    now_s = calendar.timegm((2015, 12, 29, 12, 0, 0))
    policy = Authenticator("sigv4", [example], now_s=lambda: now_s).verify_post_policy(fields)
    assert policy.identity is example


@pytest.mark.parametrize("name", ["x_amz_algorithm", "x_amz_credential", "x_amz_date", "x_amz_signature"])
def test_a_form_without_a_field_of_its_signature_is_refused(name: str) -> None:
    refused(form(**{name: None}), "InvalidArgument", "Bucket POST must contain a field named")


def test_a_form_without_policy_is_anonymous() -> None:
    refused(form(policy=None), "AccessDenied")


def test_a_form_signed_by_version_2_is_refused() -> None:
    fields = {**form(x_amz_signature=None), "awsaccesskeyid": "AKIDROOT"}
    refused(fields, "InvalidRequest", "Please use AWS4-HMAC-SHA256")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"x_amz_algorithm": "AWS4-HMAC-SHA1"}, "InvalidArgument"),
        ({"x_amz_credential": "AKIDROOT/20260314/eu-west-1/s3"}, "AuthorizationHeaderMalformed"),
        ({"x_amz_credential": "AKIDROOT/20260314/eu-west-1/ec2/aws4_request"}, "AuthorizationHeaderMalformed"),
        ({"x_amz_credential": "AKIDROOT/20260314/eu-west-1/s3/aws4"}, "AuthorizationHeaderMalformed"),
        ({"x_amz_credential": "AKIDROOT/20260313/eu-west-1/s3/aws4_request"}, "AuthorizationHeaderMalformed"),
        ({"x_amz_credential": "AKIDNO/20260314/eu-west-1/s3/aws4_request"}, "InvalidAccessKeyId"),
        ({"x_amz_credential": "AKIDROOT/20260314/us-west-1/s3/aws4_request"}, "SignatureDoesNotMatch"),
        ({"x_amz_date": "2026-03-14"}, "InvalidArgument"),
        ({"x_amz_signature": "0" * 64}, "SignatureDoesNotMatch"),
        ({"x_amz_security_token": "what"}, "InvalidToken"),
        ({"policy": base64.b64encode(b"{}").decode()}, "SignatureDoesNotMatch"),
    ],
)
def test_a_form_whose_signature_does_not_hold_is_refused(changes: dict[str, str], code: str) -> None:
    refused(form(**changes), code)


def test_a_policy_has_an_end() -> None:
    end_s = calendar.timegm((2026, 3, 14, 16, 0, 0))
    assert verify(form(), end_s - 1).identity is ROOT
    refused(form(), "AccessDenied", "Policy expired", end_s)


@pytest.mark.parametrize(
    "raw",
    [
        b"not json",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b"[" * 5000,
        json.dumps({"conditions": []}).encode(),
        json.dumps({"expiration": "2026-03-14T16:00:00.000Z"}).encode(),
        json.dumps({"EXPIRATION": "2026-03-14T16:00:00.000Z", "conditions": []}).encode(),
        json.dumps({"expiration": "tomorrow", "conditions": []}).encode(),
        json.dumps({"expiration": "2026-13-14T16:00:00Z", "conditions": []}).encode(),
        json.dumps({"expiration": 1800000000, "conditions": []}).encode(),
        json.dumps({"expiration": "2026-03-14T16:00:00.000Z", "conditions": {}}).encode(),
    ],
)
def test_a_malformed_policy_document_is_refused(raw: bytes) -> None:
    refused(form(raw=raw), "InvalidPolicyDocument")


@pytest.mark.parametrize(
    "condition",
    [
        {},
        [],
        "eq",
        ["eq", "key", "x"],
        ["eq", "$key"],
        ["eq", "$key", 5],
        ["like", "$key", "x"],
        ["content-length-range", 1],
        ["content-length-range", "one", 2],
        ["content-length-range", -1, 2],
        ["content-length-range", True, 2],
        {"key": ["user/file.txt"]},
    ],
)
def test_a_malformed_condition_is_refused(condition: object) -> None:
    refused(form(with_conditions(condition)), "InvalidPolicyDocument")


@pytest.mark.parametrize(
    "condition",
    [
        {"key": "user/file.TXT"},
        ["eq", "$key", "user/"],
        ["starts-with", "$key", "other/"],
        {"acl": "private"},
        {"bucket": "photos", "key": "x"},
    ],
)
def test_a_field_that_does_not_meet_its_condition_is_refused(condition: object) -> None:
    refused(form(with_conditions(condition)), "AccessDenied", "Invalid according to Policy: Policy Condition failed")


def test_a_field_without_condition_is_refused() -> None:
    refused({**form(), "acl": "public-read"}, "AccessDenied", "Extra input fields: acl")


def test_a_policy_must_name_the_bucket() -> None:
    document = {**DOCUMENT, "conditions": CONDITIONS[1:] + SIGNING_CONDITIONS}
    refused(form(document), "AccessDenied", "Extra input fields: bucket")


def test_fields_to_be_ignored_need_no_condition() -> None:
    assert verify({**form(), "x-ignore-this": "1"}).identity is ROOT


def test_names_and_operators_are_of_any_case() -> None:
    condition = ["StArTs-WiTh", "$KEY", "user/"]
    assert verify(form(with_conditions(condition, {"BuCKeT": "photos"}))).identity is ROOT


def test_each_of_several_content_types_must_match() -> None:
    document = with_conditions(["starts-with", "$Content-Type", "image/"])
    assert verify(form(document, content_type="image/jpeg, image/png")).identity is ROOT
    refused(form(document, content_type="image/jpeg,text/html"), "AccessDenied")


def test_the_policys_own_escapes_are_understood() -> None:
    raw = json.dumps(with_conditions(["eq", "$x-amz-meta-tag", "PRICE"])).replace("PRICE", "\\$5\\\\").encode()
    assert verify(form(raw=raw, x_amz_meta_tag="$5\\")).identity is ROOT


def test_the_narrowest_of_several_ranges_counts() -> None:
    policy = verify(form(with_conditions(["content-length-range", "0", "50"], ["content-length-range", 9, 1000])))
    assert (policy.min_bytes, policy.max_bytes) == (9, 50)


@pytest.mark.parametrize(("size", "code"), [(4, "EntityTooSmall"), (101, "EntityTooLarge")])
def test_a_file_outside_the_range_is_refused(size: int, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        verify(form()).check_size(size)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [5, 100])
def test_a_file_at_the_edges_of_the_range_is_accepted(size: int) -> None:
    verify(form()).check_size(size)


def test_a_policy_without_range_takes_any_size() -> None:
    document = {**DOCUMENT, "conditions": CONDITIONS[:-1] + SIGNING_CONDITIONS}
    verify(form(document)).check_size(5 * 2**40)


def test_a_policy_document_has_a_limit() -> None:
    refused(form(raw=b" " * 20_480), "MaxPostPreDataLengthExceededError")


def test_a_temporary_identity_must_bring_its_token() -> None:
    def sign(policy: str) -> str:
        key = b"AWS4guestsecret"
        for part in (b"20260314", b"eu-west-1", b"s3", b"aws4_request"):
            key = hmac.digest(key, part, "sha256")
        return hmac.digest(key, policy.encode(), "sha256").hex()

    fields = form(with_conditions(["starts-with", "$x-amz-security-token", ""]))
    fields["x-amz-credential"] = fields["x-amz-credential"].replace("AKIDROOT", "AKIDGUEST")
    fields["x-amz-signature"] = sign(fields["policy"])
    refused(fields, "InvalidToken")
    assert verify({**fields, "x-amz-security-token": "token/+="}).identity is GUEST
