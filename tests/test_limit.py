"""The limit of tasks in flight per worker, and the backlog of what waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from polyloop import PoolFull, current_pool, current_worker
from tests._calls import turn
from tests._gate import Gate
from tests._scorecard import report
from tests._shared import Level
from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

nests = pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")


def test_the_limit_is_per_worker(open_pool: OpenPool) -> None:
    """No loop ever has more tasks in flight than the limit, and all of them get that many."""
    gate = Gate()
    levels = [Level(), Level()]

    async def work() -> None:
        with levels[current_worker().index]:
            await gate.passage()

    with open_pool(2, limit=3) as pool:
        futures = [pool.submit(work) for _ in range(100)]
        gate.wait_started(6)
        gate.open()
        for future in futures:
            future.result(PATIENCE)

    assert [level.most() for level in levels] == [3, 3]


def test_what_waits_starts_in_order(open_pool: OpenPool) -> None:
    """The backlog is first in, first out."""
    stage = Stage()
    with open_pool(1, limit=1) as pool:
        _ = pool.submit(stage.wait)
        until(stage.started)
        futures = [pool.submit(turn) for _ in range(100)]
        assert pool.statistics().backlog == 100
        stage.released.set()
        turns = [future.result(PATIENCE) for future in futures]

    assert turns == list(range(turns[0], turns[0] + 100))


def test_a_full_backlog_refuses(open_pool: OpenPool) -> None:
    """Beyond backlog= submit raises PoolFull at once, and what was accepted is not harmed."""
    stage = Stage()
    with open_pool(1, limit=2, backlog=3) as pool:
        futures = [pool.submit(stage.wait) for _ in range(5)]

        with pytest.raises(PoolFull, match="3 calls"):
            _ = pool.submit(stage.wait)

        stage.released.set()
        assert [future.result(PATIENCE) for future in futures] == ["released"] * 5
        assert pool.submit(stage.wait).result(PATIENCE) == "released"


def test_without_a_backlog_nothing_waits(open_pool: OpenPool) -> None:
    """With backlog=0 a call starts now, on whatever worker has a place, or is refused."""
    stage = Stage()
    with open_pool(2, limit=1, backlog=0) as pool:
        futures = [pool.submit(stage.wait) for _ in range(2)]
        with pytest.raises(PoolFull):
            _ = pool.submit(nothing)
        stage.released.set()
        for future in futures:
            future.result(PATIENCE)


def test_cancelling_what_waits_makes_room(open_pool: OpenPool) -> None:
    """A call that is cancelled in the backlog never starts, and its place is free."""
    never = Gate()
    stage = Stage()
    with open_pool(1, limit=1, backlog=1) as pool:
        _ = pool.submit(stage.wait)
        waiting = pool.submit(never.passage)
        assert waiting.cancel()
        assert waiting.wait(PATIENCE)
        assert waiting.cancelled()
        second = pool.submit(nothing)
        stage.released.set()
        second.result(PATIENCE)
    assert not never.entered


@nests
def test_nested_calls_pass_the_limit(open_pool: OpenPool) -> None:
    """A thousand parents at the limit, each awaiting a child of its own, all end."""
    entered = 0
    everybody = asyncio.Event()

    async def child(number: int) -> int:
        return number

    async def parent(number: int) -> int:
        nonlocal entered
        entered += 1
        if entered == 1000:
            everybody.set()
        await everybody.wait()
        return await current_pool().run(child, number)

    with open_pool(1, limit=1000) as pool:
        futures = [pool.submit(parent, number) for number in range(1000)]
        assert [future.result(PATIENCE) for future in futures] == list(range(1000))
    report(14, "1,000 parents at the limit each awaited a child: 0 hangs")


@nests
def test_calls_that_call_back_end(open_pool: OpenPool) -> None:
    """A calls B and B calls A, on two loops with a limit of 1: awaited, it succeeds."""

    async def ping(left: int) -> int:
        if left == 0:
            return 0
        return 1 + await current_pool().run(ping, left - 1)

    with open_pool(2, limit=1) as pool:
        assert pool.submit(ping, 20).result(PATIENCE) == 20


@nests
def test_the_backlog_overtakes_no_nested_call(open_pool: OpenPool) -> None:
    """A nested call starts although others waited longer: its parent holds the place they wait for."""

    async def parent() -> str:
        await stage.wait()
        await current_pool().run(nothing)
        return "ended"

    stage = Stage()
    with open_pool(1, limit=1) as pool:
        future = pool.submit(parent)
        until(stage.started)
        others = [pool.submit(nothing) for _ in range(10)]
        stage.released.set()
        assert future.result(PATIENCE) == "ended"
        for other in others:
            other.result(PATIENCE)
