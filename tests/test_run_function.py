"""`polyloop.run`, and where the calling code is: `current_pool`, `current_worker`."""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from tests._calls import worker_facts
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool

elsewhere = pytest.mark.backends(
    "thread", why="a worker elsewhere has no way to the pool, and says so: tests/process/test_staying.py"
)


class TestRunFunction:
    """`polyloop.run`."""

    def test_it_runs_main_with_a_pool_around_it(self) -> None:
        """It returns what main returns, and the pool is closed afterwards."""

        async def main(first: int, second: str) -> tuple[polyloop.LoopPool, int, str, list[int]]:
            pool = polyloop.current_pool()
            return pool, first, second, [w[0] for w in await pool.broadcast(worker_facts)]

        pool, *rest = polyloop.run(main, 1, "two", loops=3)

        assert rest == [1, "two", [0, 1, 2]]
        with pytest.raises(polyloop.PoolClosed):
            pool.call(worker_facts)

    def test_main_runs_in_this_thread(self) -> None:
        """As with asyncio.run(), main's own loop is here."""

        async def main() -> threading.Thread:
            return threading.current_thread()

        assert polyloop.run(main, loops=1) is threading.current_thread()

    def test_an_error_of_main_is_raised_and_cancels_the_rest(self) -> None:
        """What main left running is cancelled, not drained."""
        futures: list[polyloop.Future[Any]] = []

        async def main() -> None:
            futures.append(polyloop.current_pool().submit(asyncio.Event().wait))
            raise LookupError("of main")

        with pytest.raises(LookupError, match="of main"):
            polyloop.run(main, loops=1)

        assert futures[0].cancelled()

    def test_options_reach_the_pool(self) -> None:
        """The pool's own parameters are those of LoopPool."""

        async def main() -> list[tuple[int, int, str, str, int]]:
            return await polyloop.current_pool().broadcast(worker_facts)

        assert polyloop.run(main, loops=2, name="named") == [
            (0, 0, "named-0", "thread", 2),
            (1, 0, "named-1", "thread", 2),
        ]

    def test_a_coroutine_object_is_refused_and_closed(self) -> None:
        """The slip of asyncio.run(main()) is told clearly, with no "never awaited" (A1)."""

        async def main() -> None:
            """Never runs."""

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(TypeError, match=r"run\(\) takes a coroutine function.*not a coroutine"):
                polyloop.run(main())  # type: ignore[arg-type]

    def test_under_a_running_loop_it_is_refused(self) -> None:
        """As asyncio.run() does, and without starting anything."""

        async def main() -> None:
            """Never runs."""

        async def outer() -> None:
            with pytest.raises(RuntimeError, match="running event loop"):
                polyloop.run(main, loops=1)

        asyncio.run(outer())


class TestCurrentPool:
    """`current_pool`."""

    @elsewhere
    def test_in_a_task_it_is_the_pool_that_runs_it(self, open_pool: OpenPool) -> None:
        """Also when another pool's task submitted it."""

        async def pool_here() -> polyloop.LoopPool:
            return polyloop.current_pool()

        async def pool_there(other: polyloop.LoopPool) -> polyloop.LoopPool:
            return await other.run(pool_here)

        with open_pool() as pool, open_pool() as other:
            assert pool.call(pool_here) is pool
            assert pool.call(pool_there, other) is other

    @elsewhere
    def test_under_run_a_workers_pool_goes_first(self, open_pool: OpenPool) -> None:
        """A task that polyloop.run's main submits elsewhere is where it runs, not where it came from."""

        async def pool_here() -> polyloop.LoopPool:
            return polyloop.current_pool()

        async def main(other: polyloop.LoopPool) -> polyloop.LoopPool:
            return await other.run(pool_here)

        with open_pool() as other:
            assert polyloop.run(main, other, loops=1) is other

    def test_outside_there_is_none(self) -> None:
        """It raises, and says where it is meant to be used."""
        with pytest.raises(RuntimeError, match=r"current_pool\(\) was called outside"):
            polyloop.current_pool()


class TestCurrentWorker:
    """`current_worker`."""

    def test_it_tells_where_a_task_runs(self, open_pool: OpenPool, backend: str) -> None:
        """Index, generation, name, backend and the number of loops."""
        with open_pool(2, name="here") as pool:
            workers = pool.broadcast(worker_facts).result()

        assert workers == [(0, 0, "here-0", backend, 2), (1, 0, "here-1", backend, 2)]

    def test_it_works_in_callbacks_and_child_tasks(self, steady_pool: LoopPool) -> None:
        """Whatever runs on the loop is on the worker."""

        async def ask_everywhere() -> list[str]:
            loop = asyncio.get_running_loop()
            called: asyncio.Future[str] = loop.create_future()
            loop.call_soon(lambda: called.set_result(polyloop.current_worker().name))
            child = asyncio.create_task(worker_facts())
            return [await called, (await child)[2]]

        names = steady_pool.options(worker=1).submit(ask_everywhere).result(PATIENCE)

        assert names == ["polyloop-1", "polyloop-1"]

    @pytest.mark.usefixtures("steady_pool")
    def test_outside_there_is_none(self) -> None:
        """In the thread that opened the pool it raises, and says where it is meant to be used."""
        with pytest.raises(RuntimeError, match=r"current_worker\(\) was called outside"):
            polyloop.current_worker()
