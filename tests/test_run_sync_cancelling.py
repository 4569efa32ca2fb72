"""Cancelling plain functions: a thread cannot be stopped, only kept from beginning, and asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, PoolClosed, TaskCancelled, check_cancelled
from tests._blocker import Blocker
from tests._shared import Flag, Notes
from tests._stage import PATIENCE, Stage, nothing
from tests._sync_calls import ask_for_ever

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


def test_the_caller_waits_for_the_functions_end(steady_pool: LoopPool) -> None:
    """A cancelled caller goes on when the function has ended, with its cancellation."""

    async def main() -> None:
        blocker = Blocker()
        caller = asyncio.create_task(steady_pool.run_sync(blocker))
        await blocker.began.wait()
        caller.cancel()
        await steady_pool.broadcast(nothing)  # by then the worker has heard of it
        assert not caller.done()
        blocker.released.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert blocker.ended.is_set()

    asyncio.run(main())


def test_a_function_that_does_not_ask_delivers_its_result(steady_pool: LoopPool) -> None:
    """cancelled() is a fact: a function that ran to its end was not cancelled."""
    blocker = Blocker()
    future = steady_pool.executor().submit(blocker, "done all the same")
    blocker.began.block()
    assert future.cancel()
    steady_pool.broadcast(nothing).result(PATIENCE)  # by then the worker has heard of it
    assert not future.done()
    blocker.released.set()

    assert future.result(PATIENCE) == "done all the same"
    assert not future.cancelled()


def test_a_function_that_asks_is_cancelled(open_pool: OpenPool) -> None:
    """check_cancelled() raises in it once its task was asked to stop, and the task is cancelled."""
    began = Flag()
    with open_pool(1) as pool:
        future = pool.executor().submit(ask_for_ever, began)
        began.block()

        assert future.cancel()

        with pytest.raises(TaskCancelled):
            future.result(PATIENCE)
        assert future.cancelled()
        assert pool.statistics().cancelled == 1


def test_a_caller_that_is_cancelled_ends_a_function_that_asks(steady_pool: LoopPool) -> None:
    """The cancellation of the caller of run_sync reaches the function, and comes back."""

    async def main() -> None:
        began = Flag()
        caller = asyncio.create_task(steady_pool.run_sync(ask_for_ever, began))
        await began.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(main())


def test_asking_raises_only_when_it_has_to(steady_pool: LoopPool) -> None:
    """As long as nobody wants it to stop, a function may ask as often as it likes."""

    def ask() -> str:
        for _ in range(10):
            check_cancelled()
        return "untouched"

    assert steady_pool.executor().submit(ask).result(PATIENCE) == "untouched"


def test_asking_elsewhere_says_so(steady_pool: LoopPool) -> None:
    """check_cancelled() is for functions of run_sync and executor() only."""

    async def ask() -> None:
        check_cancelled()

    async def ask_in_thread() -> None:
        await asyncio.to_thread(check_cancelled)

    with pytest.raises(RuntimeError, match="outside a function that run_sync"):
        check_cancelled()
    for fn in (ask, ask_in_thread):
        with pytest.raises(RuntimeError, match="outside a function that run_sync"):
            steady_pool.call(fn)


@pytest.mark.backends("thread", why="elsewhere a function cannot call the pool that runs it")
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
    begun: Notes[int] = Notes()
    stage = Stage()
    with open_pool(1) as pool, pool.executor() as executor:
        blocked = [executor.submit(stage.released.block) for _ in range(40)]
        waiting = [executor.submit(begun.append, number) for number in range(10)]
        pool.call(nothing)  # their tasks have started
        assert all(future.cancel() for future in waiting)
        for future in waiting:
            assert future.wait(PATIENCE)
            assert future.cancelled()
        stage.released.set()
        for future in blocked:
            future.result(PATIENCE)
    assert begun == []


def test_closing_without_draining_asks_too(open_pool: OpenPool) -> None:
    """A function that asks from time to time ends when the pool is closed."""
    began = Flag()
    pool = open_pool(1, grace=PATIENCE)
    pool.open()
    future = pool.executor().submit(ask_for_ever, began)
    began.block()

    pool.close(drain=0)

    with pytest.raises(TaskCancelled):
        future.result(0)


@pytest.mark.backends("thread", "process", why="an interpreter with a thread that blocks cannot be closed")
def test_a_function_that_blocks_is_given_up(open_pool: OpenPool, expected_logs: list[Any]) -> None:
    """Closing is bounded by the grace: the future says so, and the thread is left to itself."""
    blocker = Blocker()
    pool = open_pool(1, grace=0.05)
    pool.open()
    future = pool.executor().submit(blocker)
    blocker.began.block()

    pool.close(drain=0)

    with pytest.raises(PoolClosed, match="Blocker"):
        future.result(0)
    assert expected_logs
    blocker.released.set()


def test_an_error_while_cancelling_is_raised(steady_pool: LoopPool) -> None:
    """An error of the function wins over the caller's cancellation, as that of any clean-up."""

    async def main() -> None:
        blocker = Blocker()

        def fail_late() -> None:
            blocker()
            raise LookupError("late")

        caller = asyncio.create_task(steady_pool.run_sync(fail_late))
        await blocker.began.wait()
        caller.cancel()
        await steady_pool.broadcast(nothing)
        blocker.released.set()
        with pytest.raises(LookupError, match="late"):
            await caller

    asyncio.run(main())
