"""How many items a second does a map deliver, against a gather that has them all at once?

100,000 items and a function that does nothing. A gather needs all items in memory, a map a window of them.
"""

from __future__ import annotations

import asyncio

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import nothing
from polyloop import LoopPool

ITEMS = 100_000
WORKERS = 2


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    with asyncio.Runner() as runner, LoopPool(WORKERS) as pool:
        seconds = in_turns(
            {
                "async for": lambda: runner.run(on_a_loop(pool, is_ordered=True)),
                "async for, unordered": lambda: runner.run(on_a_loop(pool, is_ordered=False)),
                "for": lambda: in_a_thread(pool),
                "local gather": lambda: runner.run(locally()),
            },
            rounds,
        )
    return [
        Row(
            f"map of {ITEMS:,} items, {WORKERS} workers",
            name,
            f"{ITEMS / spread(took)[0]:,.0f} items/s",
            {} if name == "local gather" else {"local gather": paired(seconds["local gather"], took)},
        )
        for name, took in seconds.items()
    ]


async def on_a_loop(pool: LoopPool, *, is_ordered: bool) -> None:
    """``async for``, with the default window."""
    async for _ in pool.map(nothing, range(ITEMS), ordered=is_ordered):
        pass


def in_a_thread(pool: LoopPool) -> None:
    """``for``, in a thread without a loop."""
    for _ in pool.map(nothing, range(ITEMS)):
        pass


async def locally() -> None:
    """``gather`` on one's own loop."""
    await asyncio.gather(*[nothing(item) for item in range(ITEMS)])
