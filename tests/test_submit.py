"""Submitting: any thread, any loop, at any time of the pool's life, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._calls import double, place, thread_name, turn
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    from polyloop import LoopPool
    from tests._open_pool import OpenPool

nests = pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")


async def _both(first: str, /, *rest: str, **named: str) -> tuple[str, tuple[str, ...], dict[str, str]]:
    await asyncio.sleep(0)
    return first, rest, named


def test_a_call_gets_its_arguments_and_its_caller_the_result(steady_pool: LoopPool) -> None:
    """Positional and keyword arguments reach the function as they are, whatever they are called."""
    future = steady_pool.submit(_both, "a", "b", "c", fn="d", self="e", timeout="f")

    assert future.result() == ("a", ("b", "c"), {"fn": "d", "self": "e", "timeout": "f"})


def test_calls_run_on_the_pools_loops_and_not_in_the_callers_thread(steady_pool: LoopPool) -> None:
    """A call runs in one of the places where the workers are, and the caller is in none of them."""
    places = steady_pool.broadcast(place).result(PATIENCE)

    assert len(set(places)) == 2
    assert {steady_pool.call(place) for _ in range(20)} <= set(places)
    assert (os.getpid(), threading.get_ident()) not in places


@pytest.mark.backends("thread", "interpreter", why="the loop of a process is in its main thread")
def test_a_workers_thread_is_named_after_the_pool(open_pool: OpenPool) -> None:
    """The thread that a call runs in has the name of its pool and the number of its worker."""
    with open_pool(1, name="crawler") as pool:
        assert pool.call(thread_name) == "crawler-0"


def test_calls_are_spread_over_all_loops(open_pool: OpenPool) -> None:
    """Many calls that take their time use every loop."""
    gate = Gate()

    async def pass_on() -> int:
        await gate.passage()
        return polyloop.current_worker().index

    with open_pool(3) as pool:
        futures = [pool.submit(pass_on) for _ in range(60)]
        gate.wait_started(60)
        gate.open()
        indexes = [future.result() for future in futures]

    assert {indexes.count(index) for index in range(3)} <= set(range(15, 26))


def test_calls_of_one_thread_start_in_order_on_one_loop(open_pool: OpenPool) -> None:
    """What one thread submits starts in the order it was submitted in, over the limit too."""
    with open_pool(1, limit=7) as pool:
        turns = [future.result(PATIENCE) for future in [pool.submit(turn) for _ in range(1000)]]

    assert turns == list(range(turns[0], turns[0] + 1000))


def test_eight_threads_can_submit_at_once(steady_pool: LoopPool) -> None:
    """Nothing is lost or mixed up when many threads submit at the same time."""
    with ThreadPoolExecutor(8) as threads:

        def burst(base: int) -> list[int]:
            futures = [steady_pool.submit(double, base + number) for number in range(500)]
            return [future.result(PATIENCE) for future in futures]

        results = list(threads.map(burst, range(0, 80_000, 10_000)))

    assert results == [[2 * (base + number) for number in range(500)] for base in range(0, 80_000, 10_000)]


@nests
def test_a_task_can_submit_to_its_own_pool_at_the_limit(open_pool: OpenPool) -> None:
    """Nested calls do not count against the limit, for their parents wait: no deadlock."""

    async def parent(pool: polyloop.LoopPool, depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + await pool.submit(parent, pool, depth - 1)

    with open_pool(1, limit=1) as pool:
        depths = [future.result(PATIENCE) for future in [pool.submit(parent, pool, 5) for _ in range(10)]]

    assert depths == [5] * 10


@nests
def test_two_pools_can_call_each_other(open_pool: OpenPool) -> None:
    """A waits for B which waits for A again, with one loop and a limit of one each: no deadlock."""

    async def ping(pool: polyloop.LoopPool, other: polyloop.LoopPool, left: int) -> int:
        return left if left == 0 else 1 + await other.run(ping, other, pool, left - 1)

    with open_pool(1, limit=10) as one, open_pool(1, limit=10) as two:
        assert one.call(ping, one, two, 6) == 6


def test_a_loop_that_was_stopped_by_a_task_goes_on(steady_pool: LoopPool) -> None:
    """A task that stops its loop does not turn every later call into one that never ends (A2)."""

    async def stop_the_loop() -> None:
        asyncio.get_running_loop().stop()

    view = steady_pool.options(worker=0)
    view.call(stop_the_loop)

    assert view.submit(double, 21).result(PATIENCE) == 42
    assert steady_pool.statistics().workers[0].generation == 0


def test_submit_is_heard_by_a_loop_that_has_nothing_else_to_do(steady_pool: LoopPool) -> None:
    """An idle loop is woken for each call and each answer, with no other traffic to help (A7)."""
    view = steady_pool.options(worker=0)

    results = [view.submit(double, number).result(PATIENCE) for number in range(2000)]

    assert results == [2 * number for number in range(2000)]


class TestLifeCycle:
    """The pool accepts calls while it is open, and at no other time."""

    def test_before_it_is_open(self, open_pool: OpenPool) -> None:
        """A pool that was never opened refuses, says what to do, and leaves nothing behind."""
        pool = open_pool()

        with pytest.raises(polyloop.PoolClosed, match=r"not open yet.*with.*open"):
            _ = pool.submit(double, 1)

    def test_after_it_was_closed(self, open_pool: OpenPool) -> None:
        """A closed pool refuses at once, where the naive way would wait for ever, and stays so (A1, A2)."""
        with open_pool() as pool:
            with pytest.raises(polyloop.PoolClosed, match="opened once"):
                pool.open()
            assert pool.call(double, 1) == 2

        with pytest.raises(polyloop.PoolClosed, match="closed"):
            _ = pool.submit(double, 1)
        with pytest.raises(polyloop.PoolClosed, match="opened once"):
            pool.open()

    def test_while_it_is_closing(self, open_pool: OpenPool) -> None:
        """While the pool drains it takes nothing from outside; what it took before is finished."""
        gate = Gate()
        pool = open_pool()
        pool.open()
        running = pool.submit(gate.passage, "finished")
        gate.wait_started()
        closing = threading.Thread(target=pool.close)
        closing.start()

        _wait_until_refused(pool)
        gate.open()
        closing.join(PATIENCE)

        assert not closing.is_alive()
        assert running.result(0) == "finished"

    @nests
    def test_running_tasks_may_submit_while_it_is_closing(self, open_pool: OpenPool) -> None:
        """A task that is being drained can still make the nested calls that it needs to end."""
        gate = Gate()

        async def parent(pool: polyloop.LoopPool) -> int:
            await gate.passage()
            return await pool.submit(double, 21)

        pool = open_pool(2)
        pool.open()
        running = pool.submit(parent, pool)
        gate.wait_started()
        closing = threading.Thread(target=pool.close)
        closing.start()
        _wait_until_refused(pool)
        gate.open()
        closing.join(PATIENCE)

        assert running.result(0) == 42

    def test_what_is_accepted_during_a_close_is_settled(self, open_pool: OpenPool, backend: str) -> None:
        """Threads that submit while the pool closes are refused or get an outcome, always (A5)."""
        for drain in (0.0, None, 0.05) * (7 if backend == "thread" else 1):
            pool = open_pool(2, limit=5)
            pool.open()
            with ThreadPoolExecutor(4) as threads:
                start = threading.Barrier(5)
                floods = [threads.submit(_submit_until_refused, pool, start) for _ in range(4)]
                start.wait(PATIENCE)
                pool.close(drain=drain)
                futures = [future for flood in floods for future in flood.result(PATIENCE)]

            assert [future for future in futures if not future.done()] == []

    @pytest.mark.backends("thread", why="what starts a process or an interpreter fails in other ways")
    def test_a_worker_that_does_not_come_up(
        self, open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When a thread cannot be started, open() raises, and all the rest is released (A3)."""
        start = threading.Thread.start
        started: list[threading.Thread] = []

        def start_two(thread: threading.Thread) -> None:
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(thread)
            start(thread)

        pool = open_pool(3)
        monkeypatch.setattr(threading.Thread, "start", start_two)
        with pytest.raises(polyloop.StartupError, match="can't start new thread"):
            pool.open()

        assert not any(thread.is_alive() for thread in started)
        with pytest.raises(polyloop.PoolClosed):
            _ = pool.submit(double, 1)

    def test_a_pool_that_is_dropped_is_closed(self, open_pool: OpenPool) -> None:
        """A dropped pool warns, and its threads, descriptors and pending calls do not stay (A12)."""
        gate = Gate()
        pool = open_pool(2, name="dropped")
        pool.open()
        future = pool.submit(gate.passage)
        gate.wait_started()

        with pytest.warns(ResourceWarning, match="dropped without being closed"):  # noqa: PT031 - by either
            del pool
            gc.collect()

        with pytest.raises(polyloop.TaskCancelled):
            future.result(PATIENCE)
        for thread in threading.enumerate():
            if thread.name.startswith("dropped"):
                thread.join(PATIENCE)
                assert not thread.is_alive()

    def test_a_pool_that_was_never_opened_can_be_dropped(self, open_pool: OpenPool) -> None:
        """It holds nothing yet, so there is nothing to warn of."""
        pool = open_pool(2)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del pool
            gc.collect()

        assert [str(warning.message) for warning in caught] == []


def _wait_until_refused(pool: polyloop.LoopPool) -> None:
    # Nothing tells from outside that close() has begun, but for this.
    with pytest.raises(polyloop.PoolClosed):  # noqa: PT012 - the last one of many
        while True:
            _ = pool.submit(double, 0)


def _submit_until_refused(pool: polyloop.LoopPool, start: threading.Barrier) -> list[polyloop.Future[int]]:
    futures = []
    start.wait(PATIENCE)
    try:
        while True:
            futures.append(pool.submit(double, 1))
            if len(futures) % 500 == 0:
                futures[-1].result(PATIENCE)  # or the flood could outrun the closing for ever
    except (polyloop.PoolClosed, polyloop.TaskCancelled):
        return futures
