"""Waiting for oneself: does a wait that could never end raise, and does one that need not hang end?"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from polyloop import BlockingCall, LoopPool, current_pool
from tests._calls import double, forever
from tests._scorecard import report
from tests._stage import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests._open_pool import OpenPool

pytestmark = pytest.mark.backends("thread", why="elsewhere a call cannot reach the pool that runs it")

PARENTS = 1000


def by_call(pool: LoopPool) -> None:
    """One call, waited for."""
    pool.call(forever)


def by_result(pool: LoopPool) -> None:
    """A future."""
    future = pool.submit(forever)
    try:
        future.result()
    finally:
        future.cancel()


def by_map(pool: LoopPool) -> None:
    """A stream."""
    with pool.map(forever, [1]) as stream:
        next(iter(stream))


def by_executor(pool: LoopPool) -> None:
    """A function beside the loop."""
    is_over = threading.Event()
    future = pool.executor().submit(is_over.wait)
    try:
        future.result()
    finally:
        is_over.set()


def by_close(pool: LoopPool) -> None:
    """The pool's own end."""
    pool.close()


WAITS = [by_call, by_result, by_map, by_executor, by_close]


def test_a_synchronous_wait_on_an_own_loop_raises(open_pool: OpenPool) -> None:
    """Each kind of synchronous wait raises BlockingCall where it would block what it waits for (A6)."""

    async def wait(way: Callable[[LoopPool], None]) -> float:
        started = time.perf_counter()
        with pytest.raises(BlockingCall):
            way(current_pool())
        return time.perf_counter() - started

    with open_pool(2) as pool:
        seconds = [[pool.call(wait, way) for _ in range(20)] for way in WAITS]

    slowest = max(map(max, seconds))
    report(14, f"{len(WAITS)} kinds of synchronous waits raise BlockingCall within {1000 * slowest:.1f} ms")
    # Of twenty times a busy machine may delay some, and no more.
    assert max(map(min, seconds)) < 0.1


@pytest.mark.parametrize("in_threads", [False, True])
def test_there_and_back_again(open_pool: OpenPool, in_threads: bool) -> None:
    """With a limit of 1 in both pools, tasks of A that await B, which awaits A, all end (F5)."""
    parents = 60 if in_threads else PARENTS

    async def first(number: int) -> int:
        if in_threads:
            return await one.run_sync(lambda: two.call(second, number))
        return await two.run(second, number)

    async def second(number: int) -> int:
        if in_threads:
            return await two.run_sync(lambda: one.call(double, number))
        return await one.run(double, number)

    with open_pool(1, limit=1) as one, open_pool(1, limit=1) as two:
        futures = [one.submit(first, number) for number in range(parents)]
        results = [future.result(PATIENCE) for future in futures]

    report(
        14,
        f"A→B→A {'blocking in threads' if in_threads else 'awaited'} with limit 1: "
        f"{len(results)} of {parents} succeeded",
    )
    assert results == [2 * number for number in range(parents)]


@pytest.mark.parametrize(("loops", "limit"), [(1, 1), (3, 10)])
def test_parents_at_the_limit(open_pool: OpenPool, loops: int, limit: int) -> None:
    """A thousand parents that fill every place, each awaiting a child, all end."""

    async def parent(number: int) -> int:
        return await current_pool().run(double, number)

    with open_pool(loops, limit=limit) as pool:
        futures = [pool.submit(parent, number) for number in range(PARENTS)]
        results = [future.result(PATIENCE) for future in futures]

    report(14, f"{len(results)} of {PARENTS} parents with limit {limit} on {loops} loops succeeded")
    assert results == [2 * number for number in range(PARENTS)]
