"""How many calls a second get from one loop to two others and back, when they come all at once?

20,000 calls that do nothing, each awaited. It says nothing about programs whose calls do something: there,
this is the part that is lost.
"""

from __future__ import annotations

import asyncio
from itertools import cycle, islice
from typing import TYPE_CHECKING

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import awaited, nothing, recipe_loops
from polyloop import LoopPool, run_coroutine_threadsafe

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 20_000
WORKERS = 2
OTHERS = ("the recipe", "local gather")


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    with (
        asyncio.Runner() as runner,
        recipe_loops(WORKERS) as loops,
        LoopPool(WORKERS, limit=CALLS) as pool,
        LoopPool(WORKERS) as bounded,
    ):
        sides = {
            "submit": lambda: runner.run(by_submit(pool)),
            "run": lambda: runner.run(by_run(pool)),
            "submit, default limit": lambda: runner.run(by_submit(bounded)),
            "run, default limit": lambda: runner.run(by_run(bounded)),
            "run_coroutine_threadsafe": lambda: runner.run(by_drop_in(loops)),
            "the recipe": lambda: runner.run(by_recipe(loops)),
            "local gather": lambda: runner.run(locally()),
        }
        seconds = in_turns(sides, rounds)
    return [
        Row(
            f"burst of {CALLS:,} calls to {WORKERS} workers",
            name,
            f"{CALLS / spread(took)[0]:,.0f} calls/s",
            {} if name in OTHERS else {other: paired(seconds[other], took) for other in OTHERS},
        )
        for name, took in seconds.items()
    ]


async def by_submit(pool: LoopPool) -> None:
    """The futures of all calls, gathered."""
    await asyncio.gather(*[pool.submit(nothing) for _ in range(CALLS)])


async def by_run(pool: LoopPool) -> None:
    """A task for each call, gathered."""
    await asyncio.gather(*[pool.run(nothing) for _ in range(CALLS)])


async def by_drop_in(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """Our own ``run_coroutine_threadsafe`` for each, on the recipe's loops."""
    await asyncio.gather(*[run_coroutine_threadsafe(nothing(), loop) for loop in islice(cycle(loops), CALLS)])


async def by_recipe(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    """``wrap_future(run_coroutine_threadsafe(...))`` for each, in turn over the loops."""
    await asyncio.gather(*[awaited(nothing(), loop) for loop in islice(cycle(loops), CALLS)])


async def locally() -> None:
    """No other loop at all: what a task on one's own loop costs."""
    await asyncio.gather(*[nothing() for _ in range(CALLS)])
