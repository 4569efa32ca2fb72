"""`executor()`: a pool for code that expects an executor of concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import BlockingCall, Future, LoopPool, PoolClosed, PoolFull, current_worker
from tests._blocker import Blocker
from tests._calls import double, fail, forever
from tests._gate import Gate
from tests._late_calls import until_running
from tests._stage import PATIENCE, Stage, nothing
from tests._sync_calls import Service, coroutine_place, place

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Coroutine

    from tests._open_pool import OpenPool


class TestSubmit:
    """What goes where, and what comes back."""

    def test_coroutine_functions_run_on_the_loops(self, steady_pool: LoopPool) -> None:
        """Whatever makes coroutines is called on a loop."""
        on_loops: list[Callable[[], Coroutine[Any, Any, str]]] = [
            coroutine_place,
            Service().coroutine,
            Service(),
            functools.partial(coroutine_place),
        ]
        with steady_pool.executor() as executor:
            for fn in on_loops:
                assert executor.submit(fn).result(PATIENCE) in {"on polyloop-0", "on polyloop-1"}

    def test_plain_functions_run_beside_the_loops(self, steady_pool: LoopPool) -> None:
        """Whatever may block never is on a loop."""
        beside: list[Callable[[], str]] = [
            place,
            Service().plain,
            lambda: place() + "",
            functools.partial(place),
        ]
        with steady_pool.executor() as executor:
            for fn in beside:
                assert executor.submit(fn).result(PATIENCE) in {"beside polyloop-0", "beside polyloop-1"}

    def test_its_futures_are_the_pools(self, steady_pool: LoopPool) -> None:
        """They are futures of concurrent.futures, can be awaited, and only their tasks settle them."""

        async def main() -> None:
            executor = steady_pool.executor()
            for future in (executor.submit(pow, 2, 5), executor.submit(double, 16)):
                assert isinstance(future, Future)
                assert isinstance(future, concurrent.futures.Future)
                with pytest.raises(concurrent.futures.InvalidStateError):
                    future.set_result(1)
                with pytest.raises(concurrent.futures.InvalidStateError):
                    future.set_exception(LookupError())
                assert await future == 32

        asyncio.run(main())

    def test_errors_come_back(self, steady_pool: LoopPool) -> None:
        """Those of the function, and those of a call that nobody could run."""

        async def generate() -> Any:
            yield 1

        with steady_pool.executor() as executor:
            with pytest.raises(LookupError):
                executor.submit(fail).result(PATIENCE)
            with pytest.raises(ZeroDivisionError):
                executor.submit(divmod, 1, 0).result(PATIENCE)
            with pytest.raises(TypeError, match="coroutine object"):
                _ = executor.submit(double(1))  # type: ignore[call-overload]
            with pytest.raises(TypeError, match="not int 5"):
                _ = executor.submit(5)  # type: ignore[call-overload]
            with pytest.raises(TypeError, match="async generator function"):
                _ = executor.submit(generate)

    def test_cancelling_reaches_the_task(self, steady_pool: LoopPool) -> None:
        """A coroutine is cancelled on its loop."""
        future = steady_pool.executor().submit(forever)
        assert future.cancel()
        concurrent.futures.wait([future], PATIENCE)
        assert future.cancelled()

    def test_a_full_backlog_refuses(self, open_pool: OpenPool) -> None:
        """As `submit` of the pool does."""
        stage = Stage()
        with open_pool(1, limit=1, backlog=0) as pool:
            executor = pool.executor()
            future = executor.submit(stage.wait)
            with pytest.raises(PoolFull):
                _ = executor.submit(pow, 1, 1)
            stage.released.set()
            assert future.result(PATIENCE) == "released"

    def test_an_error_that_nobody_collects_is_logged(
        self, steady_pool: LoopPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """With the place that submitted it, which is not in the library."""
        with steady_pool.executor() as executor:
            for future in (executor.submit(fail), executor.submit(divmod, 1, 0)):
                future.wait(PATIENCE)
            del future
        steady_pool.broadcast(nothing).result(PATIENCE)  # who has settled them holds them no more
        gc.collect()
        messages = [record.getMessage() for record in expected_logs]
        assert len(messages) == 2
        assert all("test_loop_executor.py" in message for message in messages)


class TestMap:
    """`map` is that of concurrent.futures."""

    def test_both_kinds(self, steady_pool: LoopPool) -> None:
        """In order, for plain and for coroutine functions, with a chunk size that changes nothing."""
        with steady_pool.executor() as executor:
            assert list(executor.map(pow, range(50), range(50))) == [n**n for n in range(50)]
            assert list(executor.map(double, range(50), chunksize=7)) == [2 * n for n in range(50)]

    def test_its_time_is_bounded(self, steady_pool: LoopPool) -> None:
        """What is not there in time raises TimeoutError, and the rest is cancelled."""
        gate = Gate()
        with steady_pool.executor() as executor:
            results = executor.map(gate.passage, range(3), timeout=0.01)
            with pytest.raises(TimeoutError):
                next(results)
            gate.open()


class TestShutdown:
    """An executor ends for itself."""

    def test_it_refuses_and_the_pool_goes_on(self, steady_pool: LoopPool) -> None:
        """What is submitted after that raises the RuntimeError that users of executors expect."""
        executor, other = steady_pool.executor(), steady_pool.executor()
        executor.shutdown()
        executor.shutdown()
        functions: list[Callable[[], Any]] = [nothing, place]
        for fn in functions:
            with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
                _ = executor.submit(fn)
        assert other.submit(double, 2).result(PATIENCE) == 4
        assert steady_pool.call(double, 2) == 4

    def test_it_waits_for_its_own(self, steady_pool: LoopPool) -> None:
        """Leaving the block waits for what was submitted there, and for nothing else."""
        stage = Stage()
        others, blocker = Blocker(), Blocker()
        foreign = [steady_pool.submit(stage.wait), steady_pool.executor().submit(others)]
        with steady_pool.executor() as executor:
            gate = Gate()
            own: list[Future[Any]] = [executor.submit(gate.passage), executor.submit(blocker)]
            gate.open()
            blocker.released.set()
        assert all(future.done() for future in own)
        assert not any(future.done() for future in foreign)
        stage.released.set()
        others.released.set()
        concurrent.futures.wait(foreign, PATIENCE)

    def test_it_need_not_wait(self, steady_pool: LoopPool) -> None:
        """What was submitted goes on when nobody waits."""
        gate = Gate()
        executor = steady_pool.executor()
        future = executor.submit(gate.passage, 7)
        executor.shutdown(wait=False)
        assert not future.done()
        gate.open()
        assert future.result(PATIENCE) == 7

    def test_it_cancels_what_has_not_started(self, open_pool: OpenPool) -> None:
        """With cancel_futures, what runs runs on: coroutines and functions alike."""
        gate, blocker = Gate(), Blocker()
        with open_pool(1, limit=2) as pool:
            executor = pool.executor()
            running: list[Future[Any]] = [executor.submit(gate.passage, "ended"), executor.submit(blocker)]
            until_running(running[0])
            until_running(running[1])
            waiting = [executor.submit(double, 1), executor.submit(pow, 2, 2)]

            executor.shutdown(wait=False, cancel_futures=True)

            assert all(future.wait(PATIENCE) and future.cancelled() for future in waiting)
            gate.open()
            blocker.released.set()
            assert [future.result(PATIENCE) for future in running] == ["ended", "ended"]

    @pytest.mark.backends("thread", why="elsewhere the pool does not see whether a thread has begun")
    def test_it_cancels_what_waits_for_a_thread(self, open_pool: OpenPool) -> None:
        """A function whose task has started, and which has no thread yet, has not started."""
        stage = Stage()
        with open_pool(1) as pool:
            blocking = [pool.executor().submit(stage.released.block) for _ in range(40)]
            executor = pool.executor()
            waiting = [executor.submit(pow, 2, 2) for _ in range(5)]
            pool.call(nothing)
            assert all(future.running() for future in waiting)

            executor.shutdown(cancel_futures=True)

            assert all(future.cancelled() for future in waiting)
            stage.released.set()
            for blocked in blocking:
                blocked.result(PATIENCE)

    @pytest.mark.backends("thread", why="elsewhere a task cannot reach the pool that runs it")
    def test_waiting_on_an_own_loop_is_refused(self, open_pool: OpenPool) -> None:
        """A loop of the pool cannot wait for its own tasks."""
        gate = Gate()

        async def leave() -> None:
            executor = pool.executor()
            future = executor.submit(gate.passage)
            with pytest.raises(BlockingCall):
                executor.shutdown()
            gate.open()
            await future

        with open_pool(1) as pool:
            pool.submit(leave).result(PATIENCE)

    def test_it_ends_with_the_pool(self, open_pool: OpenPool) -> None:
        """A pool that is closed refuses, with an error that is a RuntimeError too."""
        with open_pool(1) as pool:
            executor = pool.executor()
        with pytest.raises(PoolClosed) as caught:
            _ = executor.submit(pow, 1, 1)
        assert isinstance(caught.value, RuntimeError)
        executor.shutdown()

    def test_it_does_not_keep_what_has_ended(self, steady_pool: LoopPool) -> None:
        """However many calls go through an executor, it knows few more than those that have not ended."""
        executor = steady_pool.executor()
        for _ in range(500):
            executor.submit(double, 1).result(PATIENCE)
        assert len(executor._entries) <= 4


class TestAsyncio:
    """As an executor of loops."""

    def test_run_in_executor(self, steady_pool: LoopPool) -> None:
        """A loop outside the pool takes it, and gets values and errors."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            executor = steady_pool.executor()
            assert await loop.run_in_executor(executor, pow, 2, 10) == 1024
            index = await loop.run_in_executor(executor, lambda: current_worker().index)
            assert index in {0, 1}
            with pytest.raises(ZeroDivisionError):
                await loop.run_in_executor(executor, divmod, 1, 0)

        asyncio.run(main())

    def test_it_is_no_default_executor(self, steady_pool: LoopPool) -> None:
        """Asyncio takes none but its own kind of thread pools for that, and says so."""

        async def main() -> None:
            with pytest.raises(TypeError, match="ThreadPoolExecutor"):
                asyncio.get_running_loop().set_default_executor(steady_pool.executor())

        asyncio.run(main())
