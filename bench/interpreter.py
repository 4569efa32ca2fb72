"""What do loops in sub-interpreters cost beside loops in processes and in threads?

Calls that do nothing, in a burst and one after another; JSON and regular expressions; and opening a pool,
one call, and closing it. Needs Python 3.14; on an older one it measures nothing.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import nothing
from bench.process import documents, work
from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 20_000
CALLS_IN_TURN = 500
WORKERS = 2
BACKENDS: tuple[Literal["interpreter", "process", "thread"], ...] = ("interpreter", "process", "thread")


def measure(rounds: int) -> list[Row]:
    """Ask the questions."""
    if tuple(sys.version_info) < (3, 14):  # not so that type checkers of older versions skip the rest
        return []
    with asyncio.Runner() as runner, ExitStack() as stack:
        pools = {kind: stack.enter_context(LoopPool(WORKERS, backend=kind)) for kind in BACKENDS}
        texts = documents()

        async def burst(pool: LoopPool) -> None:
            await asyncio.gather(*[pool.submit(nothing) for _ in range(CALLS)])

        async def in_turn(pool: LoopPool) -> None:
            for _ in range(CALLS_IN_TURN):
                await pool.run(nothing)

        async def mapped(pool: LoopPool) -> None:
            async for _ in pool.map(work, texts, ordered=False):
                pass

        def sides(side: Callable[[LoopPool], Any]) -> dict[str, Callable[[], object]]:
            return {kind: partial(_run, runner, side, pool) for kind, pool in pools.items()}

        return [
            *_rows(f"burst of {CALLS:,} calls to {WORKERS} loops", rounds, sides(burst), CALLS),
            *_rows("one call after another (time)", rounds, sides(in_turn), -CALLS_IN_TURN),
            *_rows(f"{len(texts)} documents, {WORKERS} loops", rounds, sides(mapped), len(texts)),
            *_life(rounds),
        ]


def _run(runner: asyncio.Runner, side: Callable[[LoopPool], Any], pool: LoopPool) -> None:
    runner.run(side(pool))


def _rows(
    question: str,
    rounds: int,
    sides: dict[str, Callable[[], object]],
    count: int,
) -> list[Row]:
    """Measure the backends; a negative count is one of calls whose time is asked for."""
    seconds = in_turns(sides, rounds)
    ours = seconds["interpreter"]
    return [
        Row(
            question,
            kind,
            f"{count / spread(took)[0]:,.0f}/s" if count > 0 else f"{spread(took)[0] / -count * 1e6:,.0f} us",
            {}
            if kind != "interpreter"
            else {
                other: paired(seconds[other], ours) if count > 0 else paired(ours, seconds[other])
                for other in seconds
                if other != kind
            },
        )
        for kind, took in seconds.items()
    ]


def _life(rounds: int) -> list[Row]:
    def life(kind: Literal["interpreter", "process", "thread"]) -> None:
        with LoopPool(WORKERS, backend=kind) as pool:
            pool.call(nothing)

    sides: dict[str, Callable[[], object]] = {kind: partial(life, kind) for kind in BACKENDS}
    seconds = in_turns(sides, rounds)
    question = f"open a pool of {WORKERS}, one call, close it (time)"
    return [Row(question, kind, f"{spread(took)[0] * 1e3:,.0f} ms", {}) for kind, took in seconds.items()]
