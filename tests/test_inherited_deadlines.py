"""Who inherits a deadline: what a task waits for, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded, LoopPool
from polyloop._deadline import current_deadline
from tests._calls import forever
from tests._gate import PATIENCE, Gate
from tests._passing_time import let_pass

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests._open_pool import OpenPool

pytestmark = pytest.mark.backends("thread", why="elsewhere a task cannot call a pool that it was given")

SOON = 0.02


async def seconds_left() -> float | None:
    """The deadline of the task that runs this, on the clock; None without one."""
    deadline = current_deadline.get()
    return None if deadline is None or deadline.is_over else deadline.when


def test_a_nested_run_inherits_what_is_left(open_pool: OpenPool) -> None:
    """The deadline of a task is that of the calls it awaits, also of those in tasks and maps of its own."""

    async def parent(pool: LoopPool) -> list[float | None]:
        async with asyncio.TaskGroup() as group:
            inner = group.create_task(pool.run(seconds_left))

        async def item(_: int) -> float | None:
            return await seconds_left()

        return [await seconds_left(), await pool.run(seconds_left), await inner, *await pool.map(item, [0])]

    with open_pool(2) as pool:
        own, *inherited = pool.options(timeout=PATIENCE).call(parent, pool)
        without = pool.call(parent, pool)

    assert own is not None
    assert inherited == [own, own, own]
    assert without == [None] * 4


def test_the_earlier_of_two_deadlines_counts(open_pool: OpenPool) -> None:
    """A nested call with a timeout of its own has that, unless what is left is less."""

    async def parent(pool: LoopPool) -> tuple[float, float, float]:
        own = await seconds_left()
        shorter = await pool.options(timeout=PATIENCE / 2).run(seconds_left)
        longer = await pool.options(timeout=PATIENCE * 2).run(seconds_left)
        assert own is not None
        assert shorter is not None
        assert longer is not None
        return own, shorter, longer

    with open_pool(2) as pool:
        own, shorter, longer = pool.options(timeout=PATIENCE).call(parent, pool)

    assert shorter < own == longer


def test_what_is_submitted_does_not_inherit(open_pool: OpenPool) -> None:
    """submit() and broadcast() hand in what need not end with the caller, and pass no deadline on."""

    async def parent(pool: LoopPool) -> list[float | None]:
        async def child() -> float | None:
            return await pool.run(seconds_left)

        return [
            await pool.submit(seconds_left),
            *await pool.broadcast(seconds_left),
            await pool.submit(child),
        ]

    with open_pool(2) as pool:
        deadlines = pool.options(timeout=PATIENCE).call(parent, pool)

    assert deadlines == [None] * 4


def test_parent_and_child_run_out_together(open_pool: OpenPool) -> None:
    """The caller hears of the deadline of its own call, whichever of the two was told first."""

    async def parent(pool: LoopPool) -> int:
        return await pool.run(forever)

    with open_pool(2) as pool:
        for _ in range(20):
            with pytest.raises(DeadlineExceeded, match=r"parent\(\) had a deadline"):
                pool.options(timeout=SOON / 4).call(parent, pool)


def test_a_child_is_stopped_though_the_parent_s_loop_is_stalled(open_pool: OpenPool) -> None:
    """An inherited deadline needs nothing of the loop that it was inherited on."""
    started, stalled, ended = threading.Event(), threading.Event(), threading.Event()

    async def child() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def parent(pool: LoopPool) -> None:
        running = asyncio.ensure_future(pool.options(worker=1).run(child))
        await asyncio.sleep(0)  # it is on its way
        assert started.wait(PATIENCE)
        stalled.set()
        assert ended.wait(PATIENCE), "the child was not cancelled while its parent's loop was stalled"
        await running

    with open_pool(2, timeout_grace=PATIENCE) as pool:
        future = pool.options(timeout=PATIENCE * 2, worker=0).submit(parent, pool)
        assert stalled.wait(PATIENCE)
        let_pass(pool, PATIENCE * 2)
        with pytest.raises(DeadlineExceeded):
            future.result(PATIENCE)


def test_a_task_left_in_the_background_is_not_hit(open_pool: OpenPool) -> None:
    """A deadline ends with the task that had it: what that left running goes on, its calls too."""
    gate = Gate()
    background: list[asyncio.Task[object]] = []

    async def parent(pool: LoopPool) -> None:
        background.append(asyncio.create_task(pool.run(gate.passage, "well")))
        await asyncio.to_thread(gate.wait_started)

    async def watch() -> object:
        return await background[0]

    with open_pool(1) as pool:
        pool.options(timeout=PATIENCE).call(parent, pool)
        let_pass(pool, PATIENCE)
        gate.open()

        assert pool.call(watch) == "well"


def test_a_timeout_of_its_own_counts_after_all(open_pool: OpenPool) -> None:
    """When the deadline that came first is met, a background call still has its own."""
    gate = Gate()
    background: list[asyncio.Task[object]] = []

    async def parent(pool: LoopPool) -> None:
        view = pool.options(timeout=PATIENCE * 2)
        background.append(asyncio.create_task(view.run(gate.passage)))
        await asyncio.to_thread(gate.wait_started)

    async def watch() -> object:
        return await background[0]

    with open_pool(1) as pool:
        pool.options(timeout=PATIENCE).call(parent, pool)
        let_pass(pool, PATIENCE)
        watching = pool.submit(watch)
        let_pass(pool, PATIENCE * 2)
        with pytest.raises(DeadlineExceeded, match="passage") as caught:
            watching.result(PATIENCE)

    assert caught.value.timeout == PATIENCE * 2


def test_it_goes_on_to_other_pools(open_pool: OpenPool) -> None:
    """A deadline is inherited by the calls that a task makes to another pool."""

    async def parent(other: LoopPool) -> None:
        await other.run(forever)

    with open_pool(1) as pool, open_pool(1, name="other") as other:
        with pytest.raises(DeadlineExceeded):
            pool.options(timeout=SOON).call(parent, other)
        assert other.statistics().in_flight == 0


def test_a_thread_beside_the_loop_inherits(open_pool: OpenPool) -> None:
    """call() from a plain function in a thread is a wait like run()."""

    async def parent(pool: LoopPool) -> float | None:
        return await asyncio.to_thread(pool.call, seconds_left)

    with open_pool(2) as pool:
        assert pool.options(timeout=PATIENCE).call(parent, pool) is not None


class Tidy:
    """A call that waits for ever, counts its cancellations, and cleans up until its gate is opened."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = Gate()
        self.cancellations = 0

    async def stay(self, _: object = None) -> None:
        """Wait, and clean up."""
        try:
            self.begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancellations += 1
            try:
                await self.gate.passage()
            except asyncio.CancelledError:
                self.cancellations += 1
            raise


async def run_it(pool: LoopPool, tidy: Tidy) -> None:
    """Await the call itself."""
    await pool.options(worker=1).run(tidy.stay)


async def map_it(pool: LoopPool, tidy: Tidy) -> None:
    """Await a map of one item."""
    await pool.options(worker=1).map(tidy.stay, [None])


async def group_it(pool: LoopPool, tidy: Tidy) -> None:
    """Leave the block of a group that has the call."""
    async with pool.task_group() as group:
        _ = group.options(worker=1).create_task(tidy.stay)


async def await_a_group_s(pool: LoopPool, tidy: Tidy) -> None:
    """Await the future inside the block."""
    async with pool.task_group() as group:
        await group.options(worker=1).create_task(tidy.stay)


async def gather_a_group_s(pool: LoopPool, tidy: Tidy) -> None:
    """Await it as one of several."""
    async with pool.task_group() as group:
        await asyncio.gather(group.options(worker=1).create_task(tidy.stay))


@pytest.mark.parametrize("way", [run_it, map_it, group_it, await_a_group_s, gather_a_group_s])
def test_a_deadline_cancels_a_child_once(
    open_pool: OpenPool, way: Callable[[LoopPool, Tidy], Awaitable[None]]
) -> None:
    """Parent and child run out together, and the child's clean-up is not torn down by its parent's end."""
    tidy, noticed = Tidy(), threading.Event()

    async def parent(pool: LoopPool) -> None:
        try:
            await way(pool, tidy)
        finally:
            noticed.set()

    async def parent_s_turn() -> None:
        """Return when that loop has been through all that it was told before."""
        await asyncio.sleep(0)

    with open_pool(2, timeout_grace=PATIENCE) as pool:
        future = pool.options(timeout=PATIENCE, worker=0).submit(parent, pool)
        assert tidy.begun.wait(PATIENCE)
        let_pass(pool, PATIENCE)
        tidy.gate.wait_started()
        for _ in range(3):
            pool.options(worker=0).call(parent_s_turn)
            pool.options(worker=1).call(parent_s_turn)
        assert not noticed.is_set()
        tidy.gate.open()
        with pytest.raises(DeadlineExceeded, match=r"parent\(\) had a deadline"):
            future.result(PATIENCE)

    assert tidy.cancellations == 1


def test_a_call_in_the_background_is_not_hit_through_another(open_pool: OpenPool) -> None:
    """What a background call waits for has inherited a deadline that was met since, and is not hit either."""
    gate = Gate()
    background: list[asyncio.Task[object]] = []

    async def child(pool: LoopPool) -> object:
        return await pool.run(gate.passage, "well")

    async def parent(pool: LoopPool) -> None:
        background.append(asyncio.create_task(pool.run(child, pool)))
        await asyncio.to_thread(gate.wait_started)

    async def watch() -> object:
        return await background[0]

    with open_pool(1) as pool:
        pool.options(timeout=PATIENCE).call(parent, pool)
        let_pass(pool, PATIENCE)
        gate.open()

        assert pool.call(watch) == "well"
