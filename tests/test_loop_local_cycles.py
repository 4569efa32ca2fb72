"""Loop-locals whose openings ask for each other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopLocal
from tests._gate import PATIENCE, Gate
from tests._shared import Flag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool


class Cycle:
    """Loop-locals a, b, c, ... whose factories ask for the next one, and the last one for the first."""

    def __init__(self, size: int, ask: Callable[[LoopLocal[Any]], Awaitable[Any]] | None = None) -> None:
        self.locals = [self._make(index) for index in range(size)]
        self.gate = Gate()
        self.gate.open()
        self._ask = ask

    def _make(self, index: int) -> LoopLocal[Any]:
        async def make() -> object:
            await self.gate.passage()
            following = self.locals[(index + 1) % len(self.locals)]
            return await (self._ask(following) if self._ask is not None else following.get())

        make.__qualname__ = "abcdef"[index]
        return LoopLocal(make)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_cycle_is_named(steady_pool: LoopPool, size: int) -> None:
    """Openings that ask for each other in a circle fail, with an error that shows the circle."""
    cycle = Cycle(size)

    with pytest.raises(RuntimeError, match="a cycle of loop-locals") as raised:
        steady_pool.call(cycle.locals[0].get)

    last = "abcdef"[size - 1]
    assert f": {' -> '.join([last, *'abcdef'[:size]])}: " in str(raised.value)


def test_a_cycle_begun_by_two_callers_is_found(steady_pool: LoopPool) -> None:
    """Two openings that were begun apart, and then ask for each other, do not wait for ever."""
    cycle = Cycle(2)
    cycle.gate = Gate()

    futures = [steady_pool.options(worker=0).submit(local.get) for local in cycle.locals]
    cycle.gate.wait_started(2)
    cycle.gate.open()
    errors = [future.exception(PATIENCE) for future in futures]

    assert all("a cycle of loop-locals" in str(error) for error in errors)


async def _in_a_task(local: LoopLocal[Any]) -> object:
    return await asyncio.create_task(local.get())


async def _among_others(local: LoopLocal[Any]) -> object:
    return await asyncio.gather(asyncio.sleep(0), local.get())


async def _with_time_limit(local: LoopLocal[Any]) -> object:
    return await asyncio.wait_for(local.get(), PATIENCE)


@pytest.mark.parametrize("ask", [_in_a_task, _among_others, _with_time_limit])
def test_a_cycle_through_tasks_is_found(
    steady_pool: LoopPool, ask: Callable[[LoopLocal[Any]], Awaitable[Any]]
) -> None:
    """What a factory asks for in a task of its own counts as asked for by the factory."""
    cycle = Cycle(3, ask)

    future = steady_pool.submit(cycle.locals[0].get)

    assert "a cycle of loop-locals" in str(future.exception(PATIENCE))


def test_what_is_no_cycle_is_opened(steady_pool: LoopPool) -> None:
    """Two that use the same third, and one that uses both, are no circle."""
    base = LoopLocal(lambda: 1)

    async def left() -> int:
        return await base.get() + 1

    async def right() -> int:
        return await base.get() + 2

    locals_ = LoopLocal(left), LoopLocal(right)

    async def top() -> int:
        return sum(await asyncio.gather(*[local.get() for local in locals_]))

    assert steady_pool.call(LoopLocal(top).get) == 5


def test_after_a_cycle_each_can_be_opened(steady_pool: LoopPool) -> None:
    """A circle leaves nothing behind: without it the same loop-locals open."""
    is_cut = Flag()
    cycle = Cycle(2, lambda local: asyncio.sleep(0, "value") if is_cut.is_set() else local.get())
    pinned = steady_pool.options(worker=0)

    assert pinned.submit(cycle.locals[0].get).exception(PATIENCE) is not None
    is_cut.set()
    assert pinned.call(cycle.locals[0].get) == "value"


@pytest.mark.backends("thread", why="an opening in another process cannot ask a loop of this one")
def test_the_same_loop_local_on_another_loop_is_no_cycle(open_pool: OpenPool) -> None:
    """An opening that asks another loop, whose opening asks for the other loop's value, is no circle."""
    pool = open_pool(1)
    local: LoopLocal[Any]

    async def make() -> object:
        # Its context goes along to the other loop.
        return "inner" if depth.pop() == 0 else await pool.run(local.get)

    local = LoopLocal(make)
    depth = [0, 1]
    with pool:
        assert asyncio.run(_ask(local)) == "inner"


async def _ask(local: LoopLocal[Any]) -> object:
    return await local.get()


def test_closing_one_from_its_own_opening_is_a_cycle(steady_pool: LoopPool) -> None:
    """A factory cannot wait for the end of what it is about to make."""
    local: LoopLocal[Any]

    async def make() -> None:
        await local.aclose()

    local = LoopLocal(make)

    with pytest.raises(RuntimeError, match="a cycle of loop-locals"):
        steady_pool.call(local.get)
