"""How long is one call to another loop and back, when the next waits for it?

The latency of an idle pool, from a loop and from a thread that blocks. It says nothing about throughput.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import awaited, nothing, recipe_loops
from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 2_000


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    with asyncio.Runner() as runner, recipe_loops(1) as (loop,), LoopPool(1) as pool:
        seconds = in_turns(
            {
                "run": lambda: runner.run(by_run(pool)),
                "submit": lambda: runner.run(by_submit(pool)),
                "the recipe": lambda: runner.run(by_recipe(loop)),
                "call (blocking)": lambda: by_call(pool),
                "the recipe (blocking)": lambda: by_blocking_recipe(loop),
            },
            rounds,
        )
    return [
        _row("run", seconds["run"], seconds["the recipe"]),
        _row("submit", seconds["submit"], seconds["the recipe"]),
        _row("the recipe", seconds["the recipe"]),
        _row("call (blocking)", seconds["call (blocking)"], seconds["the recipe (blocking)"]),
        _row("the recipe (blocking)", seconds["the recipe (blocking)"]),
    ]


def _row(side: str, took: Sequence[float], recipe: Sequence[float] | None = None) -> Row:
    # The other way round than in a burst: this is time, and less of it is better.
    ratios = {} if recipe is None else {"the recipe": paired(took, recipe)}
    return Row("one call after another (time)", side, f"{spread(took)[0] / CALLS * 1e6:.0f} us", ratios)


async def by_run(pool: LoopPool) -> None:
    """``await pool.run()``."""
    for _ in range(CALLS):
        await pool.run(nothing)


async def by_submit(pool: LoopPool) -> None:
    """``await pool.submit()``."""
    for _ in range(CALLS):
        await pool.submit(nothing)


async def by_recipe(loop: asyncio.AbstractEventLoop) -> None:
    """``await wrap_future(run_coroutine_threadsafe(...))``."""
    for _ in range(CALLS):
        await awaited(nothing(), loop)


def by_call(pool: LoopPool) -> None:
    """``pool.call()``, from a thread without a loop."""
    for _ in range(CALLS):
        pool.call(nothing)


def by_blocking_recipe(loop: asyncio.AbstractEventLoop) -> None:
    """``run_coroutine_threadsafe(...).result()``."""
    for _ in range(CALLS):
        asyncio.run_coroutine_threadsafe(nothing(), loop).result()
