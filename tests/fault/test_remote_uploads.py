"""What a remote may say before it has the whole body: an answer, or 100 Continue."""

from __future__ import annotations

import time

import pytest

from fault.wire import GET, OPERATIONS, check_unavailable
from servers.raw import RawConnection
from servers.scripted import Exchange, ScriptedRemote, answer_of, error_of

# Answers that come too early.


@pytest.mark.parametrize("close", [False, True])
def test_an_error_before_the_whole_body_was_sent_reaches_the_client(
    close: bool, client: RawConnection, scripted: ScriptedRemote
) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(100_000)
        exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
        if close:
            exchange.close()
        else:
            assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000)
    answer_read = client.read_response()
    assert answer_read.status in ((403, 503) if close else (403,))
    assert client.is_closed()


def test_a_success_before_the_whole_body_was_sent_is_none(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.read_body(100_000)
        exchange.send(answer_of(b""))
        assert exchange.wait_until_gone()

    scripted.answer = answer
    client.send(b"PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 200_000)
    check_unavailable(client.read_response())


# 100 Continue.

EXPECTING = OPERATIONS["PutObject, expecting 100"]


def test_the_client_is_told_to_continue_when_the_remote_says_so(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    told = []

    def answer(exchange: Exchange) -> None:
        assert exchange.header(b"expect") == b"100-continue"
        time.sleep(0.4)
        told.append(time.monotonic())
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert exchange.read_body() == b"hello"
        exchange.send(answer_of(b""))

    scripted.answer = answer
    client.send(EXPECTING)
    assert client.read_response(skip_continue=False).status == 100
    assert told
    assert told[0] <= time.monotonic()
    client.send(b"hello")
    assert client.read_response(skip_continue=False).status == 200


def test_the_client_is_told_to_continue_when_the_remote_says_nothing_for_a_while(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    client.send(EXPECTING)
    assert client.read_response(skip_continue=False).status == 100
    client.send(b"hello")
    assert client.read_response(skip_continue=False).status == 200
    assert bytes(scripted.exchanges[0].body) == b"hello"


def test_a_refusal_instead_of_100_reaches_the_client_without_its_body(
    client: RawConnection, scripted: ScriptedRemote
) -> None:
    scripted.answer = lambda exchange: exchange.send(error_of(b"AccessDenied", b"403 Forbidden"))
    client.send(EXPECTING)
    answer = client.read_response(skip_continue=False)
    assert (answer.status, answer.error_code) == (403, "AccessDenied")
    assert client.is_closed()


def test_a_client_that_does_not_wait_for_100_is_served(client: RawConnection, scripted: ScriptedRemote) -> None:
    def answer(exchange: Exchange) -> None:
        if exchange.method == b"PUT":
            time.sleep(0.2)
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert exchange.read_body() == b"hello"
        exchange.send(answer_of(b""))

    scripted.answer = answer
    client.send(EXPECTING + b"hello" + GET)
    assert client.read_response().status == 200
    assert client.read_response().status == 200
