"""The scorecard's items about what happens on the loops themselves."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests._clock import own_time
from tests._open_pool import wait_until_idle
from tests._scorecard import IS_FULL, report
from tests._shared import Notes
from tests._stage import PATIENCE, Stage, nothing, until
from tests.scorecard._garbage_calls import collect_all_the_time, counts, work
from tests.scorecard._owned import Owned

if TYPE_CHECKING:
    from tests._open_pool import OpenPool


def test_everything_is_closed_on_its_own_loop(open_pool: OpenPool, backend: str) -> None:
    """Generators, loop-local values and lifespans are closed on their own loop, the last one opened first."""
    loops = 4 if backend == "thread" else 2
    closed: Notes[tuple[int, bool, str]] = Notes()
    owned = Owned(closed, generators=25, values=10)

    with open_pool(loops, lifespan=owned.lifespan) as pool:
        assert pool.broadcast(owned.begin).result(PATIENCE) == list(range(loops))

    names = [
        [name for worker, is_home, name in closed if is_home and worker == loop] for loop in range(loops)
    ]
    right = sum(
        set(each) == owned.everything and each[-len(owned.in_order) :] == owned.in_order for each in names
    )
    total = sum(map(len, names))
    everything = loops * len(owned.everything)
    report(33, f"{total} of {everything} closed on their own loop, {right} of {loops} in order")
    assert right == loops
    assert total == len(closed) == everything


def test_garbage_collection_all_the_time(open_pool: OpenPool) -> None:
    """Calls whose futures nobody keeps run to their end on their loop, however often garbage is collected."""
    calls = 5_000 if IS_FULL else 2_000
    before = gc.get_threshold()
    try:
        with open_pool(2) as pool:
            pool.broadcast(collect_all_the_time).result(PATIENCE)
            gc.set_threshold(1)
            for _ in range(calls):
                _ = pool.submit(work)
            gc.set_threshold(*before)
            wait_until_idle(pool)
            total: Counter[str] = sum(pool.broadcast(counts).result(PATIENCE), Counter())
    finally:
        gc.set_threshold(*before)

    # "Task was destroyed but it is pending" would fail this test: it is logged.
    report(
        34,
        f"{total['ended']:,} of {calls:,} ended, {total['foreign']} of their finally blocks in a foreign "
        "thread",
    )
    assert total["begun"] == total["ended"] == calls
    assert total["foreign"] == 0


@pytest.mark.timeout(150)
def test_a_timer_while_submissions_wait(open_pool: OpenPool) -> None:  # noqa: PLR0915 - one story, with its calls in it
    """A timer of a worker's loop is not late because very many calls wait to be started there."""
    submissions = 300_000 if IS_FULL else 100_000
    stage = Stage()
    blocked = Stage()

    async def tick() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        ticks: list[tuple[float, float]] = []
        is_over = asyncio.ensure_future(stage.wait())
        while not is_over.done():
            begun, begun_here = loop.time(), own_time()
            await asyncio.sleep(0.002)
            ticks.append((begun, own_time() - begun_here - 0.002))
        return ticks

    with open_pool(1, limit=1_000_000) as pool:
        ticker = pool.submit(tick)
        until(stage.started)
        blocker = pool.submit(blocked.block)  # so that all of them wait at the same time
        until(blocked.started)
        last: Any = None
        for _ in range(submissions):
            last = pool.submit(nothing)
        released = time.monotonic()
        blocked.released.set()
        last.result(5 * PATIENCE)
        stage.released.set()
        ticks = ticker.result(PATIENCE)
        blocker.result(PATIENCE)

    # One is late by as long as the loop was blocked on purpose.
    figures = sorted(late for begun, late in ticks if begun > released)
    p99 = figures[int(len(figures) * 0.99)] * 1000
    report(
        36,
        f"while {submissions:,} calls start: p99 {p99:.1f} ms late, worst {figures[-1] * 1000:.1f} ms, "
        f"{len(figures)} ticks of 2 ms",
    )
    assert len(figures) >= 30
    # Were a pass not bounded, each timer would be as late as all of them take, which is above a second. The
    # figure itself depends on what else the machine does.
    assert p99 < 200
