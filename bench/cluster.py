"""What do calls to loops on a Ray cluster cost, beside calls of plain async actors?

Calls that do nothing, to two actors on this machine: a map, and one call after another. And what does it cost
to give each call something large, beside a reference to the same, which was put into the object store once?
Needs Ray, the extra ``ray``; without it, it measures nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from bench._measure import Row, in_turns, paired, spread
from bench._recipe import nothing
from polyloop import LoopPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CALLS = 20_000
# One Ray call each takes so long that fewer have to do; it is rates that are compared.
CALLS_OF_ITS_OWN = 2_000
CALLS_IN_TURN = 200
WORKERS = 2
CALLS_WITH_LARGE = 50
LARGE = b"x" * 10_000_000


class Plain:
    """An async actor as Ray's documentation has it."""

    async def nothing(self, _: object = None) -> None:
        """Do nothing."""


def measure(rounds: int) -> list[Row]:
    """Ask the questions."""
    if importlib.util.find_spec("ray") is None:
        return []
    ray: Any = importlib.import_module("ray")
    ray.init(address="local", num_cpus=2 * WORKERS, include_dashboard=False, log_to_driver=False)
    try:
        actors = [ray.remote(Plain).remote() for _ in range(WORKERS)]
        ray.get([actor.nothing.remote() for actor in actors])
        with asyncio.Runner() as runner, LoopPool(WORKERS, backend="ray") as pool:
            return [
                *_burst(runner, pool, actors, rounds),
                *_in_turn(runner, pool, actors, rounds),
                *_large(runner, pool, ray, rounds),
            ]
    finally:
        ray.shutdown()


def _burst(runner: asyncio.Runner, pool: LoopPool, actors: list[Any], rounds: int) -> list[Row]:
    async def mapped() -> None:
        async for _ in pool.map(nothing, range(CALLS), ordered=False):
            pass

    async def each() -> None:
        await asyncio.gather(
            *[actors[number % WORKERS].nothing.remote(number) for number in range(CALLS_OF_ITS_OWN)]
        )

    seconds = in_turns({"map": lambda: runner.run(mapped()), "Ray": lambda: runner.run(each())}, rounds)
    per_call = {
        "map": [took / CALLS for took in seconds["map"]],
        "Ray": [took / CALLS_OF_ITS_OWN for took in seconds["Ray"]],
    }
    ratios = {"map": {"Ray": paired(per_call["Ray"], per_call["map"])}, "Ray": {}}
    return _rows(f"calls to {WORKERS} actors", per_call, ratios, lambda took: f"{1 / took:,.0f} calls/s")


def _in_turn(runner: asyncio.Runner, pool: LoopPool, actors: list[Any], rounds: int) -> list[Row]:
    async def ours() -> None:
        for _ in range(CALLS_IN_TURN):
            await pool.run(nothing)

    async def theirs() -> None:
        for _ in range(CALLS_IN_TURN):
            await actors[0].nothing.remote()

    seconds = in_turns({"run": lambda: runner.run(ours()), "Ray": lambda: runner.run(theirs())}, rounds)
    ratios = {"run": {"Ray": paired(seconds["run"], seconds["Ray"])}, "Ray": {}}
    return _rows(
        "one call after another to an actor (time)",
        seconds,
        ratios,
        lambda took: f"{took / CALLS_IN_TURN * 1e6:,.0f} us",
    )


async def _length(data: bytes) -> int:
    return len(data)


async def _length_of(ref: Any) -> int:
    return len(await ref)


def _large(runner: asyncio.Runner, pool: LoopPool, ray: Any, rounds: int) -> list[Row]:
    async def given() -> None:
        async for _ in pool.map(_length, [LARGE] * CALLS_WITH_LARGE, ordered=False):
            pass

    async def put_once() -> None:
        ref = ray.put(LARGE)
        async for _ in pool.map(_length_of, [ref] * CALLS_WITH_LARGE, ordered=False):
            pass

    sides = {"a reference": lambda: runner.run(put_once()), "given": lambda: runner.run(given())}
    seconds = in_turns(sides, rounds)
    ratios = {"a reference": {"given": paired(seconds["given"], seconds["a reference"])}, "given": {}}
    return _rows(
        f"{CALLS_WITH_LARGE} calls with {len(LARGE):,} bytes (rate)",
        seconds,
        ratios,
        lambda took: f"{CALLS_WITH_LARGE / took:,.0f} calls/s",
    )


def _rows(
    question: str,
    seconds: Mapping[str, list[float]],
    ratios: Mapping[str, dict[str, tuple[float, float, float]]],
    figure: Callable[[float], str],
) -> list[Row]:
    return [Row(question, side, figure(spread(took)[0]), ratios[side]) for side, took in seconds.items()]
