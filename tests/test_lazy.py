"""Lazy pools: opened by their first call, and anew in a forked child."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from polyloop import LoopPool, PoolClosed, StartupError
from tests._calls import double, forever, where
from tests._gate import PATIENCE, Gate
from tests._processes import run_python
from tests._shared import Flag, Tally
from tests._stage import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests._open_pool import OpenPool


class Slow:
    """A lifespan that ends its beginning when it is told to, or fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.begun = Flag()
        self.gate = Gate()
        self._beginnings = Tally()
        self._failures = failures

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Begin when told to."""
        self.begun.set()
        if self._beginnings.add() <= self._failures:
            raise LookupError("no such server")
        await self.gate.passage()
        yield


def loops() -> int:
    """How many workers of lazy pools there are: each has a thread here, of its own or for its answers."""
    names = {thread.name.removesuffix("-link") for thread in threading.enumerate()}
    return sum(name.startswith("lazy-") and name[-1].isdigit() for name in names)


def test_nothing_is_there_before_the_first_call(open_pool: OpenPool) -> None:
    """A lazy pool costs nothing until it is used, in a `with` block too, and closing it then is nothing."""
    with open_pool(2, lazy=True, name="lazy") as unused:
        before = loops()
    with pytest.raises(PoolClosed):
        _ = unused.submit(double, 1)

    with open_pool(2, lazy=True, name="lazy") as pool:
        assert pool.call(double, 1) == 2
        assert pool.broadcast(where).result(PATIENCE) == [0, 1]  # both are up
        during = loops()

    assert (before, during, loops()) == (0, 2, 0)


def test_every_way_to_hand_in_a_call_opens_it(open_pool: OpenPool) -> None:
    """submit, run, call, map, broadcast, a view and a group may each come first."""

    async def in_group(pool: LoopPool) -> int:
        async with pool.task_group() as group:
            child = group.create_task(double, 1)
        return child.result()

    async def by_run(pool: LoopPool) -> int:
        return await pool.run(double, 1)

    with open_pool(1, lazy=True) as pool:
        assert pool.submit(double, 1).result(PATIENCE) == 2
    with open_pool(1, lazy=True) as pool:
        assert asyncio.run(by_run(pool)) == 2
    with open_pool(1, lazy=True) as pool:
        assert list(pool.map(double, [1, 2])) == [2, 4]
    with open_pool(2, lazy=True) as pool:
        assert pool.broadcast(where).result(PATIENCE) == [0, 1]
    with open_pool(1, lazy=True) as pool:
        assert pool.options(worker=0, timeout=PATIENCE).call(where) == 0
    with open_pool(1, lazy=True) as pool:
        assert asyncio.run(in_group(pool)) == 2


def test_the_first_call_does_not_wait_for_the_loops(open_pool: OpenPool) -> None:
    """submit() returns while the pool comes up; what was handed in then runs, whatever the backlog allows."""
    slow = Slow()
    with open_pool(2, lazy=True, lifespan=slow.lifespan, backlog=0) as pool:
        futures = [pool.submit(double, number) for number in range(20)]
        everywhere = pool.broadcast(where)
        until(slow.begun)
        assert not any(future.done() for future in futures)
        slow.gate.open()

        assert [future.result(PATIENCE) for future in futures] == [2 * number for number in range(20)]
        assert everywhere.result(PATIENCE) == [0, 1]


def test_the_first_call_comes_from_many_threads_at_once(open_pool: OpenPool, backend: str) -> None:
    """It is opened once, and nobody is refused."""
    barrier = threading.Barrier(8)
    results: list[int] = []
    rounds = 10 if backend == "thread" else 2  # the race is the pool's own, and processes take their time

    def use(pool: LoopPool) -> None:
        barrier.wait(PATIENCE)
        results.append(pool.call(double, 1))

    for _ in range(rounds):
        with open_pool(2, lazy=True, name="lazy") as pool:
            threads = [threading.Thread(target=use, args=(pool,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert pool.broadcast(where).result(PATIENCE) == [0, 1]
            assert loops() == 2

    assert results == [2] * 8 * rounds


def test_leaving_the_block_lets_what_came_finish(open_pool: OpenPool) -> None:
    """A pool that is closed while it is being opened opens, drains and closes."""
    slow = Slow()
    with open_pool(1, lazy=True, lifespan=slow.lifespan) as pool:
        future = pool.submit(double, 1)
        until(slow.begun)
        opener = threading.Timer(0.01, slow.gate.open)
        opener.start()

    opener.join()
    assert future.result(0) == 2


def test_closing_at_once_cancels_what_came(open_pool: OpenPool) -> None:
    """With drain=0 nothing is waited for: what waits for the loops is cancelled."""
    slow = Slow()
    pool = open_pool(1, lazy=True, lifespan=slow.lifespan)
    future = pool.submit(double, 1)
    until(slow.begun)
    pool.close(drain=0)

    assert future.cancelled()
    with pytest.raises(PoolClosed):
        _ = pool.submit(double, 1)


def test_a_pool_that_cannot_be_opened_tells_those_who_wait_and_tries_again(open_pool: OpenPool) -> None:
    """A failing start fails the calls that came until then, with its cause; the next call starts anew."""
    slow = Slow(failures=1)
    slow.gate.open()
    with open_pool(1, lazy=True, lifespan=slow.lifespan) as pool:
        with pytest.raises(StartupError, match="no such server"):
            pool.submit(double, 1).result(PATIENCE)

        assert pool.call(double, 1) == 2


def test_no_thread_to_open_it_with_is_an_error_of_the_call(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no thread can be started the call is refused, and the next one tries again."""

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with open_pool(1, lazy=True) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            with pytest.raises(StartupError, match="can't start new thread"):
                _ = pool.submit(double, 1)

        assert pool.call(double, 1) == 2


def test_it_may_be_opened_by_hand(open_pool: OpenPool) -> None:
    """open() brings it up ahead of the first call, as a server does before it takes requests."""
    pool = open_pool(2, lazy=True, name="lazy")
    pool.open()
    assert loops() == 2
    assert pool.call(double, 1) == 2
    pool.close()


FORKING = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that one should not fork where threads are
import polyloop

async def who():
    return os.getpid()

async def forever():
    await asyncio.Event().wait()

pool = polyloop.LoopPool(2, lazy=True)
view = pool.options(timeout=10)
{used}
pending = pool.submit(forever) if {is_used} else None
for _ in range(2):
    child = os.fork()
    if not child:
        answers = {{pool.call(who), view.call(who), pool.submit(who).result(10)}}
        try:
            forked = pending.result(1) if pending else "ForkedPool"
        except polyloop.ForkedPool:
            forked = "ForkedPool"
        print(answers == {{os.getpid()}}, forked, flush=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
print(pool.call(who) == os.getpid(), view.call(who) == os.getpid())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("is_used", [False, True])
def test_a_forked_child_opens_it_anew(is_used: bool) -> None:
    """A web server's preloaded worker uses the pool of its module, whether the parent has used it or not."""
    used = "assert pool.call(who) == os.getpid()" if is_used else ""
    ended = run_python(FORKING.format(used=used, is_used=is_used))

    assert ended.errors == ""
    assert ended.output == "True ForkedPool\nTrue ForkedPool\nTrue True\n"
    assert ended.status == 0


def test_interpreter_exit_closes_a_lazy_pool_of_a_module() -> None:
    """What nobody closes is closed at exit: the clean-up of what runs is reached, and nothing is said."""
    ended = run_python("""
import asyncio, threading, polyloop
pool = polyloop.LoopPool(1, lazy=True)
begun = threading.Event()

async def stay():
    try:
        begun.set()
        await asyncio.Event().wait()
    finally:
        print("cleaned up")

future = pool.submit(stay)
begun.wait()
""")

    assert (ended.output, ended.errors, ended.status) == ("cleaned up\n", "", 0)


def test_a_lazy_pool_that_is_closed_stays_closed(open_pool: OpenPool) -> None:
    """close() is for good."""
    with open_pool(1, lazy=True) as pool:
        future = pool.submit(forever)
        pool.close(drain=0)
        with pytest.raises(PoolClosed):
            pool.call(double, 1)

    assert future.cancelled()
    with pytest.raises(polyloop.TaskCancelled):
        future.result(0)
