"""What do calls to loops in processes cost, and what do they gain?

Calls that do nothing, to two processes: a burst, a map, and one call after another; beside aiomultiprocess,
which is what people take for this, and ``ProcessPoolExecutor``, which has no loops. Then work: JSON and
regular expressions, on two processes and on the one loop of this one; and in a ``ProcessPoolExecutor``, in
chunks, which is what this machine's cores have to give.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import nothing
from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALLS = 20_000
# The others take 10 ms for each of these.
CALLS_IN_TURN = 100
WORKERS = 2
DOCUMENTS = 400
WORD = re.compile(r"\b(?:[a-z]+-)*[a-z]*ing\b")


def measure(rounds: int) -> list[Row]:
    """Ask the questions."""
    # Of the group `bench`, which the tests do without. It has no types.
    import aiomultiprocess  # type: ignore[import-untyped]  # noqa: PLC0415

    aiomultiprocess.set_context("spawn")
    with (
        asyncio.Runner() as runner,
        LoopPool(WORKERS, backend="process") as pool,
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as executor,
    ):
        other = runner.run(_opened(aiomultiprocess.Pool))
        try:
            return [
                *_burst(runner, pool, other, executor, rounds),
                *_in_turn(runner, pool, other, executor, rounds),
                *_work(runner, pool, executor, rounds),
            ]
        finally:
            other.terminate()
            runner.run(other.join())


async def _opened(make: Callable[[int], Any]) -> Any:
    other = make(WORKERS)  # on a running loop, as it wants
    await other.map(nothing, range(WORKERS))  # it starts its processes with the first calls
    return other


def _burst(runner: Any, pool: LoopPool, other: Any, executor: ProcessPoolExecutor, rounds: int) -> list[Row]:
    async def submitted() -> None:
        await asyncio.gather(*[pool.submit(nothing) for _ in range(CALLS)])

    async def mapped() -> None:
        async for _ in pool.map(nothing, range(CALLS), ordered=False):
            pass

    async def elsewhere() -> None:
        await other.map(nothing, range(CALLS))

    return _rows(
        f"burst of {CALLS:,} calls to {WORKERS} processes",
        {
            "submit": lambda: runner.run(submitted()),
            "map": lambda: runner.run(mapped()),
            "aiomultiprocess": lambda: runner.run(elsewhere()),
            "ProcessPoolExecutor": lambda: list(executor.map(_nothing, range(CALLS))),
        },
        rounds,
        lambda seconds: f"{CALLS / seconds:,.0f} calls/s",
        is_rate=True,
    )


def _in_turn(
    runner: Any, pool: LoopPool, other: Any, executor: ProcessPoolExecutor, rounds: int
) -> list[Row]:
    async def ours() -> None:
        for _ in range(CALLS_IN_TURN):
            await pool.run(nothing)

    async def elsewhere() -> None:
        for _ in range(CALLS_IN_TURN):
            await other.apply(nothing)

    async def executed() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CALLS_IN_TURN):
            await loop.run_in_executor(executor, _nothing, None)

    return _rows(
        "one call after another to a process (time)",
        {
            "run": lambda: runner.run(ours()),
            "aiomultiprocess": lambda: runner.run(elsewhere()),
            "ProcessPoolExecutor": lambda: runner.run(executed()),
        },
        rounds,
        lambda seconds: f"{seconds / CALLS_IN_TURN * 1e6:,.0f} us",
        is_rate=False,
    )


def _work(runner: Any, pool: LoopPool, executor: ProcessPoolExecutor, rounds: int) -> list[Row]:
    texts = documents()

    async def mapped() -> None:
        async for _ in pool.map(work, texts, ordered=False):
            pass

    async def locally() -> None:
        for document in texts:
            await work(document)

    return _rows(
        f"{DOCUMENTS} documents, JSON and regular expressions",
        {
            "2 processes": lambda: runner.run(mapped()),
            "1 loop": lambda: runner.run(locally()),
            "ProcessPoolExecutor": lambda: list(executor.map(work_through, texts, chunksize=20)),
        },
        rounds,
        lambda seconds: f"{DOCUMENTS / seconds:,.0f} documents/s",
        is_rate=True,
    )


async def work(document: str) -> int:
    """A few milliseconds of Python."""
    return work_through(document)


def work_through(document: str) -> int:
    """As `work`, for who has no loops."""
    count = 0
    for record in json.loads(document):
        count += len(WORD.findall(record["text"]))
        json.dumps(record)
    return count


def documents() -> list[str]:
    """What there is to do."""
    return [_document(number) for number in range(DOCUMENTS)]


def _document(number: int) -> str:
    text = " ".join(f"well-meaning word{at} testing things" for at in range(number % 7 + 20))
    return json.dumps([{"id": at, "text": text} for at in range(40)])


def _nothing(_: object) -> None:
    """As `nothing`, for who has no loops."""


def _rows(
    question: str,
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    figure: Callable[[float], str],
    *,
    is_rate: bool,
) -> list[Row]:
    """Measure the sides; all but the first ones of ours are what these are compared with."""
    seconds = in_turns(sides, rounds)
    ours = {"submit", "map", "run", "2 processes"}
    return [
        Row(
            question,
            name,
            figure(spread(took)[0]),
            {
                other: paired(seconds[other], took) if is_rate else paired(took, seconds[other])
                for other in seconds
                if name in ours and other not in ours
            },
        )
        for name, took in seconds.items()
    ]
