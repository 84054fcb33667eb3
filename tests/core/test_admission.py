"""The steps that every request takes before its operation."""

from __future__ import annotations

import time
from typing import Any

import pytest

from s3d._core.admission import Admission
from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.route import Router
from s3d._core.sigv4 import Credentials, Signer
from s3d._core.verify import Verifier
from s3d.s3.operations import load_operations

OPERATIONS = load_operations()
CREDENTIALS = Credentials(b"AKIDEXAMPLE", b"secret")
HOST = (b"host", b"localhost:33333")
LOCAL = ("127.0.0.1", 33333)


class House:
    """Notes what it is asked."""

    def __init__(self, verifier: Verifier | None = None) -> None:
        self.asked: list[Any] = []
        self.admit = Admission(
            Router(OPERATIONS.routes, ["s3.test"]),
            preflight=OPERATIONS.index("Preflight"),
            internal=self.internal,
            check_host=lambda request: self.asked.append(("host", request.host)),
            authenticate=lambda request: (self.asked.append("authenticate"), None),
            from_page=lambda request, context, origin: ("page", origin),
            handle=lambda request, context: ("handled", request.operation, context),
            verifier=verifier,
        )

    def internal(self, request: Request) -> Response | None:
        self.asked.append("internal")
        return None if request.host.startswith(b"bucket.") else Response(200, [])


def get(target: bytes = b"/bucket/key", *headers: tuple[bytes, bytes], **more: Any) -> Request:
    return Request(more.pop("method", b"GET"), target, [HOST, *headers], local=more.pop("local", LOCAL))


def signed(now_s: int) -> Request:
    headers = [HOST]
    headers += Signer(CREDENTIALS, b"us-east-1").sign(b"GET", b"/bucket/key", b"", headers, b"UNSIGNED-PAYLOAD", now_s)
    return Request(b"GET", b"/bucket/key", headers, local=LOCAL)


def test_a_request_is_routed_and_handled() -> None:
    assert House().admit(get()) == ("handled", OPERATIONS.index("GetObject"), None)


def test_a_host_that_was_let_through_is_not_asked_for_again() -> None:
    house = House()
    house.admit(get())
    house.admit(get())
    assert house.asked.count(("host", b"localhost:33333")) == 1


def test_the_same_host_on_another_address_of_ours_is_asked_for() -> None:
    house = House()
    house.admit(get())
    house.admit(get(local=("192.0.2.1", 33333)))
    assert house.asked.count(("host", b"localhost:33333")) == 2


def test_another_host_on_the_same_address_is_asked_for() -> None:
    house = House()
    house.admit(get())
    house.admit(Request(b"GET", b"/bucket/key", [(b"host", b"evil.test")], local=LOCAL))
    assert ("host", b"evil.test") in house.asked


def test_a_host_that_is_refused_is_asked_for_each_time() -> None:
    house = House()

    def refuse(request: Request) -> None:
        house.asked.append("refused")
        raise Fault(FaultCode.MISDIRECTED_REQUEST, "not ours")

    admit = Admission(
        Router(OPERATIONS.routes), preflight=-2, internal=house.internal, check_host=refuse,
        authenticate=lambda request: (None, None), from_page=lambda *_: None, handle=lambda *_: None,
    )  # fmt: skip
    for _ in range(2):
        with pytest.raises(Fault):
            admit(get())
    assert house.asked == ["refused", "refused"]


def test_over_a_unix_socket_the_check_decides() -> None:
    house = House()
    house.admit(get())
    house.admit(get(local=None))
    assert house.asked.count(("host", b"localhost:33333")) == 2


def test_a_path_below_s3d_is_answered_inside() -> None:
    house = House()
    assert house.admit(get(b"/_s3d/status")).status == 200
    assert house.asked == ["internal"]


def test_a_key_that_looks_like_a_path_of_ours_is_a_key() -> None:
    request = Request(b"GET", b"/_s3d/status", [(b"host", b"bucket.s3.test")], local=LOCAL)
    assert House().admit(request)[0] == "handled"
    assert request.key == b"_s3d/status"


def test_a_request_with_an_origin_goes_the_way_of_pages() -> None:
    assert House().admit(get(b"/bucket/key", (b"origin", b"https://page.test"))) == ("page", b"https://page.test")


def test_a_preflight_is_handled_without_authentication() -> None:
    house = House()
    house.admit(get(method=b"OPTIONS"))
    assert "authenticate" not in house.asked


def test_without_a_verifier_the_authenticator_is_asked() -> None:
    house = House()
    house.admit(get())
    assert "authenticate" in house.asked


def test_the_verifier_reads_the_systems_clock() -> None:
    house = House(Verifier([CREDENTIALS]))
    kind, _, context = house.admit(signed(int(time.time())))
    assert (kind, context.credentials) == ("handled", CREDENTIALS)
    with pytest.raises(Fault) as refused:
        house.admit(signed(int(time.time()) - 3600))
    assert refused.value.code == FaultCode.REQUEST_TIME_TOO_SKEWED


def test_an_unsigned_request_is_denied_where_there_is_a_verifier() -> None:
    with pytest.raises(Fault) as refused:
        House(Verifier([CREDENTIALS])).admit(get())
    assert refused.value.code == FaultCode.ACCESS_DENIED
