"""What becomes of context variables, for every way to hand something to a pool: is it what the page says?

The page is ``docs/explanation/context.md``; each row of its table is a row here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._gate import PATIENCE
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

variable: ContextVar[str] = ContextVar("variable", default="nothing")

# -- what is called: it tells what it sees, and sets something -----------------------------


def plain_probe() -> str:
    """The value seen here, which is another one after that."""
    seen = variable.get()
    variable.set("the call's")
    return seen


async def probe(*_: object) -> str:
    """As `plain_probe`, on a loop."""
    return plain_probe()


async def child_of_child() -> str:
    """What a call sees that a call has made."""
    seen = await polyloop.current_pool().run(probe)
    assert variable.get() != "the call's"
    return seen


async def own_loop() -> asyncio.AbstractEventLoop:
    """The loop this runs on."""
    return asyncio.get_running_loop()


# -- the ways to have it called, each returning what the calls saw --------------------------


async def by_run(pool: LoopPool) -> list[str]:
    """See the name."""
    return [await pool.run(probe), await pool.options(name="probe").run(probe)]


async def by_nested_run(pool: LoopPool) -> list[str]:
    """By a call that has been called itself."""
    return [await pool.run(child_of_child)]


async def by_submit(pool: LoopPool) -> list[str]:
    """See the name."""
    return [await pool.submit(probe), await pool.options(name="probe").submit(probe)]


async def by_map(pool: LoopPool) -> list[str]:
    """Over sync and async sources; the stream is of whoever awaits it, and not of whoever made it."""
    of_nobody = Context().run(pool.map, probe, [1, 2])

    async def source() -> AsyncIterator[int]:
        yield 1

    return [
        *await of_nobody,
        *await pool.map(probe, [1, 2]),
        *[seen async for seen in pool.map(probe, source())],
        *await pool.starmap(probe, [(1, 2)]),
        *await pool.map(probe, [1, 1], key=int, per_key=1),
    ]


async def by_broadcast(pool: LoopPool) -> list[str]:
    """See the name."""
    return await pool.broadcast(probe)


async def by_group(pool: LoopPool) -> list[str]:
    """The children are of whoever creates them, and not of whoever opened the group."""
    name = variable.get()
    variable.set("the opener's")
    async with pool.task_group() as group:
        variable.set(name)
        children = [group.create_task(probe), group.options(name="probe").create_task(probe)]
    return [child.result() for child in children]


async def by_run_sync(pool: LoopPool) -> list[str]:
    """See the name."""
    return [await pool.run_sync(plain_probe)]


async def by_threadsafe(pool: LoopPool) -> list[str]:
    """On a loop that is known."""
    return [await polyloop.run_coroutine_threadsafe(probe(), await pool.run(own_loop))]


async def by_callback(pool: LoopPool) -> list[str]:
    """Under a running loop: it is called there, wherever the task ran."""
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    pool.submit(probe).add_done_callback(lambda _: answer.set_result(plain_probe()))
    return [await answer]


def by_call(pool: LoopPool) -> list[str]:
    """See the name."""
    return [pool.call(probe), pool.options(name="probe").call(probe)]


def by_submit_without_a_loop(pool: LoopPool) -> list[str]:
    """See the name."""
    return [pool.submit(probe).result(PATIENCE)]


def by_map_without_a_loop(pool: LoopPool) -> list[str]:
    """Over a sync and an async source."""

    async def source() -> AsyncIterator[int]:
        yield 1

    return [*pool.map(probe, [1, 2]), *pool.map(probe, source())]


def by_executor(pool: LoopPool) -> list[str]:
    """Functions of both kinds."""
    with pool.executor() as executor:
        return [executor.submit(probe).result(PATIENCE), executor.submit(plain_probe).result(PATIENCE)]


AWAITED = [by_run, by_submit, by_map, by_broadcast, by_group, by_run_sync, by_callback]
# What is only for workers in this process.
AWAITED_HERE = [by_nested_run, by_threadsafe]
BLOCKING = [by_call, by_submit_without_a_loop, by_map_without_a_loop, by_executor]

# -- the table ------------------------------------------------------------------------------


class Table:
    """Counts, for each direction, what was seen and how much of it is as documented."""

    def __init__(self, *, travels: bool) -> None:
        self._travels = travels
        self.seen: Counter[str] = Counter()
        self.as_documented: Counter[str] = Counter()

    def note(self, direction: str, seen: list[str], expected: str) -> None:
        """Count what was seen."""
        self.seen[direction] += len(seen)
        self.as_documented[direction] += seen.count(expected)

    def probe_blocking(self, pool: LoopPool, way: Callable[[LoopPool], list[str]]) -> None:
        """Use a way from code without a loop; the caller's context is the current one."""
        variable.set(way.__name__)
        self.note("to the call", way(pool), way.__name__ if self._travels else "nothing")
        self.note("back", [variable.get()], way.__name__)

    async def probe_awaited(self, pool: LoopPool, way: Callable[[LoopPool], Awaitable[list[str]]]) -> None:
        """Use a way from a task."""
        variable.set(way.__name__)
        travels = self._travels or way is by_callback
        self.note("to the call", await way(pool), way.__name__ if travels else "nothing")
        self.note("back", [variable.get()], way.__name__)

    def probe_what_is_left(self, pool: LoopPool) -> None:
        """Look on every loop for what the calls before have left there; the caller has no values."""
        self.note("to the next call", Context().run(pool.broadcast, probe).result(PATIENCE), "nothing")

    def figure(self) -> str:
        """The row of a backend."""
        cells = [f"{way} {self.as_documented[way]} of {count}" for way, count in self.seen.items()]
        share = 100 * self.as_documented.total() // self.seen.total()
        return f"as documented: {', '.join(cells)}; {share} %"


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[str]:
    """What it saw when it was entered. One that is left sees what it has set then: it is the same task."""
    seen = plain_probe()
    yield seen
    assert variable.get() == "the call's"


async def state() -> str:
    """What the lifespan saw."""
    seen: str = polyloop.current_worker().state
    return seen


local = polyloop.LoopLocal(probe)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_context_variables_do_as_documented(open_pool: OpenPool, backend: str, is_lazy: bool) -> None:
    """A call in a thread has a copy of its caller's, nothing comes back; what a loop owns begins without any.

    To another process or interpreter they do not travel by themselves: see ``tests/test_carry.py``.
    """
    is_here = backend == "thread"
    table = Table(travels=is_here)
    token = variable.set("the opener's")
    try:
        with open_pool(2, lazy=is_lazy, lifespan=lifespan) as pool:
            for blocking, awaited in itertools.product(BLOCKING, AWAITED + AWAITED_HERE * is_here):
                copy_context().run(table.probe_blocking, pool, blocking)
                asyncio.run(table.probe_awaited(pool, awaited))
                table.probe_what_is_left(pool)
            owned = [*pool.broadcast(state).result(PATIENCE), *pool.broadcast(local.get).result(PATIENCE)]
    finally:
        variable.reset(token)
    table.note("to what the loop owns", owned, "nothing")

    report(39, table.figure())
    assert table.as_documented == table.seen
