"""Statistics: counters that only grow and are exact at rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests._stage import PATIENCE, Stage, nothing, until

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool


async def fail() -> None:
    """Fail."""
    raise ValueError("as planned")


def test_at_rest_they_are_exact(open_pool: OpenPool) -> None:
    """Every task is counted once, with its outcome, also from many loops at the same time."""
    with open_pool(2) as pool:
        stage = Stage()
        good = [pool.submit(nothing) for _ in range(3000)]
        bad = [pool.submit(fail) for _ in range(300)]
        cancelled = pool.submit(stage.stay)
        until(stage.started)
        cancelled.cancel()
        for future in good:
            future.result(PATIENCE)
        for future in bad:
            assert future.exception(PATIENCE)
        assert cancelled.wait(PATIENCE)
        # A task is settled before it is counted; the next call on each loop comes after that.
        pool.broadcast(nothing).result(PATIENCE)
        figures = pool.statistics()

    figures = pool.statistics()
    assert (figures.ended, figures.failed, figures.cancelled) == (3303, 300, 1)
    assert (figures.in_flight, figures.backlog) == (0, 0)
    assert [worker.phase for worker in figures.workers] == ["left"] * 2


def test_what_runs_and_waits_shows(open_pool: OpenPool) -> None:
    """In flight is what workers have, the backlog is what waits."""
    stage = Stage()
    with open_pool(1, limit=2) as pool:
        futures = [pool.submit(stage.wait) for _ in range(5)]
        until(stage.started)

        figures = pool.statistics()

        assert (figures.in_flight, figures.backlog) == (2, 3)
        assert figures.workers[0].phase == "running"
        stage.released.set()
        for future in futures:
            future.result(PATIENCE)


def test_counters_only_grow(steady_pool: LoopPool) -> None:
    """Of two snapshots taken one after the other while tasks end, the second has no smaller count."""
    futures = [steady_pool.submit(nothing) for _ in range(5000)]
    ended = 0
    while not futures[-1].done():
        now = steady_pool.statistics().ended
        assert now >= ended
        ended = now
    for future in futures:
        future.result(PATIENCE)


def test_a_loop_that_was_blocked_shows_its_lag(open_pool: OpenPool) -> None:
    """The longest that a loop took to answer is kept."""
    stage = Stage()

    async def wait_in_thread() -> None:
        await asyncio.sleep(0)

    with open_pool(1) as pool:
        blocker = pool.submit(stage.block)
        until(stage.started)
        behind = pool.submit(wait_in_thread)
        assert not behind.wait(0.05)
        stage.released.set()
        behind.result(PATIENCE)
        blocker.result(PATIENCE)

        assert pool.statistics().workers[0].lag >= 0.05
