"""What becomes of context variables on the way to processes and interpreters: is it what the page says?

The page is ``docs/how-to/processes.md``: what ``carry=`` names crosses, in every way of calling, and no more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool
from tests import _carried
from tests._gate import PATIENCE
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Callable

look, look_beside = _carried.look_around, _carried.look_around_beside


async def awaited(pool: LoopPool) -> list[Any]:
    """What calls saw that were handed in from a task, in every way."""
    async with pool.task_group() as group:
        children = [group.create_task(look), group.options(name="look").create_task(look)]
    return [
        *(child.result() for child in children),
        await pool.run(look),
        await pool.submit(look),
        await pool.options(key="k").run(look),
        await pool.run_sync(look_beside),
        *await pool.map(look, [1, 2]),
        *await pool.map(look, [1, 1], key=int, per_key=1),
        *await pool.starmap(look, [(1, 2)]),
        *await pool.broadcast(look),
    ]


def blocking(pool: LoopPool) -> list[Any]:
    """What calls saw that were handed in from code without a loop, in every way."""
    with pool.executor() as executor:
        executed = [executor.submit(look), executor.submit(look_beside)]
    return [
        *(future.result(PATIENCE) for future in executed),
        pool.call(look),
        pool.submit(look).result(PATIENCE),
        pool.options(worker=1).call(look),
        *pool.map(look, [1, 2]),
        *pool.broadcast(look).result(PATIENCE),
    ]


class Table:
    """Counts, for each direction, what was seen and how much of it is as documented."""

    def __init__(self, pool: LoopPool) -> None:
        self._pool = pool
        self.seen: Counter[str] = Counter()
        self.as_documented: Counter[str] = Counter()

    def probe(self, name: str, way: Callable[[], list[Any]]) -> None:
        """Use a way where both variables have that value, and look at what is left."""
        _carried.user.set(name)
        _carried.left_behind.set(name)
        seen = way()
        self._note("to the call", [user for user, _ in seen], name)
        self._note("nothing else to the call", [other for _, other in seen], "nothing")
        self._note("back", [_carried.user.get(), _carried.left_behind.get()], name)
        _carried.user.set("the next")
        nexts = self._pool.broadcast(look).result(PATIENCE)
        self._note("to the next call", [user for user, _ in nexts], "the next")

    def _note(self, direction: str, seen: list[str], expected: str) -> None:
        self.seen[direction] += len(seen)
        self.as_documented[direction] += seen.count(expected)

    def figure(self, backend: str) -> str:
        """The row of a backend."""
        cells = [f"{way} {self.as_documented[way]} of {count}" for way, count in self.seen.items()]
        share = 100 * self.as_documented.total() // self.seen.total()
        return f"{backend}, as documented: {', '.join(cells)}; {share} %"


@pytest.mark.backends("process", "interpreter", why="threads have all variables")
def test_named_variables_do_as_documented(backend: Any) -> None:
    """Each call has a copy of its caller's, and of no others; nothing comes back."""
    with LoopPool(2, backend=backend, carry=[_carried.user]) as pool:
        table = Table(pool)
        for number in range(8):
            copy_context().run(table.probe, f"task {number}", lambda: asyncio.run(awaited(pool)))
            copy_context().run(table.probe, f"code {number}", lambda: blocking(pool))

    report(39, table.figure(backend))
    assert table.as_documented == table.seen
