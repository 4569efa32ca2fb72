"""Calls made by those that are waited for: they never wait for a place that their callers hold."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool, PoolClosed, current_pool
from tests._calls import double
from tests._stage import PATIENCE, Stage, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests._open_pool import OpenPool

PARENTS = 1000

MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""As many as asyncio gives to one loop."""


# -- ways in which a parent waits for its child ----------------------------------------------


async def by_run(number: int) -> int:
    """The plainest."""
    return await current_pool().run(double, number)


async def by_submit(number: int) -> int:
    """Through a future."""
    return await current_pool().submit(double, number)


async def by_gather(number: int) -> int:
    """Several children at once."""
    halves = await asyncio.gather(*[current_pool().run(double, part) for part in (number, -1, 1)])
    return sum(halves)


async def by_task_group(number: int) -> int:
    """Children in tasks of the parent's own loop."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(current_pool().run(double, part)) for part in (number, -1, 1)]
    return sum(task.result() for task in tasks)


async def by_map(number: int) -> int:
    """A stream of children."""
    return sum(await current_pool().map(double, [number, -1, 1]))


async def by_to_thread(number: int) -> int:
    """A thread waits."""
    return await asyncio.to_thread(current_pool().call, double, number)


async def by_run_in_executor(number: int) -> int:
    """A thread waits that knows no context."""
    pool = current_pool()
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: pool.submit(double, number).result(PATIENCE)
    )


async def by_run_sync(number: int) -> int:
    """A function of the pool waits, in a thread."""

    def wait() -> int:
        return current_pool().call(double, number)

    return await current_pool().run_sync(wait)


async def by_map_in_thread(number: int) -> int:
    """A thread waits for a stream."""
    pool = current_pool()
    return await pool.run_sync(lambda: sum(pool.map(double, [number, -1, 1])))


ON_LOOPS = [by_run, by_submit, by_gather, by_task_group, by_map]
IN_THREADS = [by_to_thread, by_run_in_executor, by_run_sync, by_map_in_thread]


class TestLimit:
    """Parents fill every place, and each waits for a child."""

    @pytest.mark.parametrize(("loops", "limit"), [(1, 1), (3, 10)])
    @pytest.mark.parametrize("parent", ON_LOOPS)
    def test_many_parents_end(
        self, open_pool: OpenPool, parent: Callable[[int], Awaitable[int]], loops: int, limit: int
    ) -> None:
        """A thousand parents at the limit, each awaiting a child, finish."""
        with open_pool(loops, limit=limit) as pool:
            futures = [pool.submit(parent, number) for number in range(PARENTS)]

            assert [future.result(PATIENCE) for future in futures] == [2 * n for n in range(PARENTS)]

    @pytest.mark.parametrize(("loops", "limit"), [(1, 1), (3, 10)])
    @pytest.mark.parametrize("parent", IN_THREADS)
    def test_parents_that_wait_in_threads_end(
        self, open_pool: OpenPool, parent: Callable[[int], Awaitable[int]], loops: int, limit: int
    ) -> None:
        """The same where a thread beside the loop waits for the child."""
        with open_pool(loops, limit=limit) as pool:
            futures = [pool.submit(parent, number) for number in range(60)]

            assert [future.result(PATIENCE) for future in futures] == [2 * n for n in range(60)]

    def test_nesting_is_as_deep_as_it_gets(self, open_pool: OpenPool) -> None:
        """Children have children."""

        async def descend(depth: int) -> int:
            return depth and 1 + await current_pool().run(descend, depth - 1)

        with open_pool(2, limit=1) as pool:
            assert pool.submit(descend, 200).result(PATIENCE) == 200

    def test_threads_do_not_run_out(self, open_pool: OpenPool) -> None:
        """More functions than there are threads wait for calls that need threads in their turn."""

        def descend(depth: int) -> int:
            return depth and 1 + current_pool().call(current_pool().run_sync, descend, depth - 1)

        with open_pool(2, limit=1) as pool:
            futures = [pool.executor().submit(descend, 4) for _ in range(50)]

            assert [future.result(PATIENCE) for future in futures] == [4] * 50
        assert pool.statistics().in_flight == 0

    def test_few_threads_are_deeper(self, open_pool: OpenPool) -> None:
        """At each depth there are no more threads than at the first, and they end with their work."""
        stage = Stage()
        begun = threading.Semaphore(0)

        def block() -> None:
            begun.release()
            stage.released.block()

        def parent() -> None:
            pool = current_pool()
            for future in [pool.submit(asyncio.to_thread, block) for _ in range(100)]:
                future.result(PATIENCE)

        with open_pool(1) as pool:
            future = pool.executor().submit(parent)
            for _ in range(MOST_THREADS):
                assert begun.acquire(timeout=PATIENCE)
            deeper = [thread for thread in threading.enumerate() if "-beside-1." in thread.name]
            assert len(deeper) == MOST_THREADS
            stage.released.set()
            future.result(PATIENCE)
            for thread in deeper:
                thread.join(PATIENCE)
            assert not any(thread.is_alive() for thread in deeper)


class TestDraining:
    """A pool that closes lets its tasks finish, and what they call."""

    @pytest.mark.parametrize("parent", [by_run, *IN_THREADS])
    def test_children_are_let_in(self, open_pool: OpenPool, parent: Callable[[int], Awaitable[int]]) -> None:
        """A task may call its pool while that drains, itself or through a thread."""
        stage = Stage()

        async def late() -> int:
            await stage.wait()
            return await parent(4)

        pool = open_pool(1)
        pool.open()
        future = pool.submit(late)
        until(stage.started)
        closer = threading.Thread(target=pool.close)
        closer.start()
        call_until_closing(pool)
        stage.released.set()

        assert future.result(PATIENCE) == 8
        closer.join(PATIENCE)


def call_until_closing(pool: LoopPool) -> None:
    """Return when the pool accepts nothing more from outside."""
    while True:
        try:
            pool.call(double, 1)
        except PoolClosed:
            return


class TestSeveralPools:
    """Calls go from pool to pool and back."""

    def test_there_and_back(self, open_pool: OpenPool) -> None:
        """With a limit of 1 in both, a task of one pool awaits the other, which awaits the first."""

        async def first(number: int) -> int:
            return await two.run(second, number)

        async def second(number: int) -> int:
            return await one.run(double, number)

        with open_pool(1, limit=1) as one, open_pool(1, limit=1) as two:
            futures = [one.submit(first, number) for number in range(PARENTS)]

            assert [future.result(PATIENCE) for future in futures] == [2 * n for n in range(PARENTS)]

    def test_there_and_back_through_threads(self, open_pool: OpenPool) -> None:
        """The same where each waits in a thread, by every way that leads there."""

        async def first(number: int) -> int:
            return await asyncio.to_thread(two.call, second, number)

        async def second(number: int) -> int:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, lambda: one.call(third, number))

        async def third(number: int) -> int:
            return await two.run_sync(lambda: one.call(double, number))

        with open_pool(1, limit=1) as one, open_pool(1, limit=1) as two:
            futures = [one.submit(first, number) for number in range(50)]

            assert [future.result(PATIENCE) for future in futures] == [2 * n for n in range(50)]

    def test_through_a_third(self, open_pool: OpenPool) -> None:
        """However long the way back is."""

        async def hop(number: int, *pools: LoopPool) -> int:
            return await pools[0].run(hop, number, *pools[1:]) if pools else number

        with open_pool(1, limit=1) as a, open_pool(1, limit=1) as b, open_pool(1, limit=1) as c:
            assert a.submit(hop, 5, b, c, b, a, c).result(PATIENCE) == 5

    def test_who_only_comes_from_another_pool_waits(self, open_pool: OpenPool) -> None:
        """A task of another pool that nobody here waits for has no right of way."""
        stage = Stage()

        async def call() -> int:
            return await one.run(double, 3)

        with open_pool(1, limit=1) as one, open_pool(1) as two:
            _ = one.submit(stage.wait)
            until(stage.started)
            future = two.submit(call)
            while not one.statistics().backlog:
                two.call(double, 1)
            stage.released.set()
            assert future.result(PATIENCE) == 6

    def test_a_broadcast_passes_it_on(self, open_pool: OpenPool) -> None:
        """What a broadcast calls knows of those above it."""

        async def back() -> int:
            return await one.run(double, 3)

        async def first() -> list[int]:
            return await two.broadcast(back)

        with open_pool(1, limit=1) as one, open_pool(2, limit=1) as two:
            assert one.submit(first).result(PATIENCE) == [6, 6]
