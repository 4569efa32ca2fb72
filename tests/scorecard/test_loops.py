"""The scorecard's items about what happens on the loops themselves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopLocal
from tests._clock import own_time
from tests._journal import Journal
from tests._scorecard import IS_FULL, report
from tests._stage import PATIENCE, Stage, nothing, until
from tests.scorecard import _gc_jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests._open_pool import OpenPool


def test_everything_is_closed_on_its_own_loop(open_pool: OpenPool) -> None:  # noqa: PLR0915 - one story, with its calls in it
    """Generators, loop-local values and lifespans are closed on their own loop, the last one opened first."""
    loops, generators, values = 2, 25, 10
    opened, closed = Journal(), Journal()

    @contextlib.asynccontextmanager
    async def resource(name: str) -> AsyncIterator[str]:
        opened.note(name)
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            closed.note(name)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with resource("first"), resource("second"):
            yield

    async def generate(number: int) -> AsyncIterator[int]:
        opened.note(f"generator {number}")
        try:
            yield number
        finally:
            await asyncio.sleep(0)
            closed.note(f"generator {number}")

    names = [f"value {number}" for number in range(values)]
    locals_ = [LoopLocal(partial(resource, name)) for name in names]

    async def begin() -> None:
        # Referred to for as long as their loop is there.
        asyncio.get_running_loop().kept = kept = [*map(generate, range(generators))]  # type: ignore[attr-defined]
        for generator in kept:
            await anext(generator)
        for local in locals_:
            await local.get()

    with open_pool(loops, lifespan=lifespan) as pool:
        pool.broadcast(begin).result(PATIENCE)

    in_order = [*reversed(names), "second", "first"]
    workers = {place for place, _ in opened.entries}
    right = sum(
        set(closed.of(worker)) == set(opened.of(worker)) and closed.of(worker)[-len(in_order) :] == in_order
        for worker in workers
    )
    total = len(closed.all)
    everything = loops * (generators + len(in_order))
    report(33, f"{total} of {everything} closed on their own loop, {right} of {loops} in order")
    assert len(workers) == right == loops
    assert total == everything


def test_garbage_collection_all_the_time(open_pool: OpenPool, backend: str) -> None:
    """Calls whose futures nobody keeps run to their end on their loop, however often garbage is collected."""
    calls = 5_000 if IS_FULL or backend == "thread" else 1_000
    before = gc.get_threshold()
    try:
        with open_pool(2) as pool:
            pool.broadcast(_gc_jobs.collect_all_the_time).result(PATIENCE)
            gc.set_threshold(1)
            for _ in range(calls):
                _ = pool.submit(_gc_jobs.work)
            # When it has been answered on all loops, all that was sent before has begun; the next is final.
            pool.broadcast(_gc_jobs.counts).result(10 * PATIENCE)
            counts = pool.broadcast(_gc_jobs.counts).result(PATIENCE)
    finally:
        gc.set_threshold(*before)

    # Threads have their counts in common.
    own = counts[:1] if backend == "thread" else counts
    begun, ended, foreign, complaints = map(sum, zip(*own, strict=True))
    # "Task was destroyed but it is pending" is a complaint.
    report(34, f"{ended:,} of {calls:,} ended, {foreign} of their finally blocks in a foreign thread")
    assert begun == ended == calls
    assert (foreign, complaints) == (0, 0)


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
        *_, last = (pool.submit(nothing) for _ in range(submissions))
        released = time.monotonic()
        blocked.released.set()
        last.result(10 * PATIENCE)
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
