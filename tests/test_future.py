"""The future: what it says of its task, in threads and on loops, at every moment."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import gc
import itertools
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from tests._calls import double, fail, forever
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncGenerator, Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

stays = pytest.mark.backends(
    "thread", why="pools and futures stay in their process: no task elsewhere has one"
)


def test_its_states_follow_the_task(open_pool: OpenPool) -> None:
    """It is pending, then running, then done; cancelled() is false throughout."""
    gate = Gate()
    with open_pool(1, limit=1) as pool:
        first, second = pool.submit(gate.passage, 1), pool.submit(gate.passage, 2)
        gate.wait_started()
        pool.broadcast(double, 0).result(PATIENCE)  # by now the pool has heard of the start
        states = [(f.running(), f.done(), f.cancelled()) for f in (first, second)]
        gate.open()
        second.result(PATIENCE)

    assert states == [(True, False, False), (False, False, False)]
    assert [(f.running(), f.done(), f.cancelled()) for f in (first, second)] == [(False, True, False)] * 2


def test_its_repr_names_the_task(steady_pool: LoopPool) -> None:
    """A future in a log tells which function it stands for and how far that has got."""
    gate = Gate()
    future = steady_pool.submit(gate.passage)
    gate.wait_started()
    steady_pool.broadcast(double, 0).result(PATIENCE)  # by now the pool has heard of the start
    shown = repr(future)
    gate.open()
    future.result(PATIENCE)

    assert "Gate.passage()" in shown
    assert "running" in shown


def test_result_returns_again_and_again(steady_pool: LoopPool) -> None:
    """The result stays on the future; asking for it takes nothing away."""
    future = steady_pool.submit(double, 1)

    assert [future.result(), future.result(), future.exception()] == [2, 2, None]


def test_result_with_a_timeout_stops_the_waiting_only(steady_pool: LoopPool) -> None:
    """result(timeout) raises TimeoutError and the task runs on to its result."""
    gate = Gate()
    future = steady_pool.submit(gate.passage, "late")
    gate.wait_started()
    with pytest.raises(TimeoutError, match=r"passage\(\) is not done after 0.01 s; it runs on"):
        future.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0)
    gate.open()

    assert future.result(PATIENCE) == "late"


def test_exception_returns_the_error(steady_pool: LoopPool) -> None:
    """exception() gives the very error that result() raises."""
    future = steady_pool.submit(fail, "nothing here")
    with pytest.raises(LookupError, match="nothing here") as caught:
        future.result()

    assert future.exception() is caught.value


def test_a_cancelled_task_raises_in_threads_that_wait(steady_pool: LoopPool) -> None:
    """result() and exception() raise TaskCancelled, which is concurrent.futures' CancelledError too."""
    future = steady_pool.submit(forever)
    future.cancel()
    with pytest.raises(polyloop.TaskCancelled, match=r"forever\(\) was cancelled"):
        future.result(PATIENCE)
    with pytest.raises(concurrent.futures.CancelledError):
        future.exception()


def test_nobody_but_the_task_settles_it(steady_pool: LoopPool) -> None:
    """set_result() and set_exception() are refused, before and after the outcome."""
    gate = Gate()
    future = steady_pool.submit(gate.passage, "the task's own")
    for _ in range(2):
        with pytest.raises(concurrent.futures.InvalidStateError):
            future.set_result("somebody else's")
        with pytest.raises(concurrent.futures.InvalidStateError):
            future.set_exception(ValueError())
        gate.open()
        future.wait(PATIENCE)

    assert future.result() == "the task's own"


@stays
@pytest.mark.parametrize(
    "wait",
    [lambda f: f.result(), lambda f: f.exception(), lambda f: f.wait(), lambda f: f.result(timeout=1)],
    ids=["result", "exception", "wait", "result-timeout"],
)
def test_waiting_on_one_of_the_pools_own_loops_is_refused(
    open_pool: OpenPool, wait: Callable[[polyloop.Future[int]], object]
) -> None:
    """A synchronous wait on the pool's own loop raises BlockingCall, where it would deadlock (A6)."""

    async def wait_here(pool: polyloop.LoopPool) -> int:
        future = pool.submit(double, 21)
        with pytest.raises(polyloop.BlockingCall, match=r"double\(\).*await it instead"):
            wait(future)
        return await future

    with open_pool(1, limit=1) as pool:
        assert pool.submit(wait_here, pool).result(PATIENCE) == 42


@stays
def test_a_result_that_is_there_can_be_taken_anywhere(open_pool: OpenPool) -> None:
    """result() on the pool's own loop is fine when there is nothing to wait for."""

    async def take_here(future: polyloop.Future[int]) -> int:
        await asyncio.gather(future)
        return future.result()

    with open_pool() as pool:
        assert pool.call(take_here, pool.submit(double, 21)) == 42


def test_result_on_a_loop_that_is_not_the_pools_is_allowed(steady_pool: LoopPool) -> None:
    """A notebook's loop may block: it is not needed for the task to end."""

    async def notebook() -> int:
        return steady_pool.submit(double, 21).result(PATIENCE)

    assert asyncio.run(notebook()) == 42


@stays
def test_a_future_of_another_pool_can_be_waited_for(open_pool: OpenPool) -> None:
    """BlockingCall is about one's own pool; blocking on another one's future is allowed."""

    async def block(future: polyloop.Future[int]) -> int:
        return future.result(PATIENCE)

    with open_pool() as one, open_pool() as two:
        assert one.call(block, two.submit(double, 21)) == 42


def test_it_leaves_no_cycle_behind_an_error(open_pool: OpenPool) -> None:
    """A collected error and its future are freed at once, without the garbage collector."""

    class Mark:
        """Can be referred to weakly."""

    async def fail_with(mark: Mark) -> None:
        raise LookupError(mark)

    async def await_it(pool: polyloop.LoopPool, mark: Mark) -> None:
        with contextlib.suppress(LookupError):
            await pool.submit(fail_with, mark)

    def collect(pool: polyloop.LoopPool, *, by_await: bool) -> weakref.ref[Mark]:
        mark = Mark()
        if by_await:
            asyncio.run(await_it(pool, mark))
        else:
            with contextlib.suppress(LookupError):
                pool.submit(fail_with, mark).result()
        return weakref.ref(mark)

    gc.disable()
    try:
        with open_pool() as pool:
            marks = [collect(pool, by_await=False), collect(pool, by_await=True)]
            pool.call(double, 0)  # the worker has left the tasks behind
        freed = [mark() is None for mark in marks]
    finally:
        gc.enable()

    assert freed == [True, True]


def test_a_settled_future_lets_the_arguments_go(steady_pool: LoopPool) -> None:
    """Keeping a future keeps its result, not what the call was made with."""

    class Argument:
        """Can be referred to weakly."""

    async def take(_: Argument) -> None:
        """Return."""

    argument = Argument()
    reference = weakref.ref(argument)
    future = steady_pool.submit(take, argument)
    del argument
    future.result(PATIENCE)
    steady_pool.broadcast(double, 0).result(PATIENCE)
    gc.collect()

    assert reference() is None


class TestDoneCallbacks:
    """Where and how a done-callback is called."""

    def test_without_a_loop_it_runs_where_the_future_is_settled(
        self, open_pool: OpenPool, backend: str
    ) -> None:
        """Added in a plain thread it is called with the future, in the thread that settles it."""
        called: list[tuple[object, str]] = []
        gate = Gate()
        with open_pool(1, name="settler") as pool:
            future = pool.submit(gate.passage)
            future.add_done_callback(lambda f: called.append((f, threading.current_thread().name)))
            gate.open()
            future.result(PATIENCE)

        assert called == [(future, "settler-0" if backend == "thread" else "settler-0-link")]

    def test_when_it_is_done_already_it_is_called_at_once(self, steady_pool: LoopPool) -> None:
        """In a plain thread a late callback is called before add_done_callback() returns."""
        called: list[object] = []
        future = steady_pool.submit(double, 1)
        future.result()
        future.add_done_callback(called.append)

        assert called == [future]

    def test_under_a_loop_it_is_delivered_to_that_loop(self, steady_pool: LoopPool) -> None:
        """Added under a running loop it is called there, so that a slow one blocks no worker (C4)."""

        async def main() -> tuple[threading.Thread, bool]:
            gate = Gate()
            called: asyncio.Future[threading.Thread] = asyncio.get_running_loop().create_future()
            future = steady_pool.submit(gate.passage)
            future.add_done_callback(lambda _: called.set_result(threading.current_thread()))
            gate.open()
            return await called, future.done()

        assert asyncio.run(main()) == (threading.current_thread(), True)

    def test_a_late_one_under_a_loop_is_not_called_in_between(self, steady_pool: LoopPool) -> None:
        """As with asyncio, a callback that comes late is called soon, never inside add_done_callback()."""

        async def main() -> list[object]:
            future = steady_pool.submit(double, 1)
            await future
            called: list[object] = []
            arrived = asyncio.Event()
            future.add_done_callback(called.append)
            future.add_done_callback(lambda _: arrived.set())
            assert called == []
            await arrived.wait()
            return [future, *called]

        future, *called = asyncio.run(main())

        assert called == [future]

    def test_each_is_called_once_in_order(self, steady_pool: LoopPool) -> None:
        """Callbacks are called once each, in the order they were added in, also one that was added twice."""
        called: list[str] = []
        gate = Gate()

        def one(_: object) -> None:
            called.append("one")

        future = steady_pool.submit(gate.passage)
        for callback in (one, lambda _: called.append("two"), one):
            future.add_done_callback(callback)
        gate.open()
        future.result(PATIENCE)
        steady_pool.broadcast(double, 0).result(PATIENCE)  # comes after the callbacks

        assert called == ["one", "two", "one"]

    def test_one_that_was_removed_is_not_called(self, steady_pool: LoopPool) -> None:
        """remove_done_callback() takes out every entry and says how many there were."""
        called: list[object] = []
        gate = Gate()
        future = steady_pool.submit(gate.passage)
        future.add_done_callback(called.append)
        future.add_done_callback(called.append)
        removed = [future.remove_done_callback(called.append), future.remove_done_callback(print)]
        gate.open()
        future.result(PATIENCE)
        steady_pool.broadcast(double, 0).result(PATIENCE)

        assert (removed, called) == ([2, 0], [])

    def test_it_is_removed_by_one_of_two_threads(self) -> None:
        """Of two threads that remove one callback at the same moment, one is told that it did."""
        rounds = 200 if getattr(sys, "_is_gil_enabled", lambda: True)() else 5_000
        futures: list[polyloop.Future[None]] = [polyloop.Future() for _ in range(rounds)]

        async def add() -> None:
            for future in futures:
                future.add_done_callback(print)  # under a loop: the one that is kept in the future itself

        asyncio.run(add())
        arrived = [-1, -1]
        removed: list[list[int]] = [[], []]

        def remove(one: int, other: int) -> None:
            for number, future in enumerate(futures):
                arrived[one] = number
                while arrived[other] < number:
                    time.sleep(0)  # both at once: an event would let one of them start long before the other
                removed[one].append(future.remove_done_callback(print))

        threads = [threading.Thread(target=remove, args=args) for args in ((0, 1), (1, 0))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [sum(pair) for pair in zip(*removed, strict=True)] == [1] * rounds

    def test_it_runs_in_the_context_it_is_given(self, steady_pool: LoopPool) -> None:
        """Under a loop a callback sees the context of whoever added it, or the one that was handed in."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="empty")

        async def main() -> list[str]:
            gate = Gate()
            seen: list[str] = []
            future = steady_pool.submit(gate.passage)
            variable.set("the adder's")
            future.add_done_callback(lambda _: seen.append(variable.get()))
            future.add_done_callback(lambda _: seen.append(variable.get()), context=contextvars.Context())
            gate.open()
            await future
            return seen

        assert asyncio.run(main()) == ["the adder's", "empty"]

    @pytest.mark.parametrize(
        ("error", "is_under_a_loop"),
        [
            *itertools.product([ValueError, SystemExit, GeneratorExit, StopIteration], [False, True]),
            (KeyboardInterrupt, False),  # under the main thread's loop it is Ctrl-C: see the next test
        ],
    )
    def test_one_that_raises_is_logged_and_hurts_nobody(
        self,
        steady_pool: LoopPool,
        expected_logs: list[logging.LogRecord],
        error: type[BaseException],
        is_under_a_loop: bool,
    ) -> None:
        """Whatever a callback raises, the next ones are called, the outcome stays and the loop lives (C4)."""
        gate = Gate()
        called = threading.Event()

        def raises(_: object) -> None:
            raise error("from a callback")

        async def main() -> None:
            add()
            await future

        def add() -> None:
            future.add_done_callback(raises)
            future.add_done_callback(lambda _: called.set())
            gate.open()

        future = steady_pool.submit(gate.passage, "unharmed")
        if is_under_a_loop:
            asyncio.run(main())
        else:
            add()

        assert called.wait(PATIENCE)
        assert future.result(PATIENCE) == "unharmed"
        assert steady_pool.call(double, 1) == 2
        assert [record.exc_info[0] for record in expected_logs if record.exc_info] == [error]

    def test_ctrl_c_in_a_callback_goes_on(self, steady_pool: LoopPool) -> None:
        """In the main thread a KeyboardInterrupt ends the program's loop, not only the callback it hit."""
        gate = Gate()
        called = threading.Event()

        def raises(_: object) -> None:
            raise KeyboardInterrupt

        async def main() -> None:
            future = steady_pool.submit(gate.passage)
            future.add_done_callback(raises)
            future.add_done_callback(lambda _: called.set())
            gate.open()
            await future

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())

        assert steady_pool.call(double, 1) == 2
        assert called.is_set()

    def test_callbacks_race_with_the_outcome(self, open_pool: OpenPool) -> None:
        """Added at the very moment the task ends, each callback is called exactly once."""
        called: list[int] = []
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with open_pool(2) as pool:
                for number in range(3000):
                    pool.submit(double, number).add_done_callback(lambda _, n=number: called.append(n))  # type: ignore[misc]
        finally:
            sys.setswitchinterval(interval)

        assert sorted(called) == list(range(3000))


class TestAwaiting:
    """Awaiting on loops, the pool's own and others."""

    def test_on_any_loop(self, steady_pool: LoopPool) -> None:
        """It gives the value, or raises the error, on a loop that is not the pool's (A10)."""

        async def main() -> int:
            with pytest.raises(LookupError, match="nothing"):
                await steady_pool.submit(fail, "nothing")
            return await steady_pool.submit(double, 21)

        assert asyncio.run(main()) == 42

    @stays
    def test_one_future_on_three_loops(self, open_pool: OpenPool) -> None:
        """Pending, it is awaited on three loops at once, one of them the pool's; all get the result (A10)."""
        gate = Gate()

        async def wait_for(future: polyloop.Future[object], waiting: threading.Barrier) -> object:
            asyncio.get_running_loop().call_soon(waiting.wait, PATIENCE)
            return await future

        with open_pool() as pool, open_pool() as other:
            future = pool.submit(gate.passage, "the same")
            waiting = threading.Barrier(4)
            results: list[object] = []
            thread = threading.Thread(target=lambda: results.append(asyncio.run(wait_for(future, waiting))))
            thread.start()
            elsewhere = [p.submit(wait_for, future, waiting) for p in (pool, other)]
            gate.wait_started()
            waiting.wait(PATIENCE)  # each loop comes to it after its task began to wait
            gate.open()
            thread.join(PATIENCE)

            assert results + [f.result(PATIENCE) for f in elsewhere] == ["the same"] * 3

    def test_by_several_tasks_of_one_loop(self, steady_pool: LoopPool) -> None:
        """A thousand tasks of one loop can await the same future."""

        async def main() -> list[Any]:
            gate = Gate()
            future = steady_pool.submit(gate.passage, 7)
            tasks = [asyncio.create_task(_returned(future)) for _ in range(1000)]
            await asyncio.sleep(0)
            gate.open()
            return await asyncio.gather(*tasks)

        assert asyncio.run(main()) == [7] * 1000

    def test_on_loops_that_take_turns_in_one_thread(self, steady_pool: LoopPool) -> None:
        """A loop that rests while another one runs in its thread still hears of the outcome afterwards."""
        gate = Gate()
        with asyncio.Runner() as one, asyncio.Runner() as two:
            future = steady_pool.submit(gate.passage, "heard")
            waiting = one.run(_started(_returned(future)))
            for _ in range(3):
                assert two.run(_returned(steady_pool.submit(double, 21))) == 42
                one.run(asyncio.sleep(0))
            gc.collect()
            one.run(asyncio.sleep(0))
            gate.open()

            assert one.run(_within(PATIENCE, waiting)) == "heard"

    def test_in_an_async_generator_that_is_shut_down_with_its_loop(self, steady_pool: LoopPool) -> None:
        """While asyncio.run() closes async generators, their `finally` blocks can still use the pool."""
        results: list[int] = []

        async def generate() -> AsyncGenerator[int, None]:
            try:
                yield await steady_pool.run(double, 1)
            finally:
                results.append(await steady_pool.run(double, 21))
                results.append(await steady_pool.submit(double, 22))

        async def main() -> AsyncGenerator[int, None]:
            generator = generate()
            await anext(generator)
            return generator

        _left_open = asyncio.run(main())

        assert results == [42, 44]

    def test_a_task_that_somebody_else_cancelled(self, steady_pool: LoopPool) -> None:
        """Who awaits it gets TaskCancelled, an Exception: it was not cancelled itself (P5)."""

        async def main() -> None:
            future = steady_pool.submit(forever)
            threading.Timer(0, future.cancel).start()
            with pytest.raises(polyloop.TaskCancelled):
                await future
            current = asyncio.current_task()
            assert current is not None
            assert current.cancelling() == 0

        asyncio.run(main())


async def _returned(future: polyloop.Future[Any]) -> Any:
    return await future


async def _started(coroutine: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def _within(seconds: float, task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await task
