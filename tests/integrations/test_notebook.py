"""The cells of the how-to guide on notebooks, run as Jupyter runs cells: on a loop in the main thread.

Not under IPython itself: what matters of it is a running loop in the main thread, and cells that may await.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import threading
import types
from typing import Any

from polyloop import Future, LoopPool
from tests.integrations._pages import cells


async def run_cell(code: str, names: dict[str, Any]) -> None:
    """Run a cell among the names that those before it have made."""
    cell = compile(code, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if cell.co_flags & inspect.CO_COROUTINE:
        await types.FunctionType(cell, names)()
    else:
        exec(cell, names)


def test_the_cells_run_on_a_loop_in_the_main_thread() -> None:
    """Calls that wait, awaits, loops over a map and futures work in a notebook's cells, one after another."""
    names: dict[str, Any] = {}

    async def notebook() -> None:
        for code in cells("how-to/notebook.md"):
            await run_cell(code, names)
            await asyncio.sleep(0)  # the notebook's loop goes on between cells

    assert threading.current_thread() is threading.main_thread()
    asyncio.run(notebook())
    pool, future = names["pool"], names["future"]
    assert isinstance(pool, LoopPool)
    assert isinstance(future, Future)
    pool.close()

    assert names["pages"] == [f"page {number}" for number in range(100)]
    assert names["page"] == "page 3"
    assert future.result(0) == "page 2"


def test_the_loop_of_a_notebook_goes_on_while_a_cell_awaits() -> None:
    """A task of the notebook's own loop takes steps while a cell awaits the pool, not while one blocks."""
    steps = 0

    async def step_on() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    async def notebook() -> tuple[int, int, int]:
        ticking = asyncio.create_task(step_on())
        await asyncio.sleep(0)
        with LoopPool(1) as pool:
            before = steps
            pool.call(asyncio.sleep, 0.01)
            during_call = steps
            await pool.run(asyncio.sleep, 0.01)
            after = steps
        ticking.cancel()
        return before, during_call, after

    before, during_call, after = asyncio.run(notebook())

    assert before == during_call < after
