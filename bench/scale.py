"""How many calls a second can one program feed, and is that what the model says?

Calls that do nothing, wait or compute, with arguments of several sizes, to 1, 2 and 4 loops in processes and,
where the extra ``ray`` is installed, on Ray. What a call costs is measured as CPU time of the program and of
the loops, so that a machine on which all share two cores tells what either costs by itself; from that comes
what the model predicts. Each ratio is measured over predicted. Calls that wait stand for work on other
machines: it is all one to the program who is busy meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import os
import random
import time
from statistics import median
from typing import Any, Literal

from bench._measure import Row, spread
from bench._scale_model import FEW, Call, Costs, Price, throughput
from polyloop import LoopPool

__all__ = ["Point", "Study", "measure", "studies"]

Backend = Literal["process", "ray"]

LOOPS = (1, 2, 4)
# Calls under way for each loop. The last is about as many as the pool's own limit allows.
NOTHING = (Call(), 500)
SIZED = ((Call(size=10_000), 100), (Call(size=1_000_000), 8))
WAITING = [(Call(wait=wait), each) for wait in (0.001, 0.01, 0.1) for each in (FEW, 100, 1000)]
KINDS = [NOTHING, *SIZED, (Call(cpu=0.001), FEW), *WAITING]
# How long a measurement is to take, about, and how many calls it has at least for each that is under way:
# what is measured is the time between the first of these and the last.
SECONDS = 0.3
TURNS = 5
ROUND_TRIPS = 100
# Of which the costs are measured.
SHORT, LARGE = Call(wait=0.001), Call(wait=0.001, size=1_000_000)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """Something that was measured.

    Attributes:
        call: What each call was.
        loops: To how many.
        each: How many of them were under way, for each loop.
        rates: Calls a second, of each round.
        predicted: What the model says.
    """

    call: Call
    loops: int
    each: int
    rates: list[float]
    predicted: float


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """All that was measured on one backend."""

    backend: Backend
    costs: Costs
    points: list[Point]


async def work(task: tuple[float, float, bytes]) -> None:
    """Compute and wait for so many seconds; the bytes are only brought."""
    cpu, wait, _ = task
    if cpu:
        end = time.thread_time() + cpu
        while time.thread_time() < end:
            pass
    if wait:
        await asyncio.sleep(wait)


async def cpu_time() -> float:
    """Seconds of CPU that this process has had."""
    return time.process_time()


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    return [row for study in studies(rounds) for row in _rows(study)]


def studies(rounds: int) -> list[Study]:
    """The numbers themselves."""
    found = [_study("process", rounds)]
    if importlib.util.find_spec("ray") is not None:
        ray: Any = importlib.import_module("ray")
        ray.init(address="local", num_cpus=sum(LOOPS), include_dashboard=False, log_to_driver=False)
        try:
            found.append(_study("ray", rounds))
        finally:
            ray.shutdown()
    return found


def _study(backend: Backend, rounds: int) -> Study:
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        # All of them at once, so that a round is the same minute for all.
        pools = {loops: stack.enter_context(LoopPool(loops, backend=backend)) for loops in LOOPS}
        for pool in pools.values():
            pool.broadcast(cpu_time).result()
        costs = _costs(runner, pools[2], rounds)
        return Study(backend, costs, _points(runner, pools, costs, rounds))


def _points(runner: asyncio.Runner, pools: dict[int, LoopPool], costs: Costs, rounds: int) -> list[Point]:
    cores = len(os.sched_getaffinity(0))
    points = [
        Point(call, loops, each, [], throughput(costs, call, loops=loops, each=each, cores=cores))
        for loops in pools
        for call, each in KINDS
    ]
    for turn in range(rounds + 1):
        for point in points:
            at_once = point.loops * point.each
            calls = max(TURNS * at_once, int(SECONDS * point.predicted))
            rate = runner.run(_rate(pools[point.loops], point.call, calls, at_once))
            if turn:  # the first one does not count
                point.rates.append(rate)
    return points


async def _rate(pool: LoopPool, call: Call, calls: int, at_once: int) -> float:
    """Calls a second, while as many are under way as may be."""
    came: list[float] = []
    async with pool.map(work, _tasks(call, calls), ordered=False, window=at_once) as outcomes:
        async for _ in outcomes:
            came.append(time.perf_counter())  # noqa: PERF401 - each at its time
    return (calls - 2 * at_once) / (came[-at_once] - came[at_once])


def _tasks(call: Call, calls: int) -> list[tuple[float, float, bytes]]:
    # The same for all that are measured. Calls that wait equally long would begin and end in waves.
    chance = random.Random(calls)
    data = bytes(call.size)
    return [(call.cpu, call.wait * chance.uniform(0.5, 1.5), data) for _ in range(calls)]


def _costs(runner: asyncio.Runner, pool: LoopPool, rounds: int) -> Costs:
    """What calls cost that wait a little, as real ones do: a timer is a part of it."""
    kinds = {"many": (SHORT, 1000, 20_000), "few": (SHORT, FEW, 2_000), "large": (LARGE, 8, 200)}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    ways: list[float] = []
    for _ in range(rounds + 1):
        for name, (call, each, calls) in kinds.items():
            samples[name].append(_cpu_of(runner, pool, call, calls, 2 * each))
        ways.append(runner.run(_way(pool)))
    medians = {
        name: [median(side) for side in zip(*found[1:], strict=True)] for name, found in samples.items()
    }
    program, loop = (_price(*sides) for sides in zip(*medians.values(), strict=True))
    return Costs(program, loop, median(ways[1:]))


def _price(many: float, few: float, large: float) -> Price:
    # A few large ones are under way: what goes beyond a call of its own is for the bytes.
    few = max(few, many)
    return Price(many, few - many, max(0.0, large - few) / LARGE.size)


async def _way(pool: LoopPool) -> float:
    took: list[float] = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        await pool.run(work, (0.0, 0.0, b""))
        took.append(time.perf_counter() - began)
    return median(took)


def _cpu_of(
    runner: asyncio.Runner, pool: LoopPool, call: Call, calls: int, at_once: int
) -> tuple[float, float]:
    """Seconds of CPU that each call costs the program, and the loops."""
    there = sum(pool.broadcast(cpu_time).result())
    here = time.process_time()
    runner.run(_rate(pool, call, calls, at_once))
    here = time.process_time() - here
    return here / calls, (sum(pool.broadcast(cpu_time).result()) - there) / calls


def _rows(study: Study) -> list[Row]:
    costs = study.costs
    about = [
        ("the program", _priced(costs.program)),
        ("a loop", _priced(costs.loop)),
        ("there and back", f"{costs.way * 1e6:,.0f} us"),
    ]
    return [
        *(Row(f"{study.backend}: what a call costs", *row) for row in about),
        *(_row(study.backend, point) for point in study.points),
    ]


def _priced(price: Price) -> str:
    call, alone, byte = price.call * 1e6, price.alone * 1e6, price.byte * 1e9
    return f"{call:.1f} us of CPU, {alone:.1f} us more where few are under way, {byte:.2f} ns a byte"


def _row(backend: str, point: Point) -> Row:
    rate, *_ = spread(point.rates)
    return Row(
        f"{backend}: calls fed by one program",
        f"{described(point.call)}, {counted(point.loops)}, {point.each:,} at once on each",
        f"{rate:,.0f} calls/s",
        {"model": spread([each / point.predicted for each in point.rates])},
    )


def counted(loops: int) -> str:
    """So many loops, in words."""
    return "1 loop" if loops == 1 else f"{loops} loops"


def described(call: Call) -> str:
    """What a call does, in words."""
    if call.size:
        return f"{call.size / 1000:,g} kB"
    if call.cpu:
        return f"computing {call.cpu * 1000:g} ms"
    return f"waiting {call.wait * 1000:,g} ms" if call.wait else "nothing"
