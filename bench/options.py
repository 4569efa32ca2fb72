"""What do options cost: a deadline, a key, a name, through a view that is kept or made for each call?

A burst of calls that do nothing, by way of ``pool.options(...)``, beside plain calls of the same pool. It
says nothing of calls that do something: there this is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import nothing
from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALLS = 5_000
# For each round that is asked for: the differences are small, and long rounds take the machine's moods in.
ROUNDS = 4
WORKERS = 2


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    with asyncio.Runner() as runner, LoopPool(WORKERS) as pool:
        kept = pool.options(timeout=60.0)
        named = pool.options(name="nothing")
        sides: dict[str, Callable[[int], Awaitable[None]]] = {
            "submit": lambda _: pool.submit(nothing),
            "submit, timeout, view kept": lambda _: kept.submit(nothing),
            "submit, timeout, view for each": lambda _: pool.options(timeout=60.0).submit(nothing),
            "submit, name, view kept": lambda _: named.submit(nothing),
            "submit, key, view for each": lambda n: pool.options(key=n).submit(nothing),
            "run": lambda _: pool.run(nothing),
            "run, timeout, view kept": lambda _: kept.run(nothing),
            "run, timeout, view for each": lambda _: pool.options(timeout=60.0).run(nothing),
            "run, key, view for each": lambda n: pool.options(key=n).run(nothing),
        }
        seconds = in_turns(
            {name: lambda call=call: runner.run(burst(call)) for name, call in sides.items()},  # type: ignore[misc]
            rounds * ROUNDS,
        )
    return [
        Row(
            f"a call through options (time), {CALLS:,} in a burst",
            name,
            f"{spread(took)[0] / CALLS * 1e6:.1f} us",
            {"plain": paired(took, seconds[name.partition(",")[0]])} if "," in name else {},
        )
        for name, took in seconds.items()
    ]


async def burst(call: Callable[[int], Awaitable[None]]) -> None:
    """All of them at once, each awaited."""
    await asyncio.gather(*[call(number) for number in range(CALLS)])
