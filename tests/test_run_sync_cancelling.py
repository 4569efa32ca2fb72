"""Cancelling plain functions: a thread cannot be stopped, only kept from beginning, and asked."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import PoolClosed, TaskCancelled, check_cancelled
from tests._blocker import Blocker
from tests._calls import double
from tests._stage import PATIENCE, Stage, until

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


def test_the_caller_waits_for_the_functions_end(open_pool: OpenPool) -> None:
    """A cancelled caller goes on when the function has ended, with its cancellation."""

    async def main() -> None:
        blocker = Blocker()
        async with open_pool(1) as pool:
            caller = asyncio.create_task(pool.run_sync(blocker))
            await asyncio.to_thread(until, blocker.began)
            caller.cancel()
            await pool.run(double, 1)  # by then the worker has heard of it
            assert not caller.done()
            blocker.released.set()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert blocker.ended.is_set()

    asyncio.run(main())


def test_a_function_that_does_not_ask_delivers_its_result(open_pool: OpenPool) -> None:
    """cancelled() is a fact: a function that ran to its end was not cancelled."""
    blocker = Blocker()
    with open_pool(1) as pool:
        future = pool.executor().submit(blocker, "done all the same")
        until(blocker.began)
        assert future.cancel()
        assert pool.call(double, 1) == 2
        assert not future.done()
        blocker.released.set()

        assert future.result(PATIENCE) == "done all the same"
        assert not future.cancelled()


def ask_for_ever(began: threading.Event) -> None:
    """Work that asks from time to time whether it is still wanted."""
    began.set()
    while True:
        check_cancelled()
        time.sleep(0.001)


def test_a_function_that_asks_is_cancelled(open_pool: OpenPool) -> None:
    """check_cancelled() raises in it once its task was asked to stop, and the task is cancelled."""
    began = threading.Event()
    with open_pool(1) as pool:
        future = pool.executor().submit(ask_for_ever, began)
        until(began)

        assert future.cancel()

        with pytest.raises(TaskCancelled):
            future.result(PATIENCE)
        assert future.cancelled()
        assert pool.statistics().cancelled == 1


def test_a_caller_that_is_cancelled_ends_a_function_that_asks(open_pool: OpenPool) -> None:
    """The cancellation of the caller of run_sync reaches the function, and comes back."""

    async def main() -> None:
        began = threading.Event()
        async with open_pool(1) as pool:
            caller = asyncio.create_task(pool.run_sync(ask_for_ever, began))
            await asyncio.to_thread(until, began)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller

    asyncio.run(main())


def test_asking_raises_only_when_it_has_to(open_pool: OpenPool) -> None:
    """As long as nobody wants it to stop, a function may ask as often as it likes."""

    def ask() -> str:
        for _ in range(10):
            check_cancelled()
        return "untouched"

    with open_pool(1) as pool:
        assert pool.executor().submit(ask).result(PATIENCE) == "untouched"


def test_asking_elsewhere_says_so(open_pool: OpenPool) -> None:
    """check_cancelled() is for functions of run_sync and executor() only."""

    async def ask() -> None:
        check_cancelled()

    async def ask_in_thread() -> None:
        await asyncio.to_thread(check_cancelled)

    with pytest.raises(RuntimeError, match="outside a function that run_sync"):
        check_cancelled()
    with open_pool(1) as pool:
        for fn in (ask, ask_in_thread):
            with pytest.raises(RuntimeError, match="outside a function that run_sync"):
                pool.call(fn)


def test_a_nested_coroutine_has_no_share_in_it(open_pool: OpenPool) -> None:
    """A coroutine that a function calls is none that may ask, though its caller is."""

    async def ask() -> str:
        with pytest.raises(RuntimeError, match="outside"):
            check_cancelled()
        return "refused"

    with open_pool(1) as pool:
        assert pool.executor().submit(lambda: pool.call(ask)).result(PATIENCE) == "refused"


def test_what_has_not_begun_never_does(open_pool: OpenPool) -> None:
    """A function that waits for a thread, and is cancelled, is settled at once and never runs."""
    begun: list[int] = []
    stage = Stage()
    with open_pool(1) as pool, pool.executor() as executor:
        blocked = [executor.submit(stage.released.block) for _ in range(40)]
        waiting = [executor.submit(begun.append, number) for number in range(10)]
        pool.call(double, 1)  # their tasks have started
        assert all(future.cancel() for future in waiting)
        for future in waiting:
            assert future.wait(PATIENCE)
            assert future.cancelled()
        stage.released.set()
        assert all(future.result(PATIENCE) for future in blocked)
    assert begun == []


def test_closing_without_draining_asks_too(open_pool: OpenPool) -> None:
    """A function that asks from time to time ends when the pool is closed."""
    began = threading.Event()
    pool = open_pool(1, grace=PATIENCE)
    pool.open()
    future = pool.executor().submit(ask_for_ever, began)
    until(began)

    pool.close(drain=0)

    with pytest.raises(TaskCancelled):
        future.result(0)


def test_a_function_that_blocks_is_given_up(open_pool: OpenPool, expected_logs: list[Any]) -> None:
    """Closing is bounded by the grace: the future says so, and the thread is left to itself."""
    blocker = Blocker()
    pool = open_pool(1, grace=0.05)
    pool.open()
    future = pool.executor().submit(blocker)
    until(blocker.began)

    pool.close(drain=0)

    with pytest.raises(PoolClosed, match="Blocker"):
        future.result(0)
    assert expected_logs
    blocker.released.set()
    until(blocker.ended)


def test_an_error_while_cancelling_is_raised(open_pool: OpenPool) -> None:
    """An error of the function wins over the caller's cancellation, as that of any clean-up."""

    async def main() -> None:
        blocker = Blocker()

        def fail_late() -> None:
            blocker()
            raise LookupError("late")

        async with open_pool(1) as pool:
            caller = asyncio.create_task(pool.run_sync(fail_late))
            await asyncio.to_thread(until, blocker.began)
            caller.cancel()
            await pool.run(double, 1)
            blocker.released.set()
            with pytest.raises(LookupError, match="late"):
                await caller

    asyncio.run(main())
