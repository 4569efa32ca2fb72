"""Keyed and pinned calls: state that stays on one loop needs no lock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import polyloop
from polyloop import LoopPool, PoolFull
from tests._calls import deposit, turn, where
from tests._gate import PATIENCE, Gate
from tests._shared import Flag, Tally
from tests._stage import until
from tests.test_worker_loss import FragileLoop, break_loop

if TYPE_CHECKING:
    import logging

    from tests._open_pool import OpenPool


def test_one_key_has_one_worker(steady_pool: LoopPool) -> None:
    """Equal keys run on the same worker, through whatever view, and many keys use all workers."""
    workers = {key: {steady_pool.options(key=key).call(where) for _ in range(3)} for key in range(50)}
    as_float = steady_pool.options(key=7.0).call(where)

    assert all(len(indices) == 1 for indices in workers.values())
    assert set.union(*workers.values()) == {0, 1}
    assert {as_float} == workers[7]  # 7 == 7.0


def test_state_that_is_kept_by_key_needs_no_lock(open_pool: OpenPool) -> None:
    """Calls of one key share a loop, so what they do between two awaits is never torn, nor in two places."""
    users = ["ada", "ben", "cyd", "dee"]
    with open_pool(2, limit=5) as pool:
        views = [pool.options(key=user) for user in users]
        futures = [
            [view.submit(deposit, user) for _ in range(500)] for view, user in zip(views, users, strict=True)
        ]
        balances = [sorted(future.result(PATIENCE) for future in each) for each in futures]

    assert balances == [list(range(each[0], each[0] + 500)) for each in balances]


def test_a_full_worker_holds_up_its_own_only(open_pool: OpenPool) -> None:
    """Pinned calls wait for their worker at its limit, in order, while others go elsewhere."""
    gate = Gate()

    with open_pool(2, limit=1) as pool:
        blocker = pool.options(worker=0).submit(gate.passage)
        gate.wait_started()
        pinned = [pool.options(worker=0).submit(turn) for _ in range(5)]
        elsewhere = [pool.call(where) for _ in range(3)]
        waiting = pool.statistics().backlog
        gate.open()
        turns = [future.result(PATIENCE) for future in pinned]
        blocker.result(PATIENCE)

    assert elsewhere == [1, 1, 1]
    assert waiting == 5
    assert turns == list(range(turns[0], turns[0] + 5))


def test_a_bounded_backlog_is_full_for_a_pinned_call_whose_worker_is(open_pool: OpenPool) -> None:
    """A call that could only wait is refused though another worker is idle; one that need not is not."""
    gate = Gate()
    with open_pool(2, limit=1, backlog=0) as pool:
        _ = pool.options(worker=0).submit(gate.passage)
        gate.wait_started()
        with pytest.raises(PoolFull):
            _ = pool.options(worker=0).submit(where)

        assert pool.options(worker=1).call(where) == 1
        assert pool.call(where) == 1
        gate.open()


def test_what_waits_for_a_worker_may_be_cancelled(open_pool: OpenPool) -> None:
    """A pinned call in the backlog is withdrawn like any other, and the pool's close settles it."""
    gate = Gate()
    with open_pool(2, limit=1) as pool:
        view = pool.options(worker=0)
        _ = view.submit(gate.passage)
        gate.wait_started()
        cancelled, closed = view.submit(where), view.submit(where)
        cancelled.cancel()
        with pytest.raises(polyloop.TaskCancelled):
            cancelled.result(PATIENCE)
        pool.close(drain=0)

    assert closed.cancelled()


@pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")
def test_a_nested_call_may_be_pinned_to_its_own_worker(open_pool: OpenPool) -> None:
    """A parent at the limit of its worker awaits a child there: the child need not wait for it."""

    async def parent(pool: LoopPool) -> int:
        return await pool.options(worker=0).run(where)

    with open_pool(2, limit=1) as pool:
        futures = [pool.options(worker=0).submit(parent, pool) for _ in range(100)]
        assert [future.result(PATIENCE) for future in futures] == [0] * 100


def test_a_replacement_keeps_the_keys_and_not_the_state(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """What is keyed to a lost worker waits for the next one with its index, which has a new generation."""

    async def generation() -> tuple[int, int]:
        worker = polyloop.current_worker()
        return worker.index, worker.generation

    with open_pool(2, loop_factory=FragileLoop, limit=1) as pool:
        before = {key: pool.options(key=key).call(where) for key in range(10)}
        lost = pool.options(worker=0).submit(break_loop)
        waiting = pool.options(worker=0).submit(generation)
        with pytest.raises(polyloop.WorkerLost):
            lost.result(PATIENCE)

        assert waiting.result(PATIENCE) == (0, 1)
        assert {key: pool.options(key=key).call(where) for key in range(10)} == before


def test_a_call_that_may_be_repeated_is_sent_again(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """With resubmits a started call survives so many losses of its worker, and no more when it runs alone."""
    tries, more_tries = Tally(), Tally()

    async def fragile(tries: Tally, failures: int) -> int:
        number = tries.add()
        if number <= failures:
            await break_loop()
        return number

    with open_pool(1, loop_factory=FragileLoop) as pool:
        view = pool.options(resubmits=2)
        survived = view.submit(fragile, tries, 2).result(PATIENCE)
        with pytest.raises(polyloop.PoisonTask):
            _ = view.submit(fragile, more_tries, 3).result(PATIENCE)

    assert survived == 3
    assert more_tries.count() == 3


def test_a_cancelled_call_is_not_sent_again(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """A call that was asked to stop is not repeated: who asked hears that the worker was lost (P3)."""
    begun, tries = Flag(), Tally()

    async def stubborn() -> None:
        tries.add()
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await break_loop()

    with open_pool(1, loop_factory=FragileLoop) as pool:
        future = pool.options(resubmits=5).submit(stubborn)
        until(begun)
        future.cancel()
        with pytest.raises(polyloop.WorkerLost):
            future.result(PATIENCE)

    assert tries.count() == 1
