"""`Promise`: settled once, told at once, mapped, adopted, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from s3d._core.promise import Promise


def outcome(promise: Promise) -> Any:
    """What the promise came to: its value, or its error's type and text."""
    try:
        return promise.result()
    except BaseException as error:  # noqa: BLE001 - compared by the test
        return type(error), str(error)


def failing(error: BaseException) -> Callable[[object], object]:
    def transform(_: object) -> object:
        raise error

    return transform


def test_a_promise_is_settled_by_its_value() -> None:
    promise = Promise()
    assert not promise.done
    promise.resolve(5)
    assert promise.done
    assert promise.result() == 5


def test_only_the_first_settlement_counts() -> None:
    promise = Promise()
    promise.resolve(1)
    promise.resolve(2)
    promise.reject(ValueError("late"))
    assert promise.result() == 1


def test_an_error_is_raised_by_result() -> None:
    promise = Promise()
    promise.reject(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        promise.result()


def test_asking_for_the_result_too_early_is_an_error() -> None:
    with pytest.raises(asyncio.InvalidStateError):
        Promise().result()


@pytest.mark.parametrize("early", [False, True], ids=["mapped before", "mapped after"])
@pytest.mark.parametrize(
    ("settle", "transform", "recover", "expected"),
    [
        (lambda p: p.resolve(2), lambda v: v * 10, None, 20),
        (lambda p: p.resolve(2), lambda v: v * 10, lambda e: "recovered", 20),
        (lambda p: p.resolve(2), failing(KeyError("a")), None, (KeyError, "'a'")),
        (lambda p: p.resolve(2), failing(KeyError("a")), lambda e: "not for transform's own", (KeyError, "'a'")),
        (lambda p: p.reject(ValueError("x")), lambda v: v * 10, None, (ValueError, "x")),
        (lambda p: p.reject(ValueError("x")), lambda v: v * 10, lambda e: f"had {e}", "had x"),
        (lambda p: p.reject(ValueError("x")), lambda v: v * 10, failing(OSError("y")), (OSError, "y")),
    ],
)
def test_a_mapped_promise_comes_to_what_the_mapping_says(
    early: bool,
    settle: Callable[[Promise], None],
    transform: Callable[[Any], Any],
    recover: Callable[[Any], Any] | None,
    expected: object,
) -> None:
    promise = Promise()
    if not early:
        settle(promise)
    mapped = promise.then(transform, recover)
    if early:
        settle(promise)
    assert outcome(mapped) == expected


@pytest.mark.parametrize("inner_first", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_a_mapping_that_returns_a_promise_is_waited_for(inner_first: bool, fails: bool) -> None:
    inner, promise = Promise(), Promise()
    mapped = promise.then(lambda _: inner)

    def settle_inner() -> None:
        inner.reject(ValueError("x")) if fails else inner.resolve("inner")

    if inner_first:
        settle_inner()
        promise.resolve(1)
    else:
        promise.resolve(1)
        assert not mapped.done
        settle_inner()
    assert outcome(mapped) == ((ValueError, "x") if fails else "inner")


def test_a_recovery_may_return_a_promise_too() -> None:
    inner, promise = Promise(), Promise()
    mapped = promise.then(lambda v: v, lambda _: inner)
    promise.reject(ValueError("x"))
    assert not mapped.done
    inner.resolve("second try")
    assert mapped.result() == "second try"


def test_a_promise_can_be_mapped_again() -> None:
    promise = Promise()
    mapped = promise.then(lambda v: v + 1).then(lambda v: v * 10)
    promise.resolve(1)
    assert mapped.result() == 20


def test_cancelling_tells_the_maker_once() -> None:
    calls: list[str] = []
    promise = Promise(lambda: calls.append("stop"))
    promise.cancel()
    promise.cancel()
    assert calls == ["stop"]
    with pytest.raises(asyncio.CancelledError):
        promise.result()


def test_cancelling_a_settled_promise_does_nothing() -> None:
    calls: list[str] = []
    promise = Promise(lambda: calls.append("stop"))
    promise.resolve(1)
    promise.cancel()
    assert (calls, promise.result()) == ([], 1)


def test_cancelling_runs_neither_mapping() -> None:
    calls: list[object] = []
    promise = Promise().then(calls.append, calls.append)
    promise.cancel()
    assert calls == []


def test_cancelling_an_adopting_promise_cancels_the_adopted_one() -> None:
    calls: list[str] = []
    inner, promise = Promise(lambda: calls.append("inner")), Promise(lambda: calls.append("outer"))
    mapped = promise.then(lambda _: inner)
    promise.resolve(1)
    mapped.cancel()
    assert calls == ["inner"]
    assert inner.done
    assert outcome(mapped)[0] is asyncio.CancelledError


def test_the_canceller_can_be_replaced() -> None:
    calls: list[str] = []
    promise = Promise(lambda: calls.append("old"))
    promise.on_cancel(lambda: calls.append("new"))
    promise.cancel()
    assert calls == ["new"]


def test_a_canceller_that_settles_its_promise_changes_nothing() -> None:
    promise = Promise()
    promise.on_cancel(lambda: promise.resolve("too late"))
    promise.cancel()
    assert outcome(promise)[0] is asyncio.CancelledError


def test_a_coroutine_gets_the_value_of_a_promise_settled_later() -> None:
    async def main() -> object:
        promise = Promise()
        asyncio.get_running_loop().call_soon(promise.resolve, 7)
        return await promise

    assert asyncio.run(main()) == 7


def test_a_coroutine_gets_the_error_of_a_promise() -> None:
    async def main() -> object:
        promise = Promise()
        promise.reject(ValueError("x"))
        return await promise

    with pytest.raises(ValueError, match="x"):
        asyncio.run(main())


def test_cancelling_the_coroutine_that_waits_cancels_the_promise() -> None:
    calls: list[str] = []

    async def main() -> None:
        promise = Promise(lambda: calls.append("stop"))

        async def wait() -> object:
            return await promise

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert promise.done

    asyncio.run(main())
    assert calls == ["stop"]


def test_two_coroutines_cannot_wait_for_the_same_promise() -> None:
    async def main() -> None:
        promise = Promise()

        async def wait() -> object:
            return await promise

        first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await second
        promise.resolve(1)
        assert await first == 1

    asyncio.run(main())
