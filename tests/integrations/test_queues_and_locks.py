"""Queues and locks across loops: culsans and aiologic do it, asyncio's own do not (A10)."""

from __future__ import annotations

import asyncio
import concurrent.futures
import selectors
import threading
from typing import TYPE_CHECKING, Any

import aiologic
import culsans
import pytest

from polyloop import DeadlineExceeded
from tests._calls import double
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests._open_pool import OpenPool

pytestmark = pytest.mark.backends("thread", why="these queues and locks join the threads of one interpreter")

A_MOMENT = 0.1
"""Seconds to look whether something happens that must not; however slow the machine, it must not."""


# -- asyncio's own -------------------------------------------------------------------------


class WatchedSelector(selectors.SelectSelector):
    """Says when its loop goes to sleep with nothing to do, which only a wake-up ends."""

    asleep: threading.Event | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As any selector does."""
        if timeout is None and self.asleep is not None:
            self.asleep.set()
        return super().select(timeout)


class WatchedLoop(asyncio.SelectorEventLoop):
    """An ordinary loop with a `WatchedSelector`."""

    def __init__(self) -> None:
        self.watched = WatchedSelector()
        super().__init__(self.watched)


async def sleep_for(awaitable: Awaitable[Any], asleep: threading.Event) -> Any:
    """Wait for something; `asleep` is set when the loop sleeps, with nothing but this to wait for."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WatchedLoop)
    loop.watched.asleep = asleep
    return await awaitable


async def nothing() -> None:
    """Wake the loop."""


def test_a_lock_of_asyncio_hangs_on_the_other_loop(open_pool: OpenPool) -> None:
    """Released on one loop, it does not wake the loop that waits for it: something else has to."""
    lock, gate, asleep = asyncio.Lock(), Gate(), threading.Event()

    async def hold() -> None:
        async with lock:
            await gate.passage()

    with open_pool(2, loop_factory=WatchedLoop) as pool:
        holder = pool.options(worker=0).submit(hold)
        gate.wait_started()
        waiter = pool.options(worker=1).submit(sleep_for, lock.acquire(), asleep)
        assert asleep.wait(PATIENCE)
        gate.open()
        holder.result(PATIENCE)

        assert not waiter.wait(A_MOMENT)
        assert not lock.locked()

        pool.options(worker=1).call(nothing)
        assert waiter.result(PATIENCE)


def test_a_queue_of_asyncio_hangs_on_the_other_loop(open_pool: OpenPool) -> None:
    """What one loop puts into it, the other one does not come to take."""
    queue: asyncio.Queue[str] = asyncio.Queue()
    asleep = threading.Event()

    async def put() -> None:
        queue.put_nowait("an item")

    with open_pool(2, loop_factory=WatchedLoop) as pool:
        getter = pool.options(worker=1).submit(sleep_for, queue.get(), asleep)
        assert asleep.wait(PATIENCE)
        pool.options(worker=0).call(put)

        assert not getter.wait(A_MOMENT)
        assert queue.qsize() == 1

        pool.options(worker=1).call(nothing)
        assert getter.result(PATIENCE) == "an item"


@pytest.mark.parametrize(
    ("make", "method"), [(asyncio.Event, "wait"), (asyncio.Queue, "get"), (asyncio.Lock, "acquire")]
)
def test_the_second_loop_that_waits_for_one_of_asyncio_is_told(
    open_pool: OpenPool, make: Callable[[], object], method: str
) -> None:
    """The first loop that has to wait binds it, and the next one gets an error."""
    shared, asleep = make(), threading.Event()
    wait: Callable[[], Awaitable[Any]] = getattr(shared, method)
    if isinstance(shared, asyncio.Lock):  # which nobody waits for while it is free
        asyncio.run(shared.acquire())

    with open_pool(2, loop_factory=WatchedLoop) as pool:
        first = pool.options(worker=0).submit(sleep_for, wait(), asleep)
        assert asleep.wait(PATIENCE)
        with pytest.raises(RuntimeError, match="different event loop"):
            pool.options(worker=1).call(sleep_for, wait(), threading.Event())
        first.cancel()


# -- culsans and aiologic ------------------------------------------------------------------


def test_a_culsans_queue_joins_producers_and_consumers_of_different_loops(open_pool: OpenPool) -> None:
    """Every item arrives once, each producer's in order, and no more than `maxsize` wait."""
    queue = culsans.Queue[int](maxsize=3)

    async def produce(numbers: range) -> None:
        for number in numbers:
            await queue.async_q.put(number)
            assert queue.qsize() <= 3

    async def consume() -> list[int]:
        taken: list[int] = []
        try:
            while True:
                taken.append(await queue.async_q.get())
        except culsans.AsyncQueueShutDown:
            return taken

    with open_pool(4) as pool:
        consumers = [pool.options(worker=index).submit(consume) for index in (0, 1)]
        producers = [
            pool.options(worker=2 + index).submit(produce, range(200 * index, 200 * index + 200))
            for index in (0, 1)
        ]
        concurrent.futures.wait(producers, PATIENCE)
        queue.shutdown()
        taken = [consumer.result(PATIENCE) for consumer in consumers]

    assert sorted(taken[0] + taken[1]) == list(range(400))
    for part in taken:
        for producer in (range(200), range(200, 400)):
            own = [number for number in part if number in producer]
            assert own == sorted(own)


def test_a_full_culsans_queue_makes_a_producer_wait_and_not_its_loop(open_pool: OpenPool) -> None:
    """A producer on a loop waits for a consumer in a thread, and its loop does other work meanwhile."""
    queue = culsans.Queue[int](maxsize=1)
    queue.put_nowait(1)

    async def put() -> None:
        await queue.async_q.put(2)

    with open_pool(1) as pool:
        producer = pool.submit(put)
        assert pool.call(double, 2) == 4
        assert not producer.done()

        assert [queue.sync_q.get(timeout=PATIENCE) for _ in range(2)] == [1, 2]
        producer.result(PATIENCE)


def test_an_aiologic_lock_lets_one_in_of_all_loops(open_pool: OpenPool) -> None:
    """Steps of tasks on three loops, and of a thread without one, do not come between each other's."""
    lock = aiologic.Lock()
    count = 0

    async def add(_: int) -> None:
        nonlocal count
        async with lock:
            before = count
            await asyncio.sleep(0)
            count = before + 1

    with open_pool(3) as pool:
        stream = pool.map(add, range(60), ordered=False)
        for _ in stream:
            with lock:
                count += 1

    assert count == 120


def test_an_aiologic_semaphore_is_shared_by_loops(open_pool: OpenPool) -> None:
    """No more than its number are inside at a time, of all loops together, and all get their turn."""
    places, lock = aiologic.Semaphore(2), threading.Lock()
    inside: set[int] = set()
    most = 0

    async def visit(number: int) -> None:
        nonlocal most
        async with places:
            with lock:
                inside.add(number)
                most = max(most, len(inside))
            await asyncio.sleep(0)
            with lock:
                inside.remove(number)

    with open_pool(3) as pool:
        list(pool.map(visit, range(60)))

    assert most in {1, 2}
    assert places.value == 2


def test_a_waiter_whose_deadline_passes_leaves_the_lock_as_it_is(open_pool: OpenPool) -> None:
    """It gives up its place, on whatever loop; the holder goes on, and the next one gets the lock."""
    lock, gate = aiologic.Lock(), Gate()

    async def hold() -> None:
        async with lock:
            await gate.passage()

    with open_pool(2, timeout_grace=PATIENCE) as pool:
        holder = pool.options(worker=0).submit(hold)
        gate.wait_started()
        with pytest.raises(DeadlineExceeded) as late:
            pool.options(worker=1, timeout=0.02).call(hold)
        waiter = pool.options(worker=1).submit(hold)
        gate.open()
        holder.result(PATIENCE)
        waiter.result(PATIENCE)

    assert not late.value.still_running
    assert not lock.locked()
