"""`run_sync`: plain functions in threads beside the loops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import sys
import threading
import traceback
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import BlockingCall, LoopPool, PoolClosed, current_pool, current_worker
from tests._blocker import Blocker
from tests._calls import double
from tests._stage import PATIENCE
from tests._sync_calls import place, triple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests._open_pool import OpenPool

variable: ContextVar[str] = ContextVar("variable", default="unset")


class TestResults:
    """What comes back, and where it was made."""

    def test_it_returns_the_value_or_raises_the_error(self, steady_pool: LoopPool) -> None:
        """What comes of the function comes back here."""

        def lose() -> None:
            raise LookupError("nothing")

        async def main() -> None:
            assert await steady_pool.run_sync(triple, 7, times=2) == 42
            assert await steady_pool.run_sync(functools.partial(triple, 2)) == 6
            assert await steady_pool.run_sync(pow, 2, 10) == 1024
            assert await steady_pool.run_sync(dict, fn=1, self=2) == {"fn": 1, "self": 2}
            with pytest.raises(LookupError, match="nothing"):
                await steady_pool.run_sync(lose)

        asyncio.run(main())

    def test_it_runs_beside_a_loop(self, steady_pool: LoopPool) -> None:
        """No loop runs in its thread; it knows the worker for which it runs."""

        async def main() -> str:
            return await steady_pool.run_sync(place)

        assert asyncio.run(main()) in {"beside polyloop-0", "beside polyloop-1"}

    @pytest.mark.backends("thread", why="elsewhere there is no pool to be found")
    def test_it_knows_its_pool(self, open_pool: OpenPool) -> None:
        """It may call the pool for which it runs, and its thread is named after that."""

        async def main() -> None:
            async with pool:
                assert await pool.run_sync(current_pool) is pool
                thread = await pool.run_sync(threading.current_thread)
                assert thread.name.startswith("crawler-beside-")

        pool = open_pool(2, name="crawler")
        asyncio.run(main())

    def test_the_loops_stay_free(self, steady_pool: LoopPool) -> None:
        """While a function blocks, the loop beside which it runs goes on."""

        async def main() -> None:
            blocker = Blocker()
            blocked = asyncio.create_task(steady_pool.run_sync(blocker))
            await blocker.began.wait()

            assert await steady_pool.run(double, 4) == 8

            blocker.released.set()
            assert await blocked == "ended"

        asyncio.run(main())

    def test_it_counts_against_the_limit(self, open_pool: OpenPool) -> None:
        """It is a call like any other: what comes above the limit waits."""

        async def main() -> None:
            blocker = Blocker()
            async with open_pool(1, limit=1) as pool:
                blocked = asyncio.create_task(pool.run_sync(blocker))
                await blocker.began.wait()
                waiting = asyncio.create_task(pool.run_sync(triple, 1))
                await asyncio.sleep(0)
                assert pool.statistics().backlog == 1
                blocker.released.set()
                assert [await blocked, await waiting] == ["ended", 3]

        asyncio.run(main())

    @pytest.mark.backends("thread", why="no context goes to another process or interpreter")
    def test_context_variables_go_there_and_do_not_come_back(self, open_pool: OpenPool) -> None:
        """The function sees its caller's values, in a copy."""

        def exchange() -> str:
            seen = variable.get()
            variable.set("in the thread")
            return seen

        async def main() -> None:
            variable.set("the caller's")
            async with open_pool(1) as pool:
                assert await pool.run_sync(exchange) == "the caller's"
                assert await pool.run_sync(exchange) == "the caller's"
            assert variable.get() == "the caller's"

        asyncio.run(main())

    @pytest.mark.backends("thread", why="elsewhere functions are given copies, and return what is copied")
    def test_what_is_returned_is_let_go(self, open_pool: OpenPool) -> None:
        """Neither the library nor its threads keep a value or an error, or what the function was given."""

        class Thing:
            pass

        def lose(_: Thing) -> None:
            raise LookupError("nothing")

        async def main() -> list[weakref.ref[Thing]]:
            given, kept = Thing(), Thing()
            watched = [weakref.ref(given), weakref.ref(kept)]
            async with open_pool(1) as pool:
                made = await pool.run_sync(lambda thing: [Thing(), thing], given)
                watched.append(weakref.ref(made[0]))
                with pytest.raises(LookupError):
                    await pool.run_sync(lose, kept)
                del made, given, kept
            return watched

        gc.collect()
        gc.disable()  # so that a cycle would keep it
        try:
            watched = asyncio.run(main())
            for thread in threading.enumerate():
                if "-beside-" in thread.name:
                    thread.join(PATIENCE)
            if not getattr(sys, "_is_gil_enabled", lambda: True)():
                gc.collect()  # there, counts of other threads are only now brought together
            assert [reference() for reference in watched] == [None, None, None]
        finally:
            gc.enable()


class TestErrors:
    """What is refused, and what functions raise that others could not survive."""

    def test_coroutine_functions_are_refused(self, steady_pool: LoopPool) -> None:
        """They belong on a loop, and the error names the call that runs them there."""

        class Service:
            async def __call__(self) -> None: ...

        async def generate() -> Any:
            yield 1

        async def main() -> None:
            asynchronous: list[Callable[..., Any]] = [
                double,
                functools.partial(double, 1),
                Service(),
                Service().__call__,
                generate,
            ]
            for fn in asynchronous:
                with pytest.raises(TypeError, match=r"use run\(.*, \.\.\.\)"):
                    await steady_pool.run_sync(fn)
            with pytest.raises(TypeError, match=r"run\(double, \.\.\.\)"):
                await steady_pool.run_sync(double(1))  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="not int 5"):
                await steady_pool.run_sync(5)  # type: ignore[arg-type]

        asyncio.run(main())

    def test_a_coroutine_that_is_returned_is_refused(self, steady_pool: LoopPool) -> None:
        """A plain function that makes a coroutine fails its own call, and says what to do."""

        def disguised() -> Any:
            return double(1)

        async def main() -> None:
            with pytest.raises(TypeError, match=r"disguised\(\) returned a coroutine.*use run\("):
                await steady_pool.run_sync(disguised)

        asyncio.run(main())

    def test_stop_iteration_hangs_nobody(self, steady_pool: LoopPool) -> None:
        """It comes as a RuntimeError that tells of the StopIteration, on every Python version (C3)."""

        def stop() -> None:
            raise StopIteration("here")

        async def by_asyncio() -> None:
            await asyncio.to_thread(stop)

        async def main() -> None:
            for call in (steady_pool.run_sync(stop), steady_pool.run(by_asyncio)):
                with pytest.raises(RuntimeError, match="StopIteration") as caught:
                    await call
                assert "\nStopIteration: here\n" in "".join(traceback.format_exception(caught.value))

        asyncio.run(main())

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_it_ends_in_its_own_future(self, steady_pool: LoopPool, kind: type[BaseException]) -> None:
        """Whatever a function raises, its thread and its loop go on."""

        def leave() -> None:
            raise kind

        async def main() -> None:
            with pytest.raises(kind):
                await asyncio.gather(steady_pool.executor().submit(leave))
            assert await steady_pool.run_sync(triple, 1) == 3
            assert await steady_pool.run(double, 1) == 2

        asyncio.run(main())

    def test_a_pool_that_is_closed_refuses(self, open_pool: OpenPool) -> None:
        """As it refuses every call."""

        async def main() -> None:
            pool = open_pool(1)
            with pytest.raises(PoolClosed):
                await pool.run_sync(triple, 1)

        asyncio.run(main())

    @pytest.mark.backends("thread", why="elsewhere a function cannot reach the pool that runs it")
    def test_the_end_of_the_pool_is_not_waited_for(self, open_pool: OpenPool) -> None:
        """A function that the pool runs cannot wait for the pool's end, which waits for it."""

        async def main() -> None:
            async with open_pool(1) as pool:
                with pytest.raises(BlockingCall, match="a function that the pool runs"):
                    await pool.run_sync(pool.close)
                with pytest.raises(BlockingCall, match="a function that the pool runs"):
                    await pool.run_sync(lambda: asyncio.run(pool.aclose()))

        asyncio.run(main())


@pytest.mark.backends("thread", why="elsewhere a function cannot call the pool that runs it")
def test_a_loop_with_an_executor_of_its_own_keeps_it(open_pool: OpenPool) -> None:
    """run_sync uses a loop's own threads where it has some, and marks them only meanwhile."""
    own = concurrent.futures.ThreadPoolExecutor(1, "own")

    def make_loop() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(own)
        return loop

    def parent() -> tuple[str, int]:
        return threading.current_thread().name, current_pool().call(double, 1)

    with open_pool(1, limit=1, loop_factory=make_loop) as pool:
        assert pool.executor().submit(parent).result(PATIENCE) == ("own_0", 2)
        with pytest.raises(RuntimeError, match="outside a worker"):
            own.submit(current_worker).result(PATIENCE)
