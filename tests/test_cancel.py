"""Cancelling: a request that reaches the task, and a fact only when the task has ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._calls import clean_up_behind, double, forever, place, turn
from tests._gate import PATIENCE, Gate
from tests._shared import Flag, Notes
from tests._stage import Stage, nothing, until

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool


def test_cancel_reaches_the_task(steady_pool: LoopPool) -> None:
    """cancel() raises CancelledError in the task, on its own loop, though that sleeps (A7)."""
    gate = Gate()
    seen: Notes[tuple[int, int]] = Notes()

    async def watch() -> None:
        try:
            await gate.passage()
        except asyncio.CancelledError:
            seen.append(await place())
            raise

    view = steady_pool.options(worker=0)
    future = view.submit(watch)
    gate.wait_started()

    assert future.cancel()
    with pytest.raises(polyloop.TaskCancelled):
        future.result(PATIENCE)
    assert future.cancelled()
    assert seen == [view.call(place)]


def test_it_is_not_cancelled_before_its_clean_up_is_over(steady_pool: LoopPool) -> None:
    """While `finally` blocks run, the future is neither done nor cancelled (B3)."""
    gate = Gate()
    future = _started(steady_pool, gate)
    future.cancel()
    gate.wait_started()  # its clean-up has begun
    during = (future.done(), future.cancelled())
    gate.open()
    future.wait(PATIENCE)

    assert during == (False, False)
    assert (future.done(), future.cancelled()) == (True, True)


def test_a_task_that_had_ended_keeps_its_result(steady_pool: LoopPool) -> None:
    """cancel() after the end returns False and changes nothing (B1)."""
    future = steady_pool.submit(double, 21)
    future.wait(PATIENCE)

    assert not future.cancel()
    assert not future.cancelled()
    assert future.result() == 42


def test_a_task_that_swallows_the_cancellation_delivers_its_result(steady_pool: LoopPool) -> None:
    """A task may decide to finish; its result is not lost, and it does not count as cancelled (B4)."""
    gate = Gate()

    async def finish_anyway() -> str:
        try:
            await gate.passage()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "finished anyway"

    future = steady_pool.submit(finish_anyway)
    gate.wait_started()
    is_requested = future.cancel()
    result = future.result(PATIENCE)

    assert (is_requested, result, future.cancelled()) == (True, "finished anyway", False)


def test_an_error_of_the_clean_up_is_the_outcome(steady_pool: LoopPool) -> None:
    """A task that is cancelled and fails in its `finally` has failed."""
    gate = Gate()

    async def fail_in_cleaning_up() -> None:
        try:
            await gate.passage()
        finally:
            raise LookupError("in the clean-up")

    future = steady_pool.submit(fail_in_cleaning_up)
    gate.wait_started()
    future.cancel()
    with pytest.raises(LookupError, match="in the clean-up"):
        future.result(PATIENCE)

    assert not future.cancelled()


def test_a_call_that_waits_in_the_backlog_never_starts(open_pool: OpenPool) -> None:
    """Cancelled while it waits for a place, it is settled at once, and the next one takes its turn (B1')."""
    gate, never = Gate(), Gate()
    with open_pool(1, limit=1) as pool:
        running = pool.submit(gate.passage)
        waiting, after = pool.submit(never.passage), pool.submit(double, 21)
        gate.wait_started()
        waiting.cancel()
        is_settled_at_once = waiting.cancelled()
        gate.open()

        assert after.result(PATIENCE) == 42
        assert running.result(PATIENCE) is None
    assert is_settled_at_once
    assert never.entered == 0


@pytest.mark.backends("thread", "process", "interpreter", why="on Ray that word is still on its way then")
def test_a_call_that_was_cancelled_before_its_first_step_never_starts(open_pool: OpenPool) -> None:
    """On its way to a busy loop it does not start, on no Python, and its future is settled (B1', B7)."""
    stage = Stage()

    with open_pool() as pool:
        blocker = pool.submit(stage.block)
        until(stage.started)
        futures = [pool.submit(turn) for _ in range(200)]
        for future in futures[::2]:
            future.cancel()
        stage.released.set()
        blocker.result(PATIENCE)

    assert [future.cancelled() for future in futures] == [True, False] * 100
    turns = [future.result(0) for future in futures[1::2]]
    assert turns == list(range(turns[0], turns[0] + 100)), "one of the others has started as well"


def test_cancelling_twice_is_cancelling_again(steady_pool: LoopPool) -> None:
    """As with asyncio, a second cancel() interrupts the clean-up."""
    gate = Gate()
    future = _started(steady_pool, gate)
    future.cancel()
    gate.wait_started()

    assert future.cancel()
    assert future.wait(PATIENCE)
    assert future.cancelled()


@pytest.mark.backends("thread", why="a future stays in its process, so nobody elsewhere can cancel it")
def test_anybody_may_cancel_from_anywhere(open_pool: OpenPool) -> None:
    """A task of the same pool, a task of another one and a thread: all can."""

    async def cancel(future: polyloop.Future[int]) -> bool:
        return future.cancel()

    with open_pool() as pool, open_pool() as other:
        futures = [pool.submit(forever) for _ in range(3)]
        accepted = [pool.call(cancel, futures[0]), other.call(cancel, futures[1]), futures[2].cancel()]
        for future in futures:
            future.wait(PATIENCE)

    assert accepted == [True, True, True]
    assert all(future.cancelled() for future in futures)


@pytest.mark.backends("thread", why="a future stays in its process, so no task elsewhere has its own")
def test_a_task_can_cancel_itself(open_pool: OpenPool) -> None:
    """Through its own future, in its very first step."""
    handle: list[polyloop.Future[None]] = []
    is_there = Flag()

    async def cancel_oneself() -> None:
        is_there.block()
        handle[0].cancel()
        await asyncio.Event().wait()

    with open_pool() as pool:
        handle.append(pool.submit(cancel_oneself))
        is_there.set()

        assert handle[0].wait(PATIENCE)
    assert handle[0].cancelled()


def test_cancelling_an_await_cancels_the_task_and_waits_for_it(steady_pool: LoopPool) -> None:
    """Who is cancelled while awaiting a future goes on when the task has ended on its own loop (B3)."""

    async def main() -> None:
        gate = Gate()

        async def wait() -> None:
            await future

        future = _started(steady_pool, gate)
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.to_thread(gate.wait_started)
        is_early = waiting.done()
        gate.open()
        await asyncio.wait([waiting])

        assert not is_early
        assert waiting.cancelled()
        assert future.cancelled()

    asyncio.run(main())


def test_ones_own_cancellation_wins_over_a_value(steady_pool: LoopPool) -> None:
    """A value that comes although the await was cancelled stays on the future (B5)."""

    async def main() -> None:
        gate = Gate()

        async def finish_anyway() -> int:
            try:
                await gate.passage()
            except asyncio.CancelledError:
                pass
            return 42

        async def wait() -> int:
            return await future

        future = steady_pool.submit(finish_anyway)
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)  # it waits now; to_thread() would not always give it the turn
        await asyncio.to_thread(gate.wait_started)
        waiting.cancel()
        await asyncio.wait([waiting])

        assert waiting.cancelled()
        assert await future == 42

    asyncio.run(main())


def test_cancel_and_wait(steady_pool: LoopPool) -> None:
    """It returns when the task has ended, and tells whether it was cancelled."""

    async def main() -> None:
        gate = Gate()
        future, done = _started(steady_pool, gate), steady_pool.submit(double, 21)
        await done
        ending = asyncio.create_task(future.cancel_and_wait())
        await asyncio.to_thread(gate.wait_started)
        is_early = ending.done()
        gate.open()

        assert not is_early
        assert await ending
        assert future.cancelled()
        assert not await done.cancel_and_wait()

    asyncio.run(main())


def test_cancel_and_wait_can_be_left(steady_pool: LoopPool) -> None:
    """Cancelling the waiting stops only that; the task has been asked to stop already."""

    async def main() -> None:
        gate = Gate()
        future = _started(steady_pool, gate)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future.cancel_and_wait()
        is_done = future.done()
        gate.open()

        assert not is_done
        assert await future.cancel_and_wait()

    asyncio.run(main())


def test_what_the_task_started_itself_is_its_own(steady_pool: LoopPool) -> None:
    """A cancelled task's TaskGroup ends with it, before the future says cancelled."""
    gate = Gate()
    ended: Notes[str] = Notes()

    async def child() -> None:
        try:
            await gate.passage()
        finally:
            await asyncio.sleep(0)
            ended.append("child")

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    future = steady_pool.submit(parent)
    gate.wait_started()
    future.cancel()
    future.wait(PATIENCE)

    assert ended == ["child"]
    assert future.cancelled()


def _started(pool: LoopPool, gate: Gate) -> polyloop.Future[int]:
    """A task that has started, and cleans up behind the gate."""
    future = pool.submit(clean_up_behind, gate)
    pool.broadcast(nothing).result(PATIENCE)  # each worker answers that after what it got before
    return future
