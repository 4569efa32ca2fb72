"""Broadcasts: one call on every loop, and one future of all the results."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._calls import add, where
from tests._gate import PATIENCE, Gate
from tests._shared import Notes

if TYPE_CHECKING:
    import logging

    from polyloop import LoopPool
    from tests._open_pool import OpenPool


def test_it_runs_once_on_every_loop(open_pool: OpenPool) -> None:
    """The results are ordered by worker."""
    with open_pool(4) as pool:
        assert [pool.broadcast(where).result(PATIENCE) for _ in range(50)] == [[0, 1, 2, 3]] * 50
        assert pool.broadcast(add, 1, other=2).result(PATIENCE) == [3] * 4


def test_it_can_be_awaited(steady_pool: LoopPool) -> None:
    """Its future is one like any other."""

    async def main() -> list[int]:
        return await steady_pool.broadcast(where)

    assert asyncio.run(main()) == [0, 1]


def test_it_goes_past_the_limit(open_pool: OpenPool) -> None:
    """It does not wait for a place, nor for what waits for one."""
    gate = Gate()
    with open_pool(2, limit=1) as pool:
        futures = [pool.submit(gate.passage) for _ in range(10)]
        gate.wait_started(2)
        results = pool.broadcast(where).result(PATIENCE)
        gate.open()

        assert results == [0, 1]
        assert [future.result(PATIENCE) for future in futures] == [None] * 10


def test_errors_come_as_one_group_after_all_have_ended(open_pool: OpenPool) -> None:
    """One loop's error waits for the others, and all errors are in the group."""
    gate = Gate()

    async def fail_or_pass() -> None:
        if polyloop.current_worker().index == 1:
            await gate.passage()
        else:
            raise LookupError(polyloop.current_worker().index)

    with open_pool(3) as pool:
        future = pool.broadcast(fail_or_pass)
        gate.wait_started()
        pool.broadcast(where).result(PATIENCE)
        is_early = future.done()
        gate.open()
        with pytest.raises(ExceptionGroup, match="failed on 2 loops") as caught:
            future.result(PATIENCE)

    assert not is_early
    assert [repr(error) for error in caught.value.exceptions] == ["LookupError(0)", "LookupError(2)"]


def test_a_program_ending_error_is_in_a_group_too(steady_pool: LoopPool) -> None:
    """SystemExit on one loop ends nothing; it comes in a BaseExceptionGroup (C1)."""

    async def exit_on_one() -> int:
        index = polyloop.current_worker().index
        if index == 1:
            raise SystemExit(index)
        return index

    with pytest.raises(BaseExceptionGroup) as caught:
        steady_pool.broadcast(exit_on_one).result(PATIENCE)

    assert not isinstance(caught.value, ExceptionGroup)
    assert steady_pool.broadcast(where).result(PATIENCE) == [0, 1]


def test_cancelling_it_cancels_all(steady_pool: LoopPool) -> None:
    """The future is cancelled when the last of the tasks has ended."""
    gate = Gate()
    ended: Notes[int] = Notes()

    async def run() -> None:
        try:
            await gate.passage()
        finally:
            await asyncio.sleep(0)
            ended.append(polyloop.current_worker().index)

    future = steady_pool.broadcast(run)
    gate.wait_started(2)

    assert future.cancel()
    with pytest.raises(polyloop.TaskCancelled, match="the broadcast of"):
        future.result(PATIENCE)
    assert sorted(ended) == [0, 1]
    assert future.cancelled()


@pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")
def test_waiting_for_it_on_one_of_the_pools_own_loops_is_refused(open_pool: OpenPool) -> None:
    """BlockingCall, for the loop that waits would have to run its share; awaiting it works (P9)."""

    async def broadcast(pool: polyloop.LoopPool) -> list[int]:
        future = pool.broadcast(where)
        with pytest.raises(polyloop.BlockingCall, match="broadcast"):
            future.result()
        return await future

    with open_pool(2) as pool:
        assert pool.submit(broadcast, pool).result(PATIENCE) == [0, 1]


def test_broadcasts_of_many_threads(steady_pool: LoopPool) -> None:
    """Several at once do not mix."""
    results: list[list[int]] = []

    def broadcast(number: int) -> None:
        results.extend(steady_pool.broadcast(add, number, other=0).result(PATIENCE) for _ in range(100))

    threads = [threading.Thread(target=broadcast, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(results) == sorted([[number] * 2 for number in range(4)] * 100)


def test_a_pool_that_is_not_open_refuses(open_pool: OpenPool) -> None:
    """Before and after, as submit() does."""
    pool = open_pool(1)
    with pytest.raises(polyloop.PoolClosed):
        _ = pool.broadcast(where)
    with pool:
        pass
    with pytest.raises(polyloop.PoolClosed):
        _ = pool.broadcast(where)


def test_it_is_settled_while_the_only_worker_is_being_replaced(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """With no loop to run on there and then, the future is not left pending for ever (P1)."""

    class BreakableLoop(asyncio.SelectorEventLoop):
        """Breaks when it is told to."""

        is_broken = False

        def _run_once(self) -> None:
            if self.is_broken:
                raise RuntimeError("this loop is broken")
            super()._run_once()  # type: ignore[misc]  # private, and where a broken selector raises

    async def break_the_loop() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BreakableLoop)
        loop.is_broken = True

    with open_pool(1, loop_factory=BreakableLoop) as pool:
        pool.call(break_the_loop)
        while not expected_logs:  # the loss of the worker is logged when it is known
            threading.Event().wait(0.001)
        try:
            future = pool.broadcast(where)
        except polyloop.PolyloopError:
            return
        assert future.wait(PATIENCE)
        assert future.exception(0) is not None or future.result(0) == [0]
