"""How much memory does polyloop take: for a long stream, and for many calls that sleep?

Each measurement is a process of its own, for memory that one has given back another may find. It needs Linux,
whose kernel keeps the highest figure. ``python -m bench.memory CASE`` is such a process and prints bytes.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from pathlib import Path

from bench._measure import Row, paired, spread
from bench._recipe import nothing
from polyloop import LoopPool

ITEMS = 1_000_000
CALLS = 100_000
WORKERS = 3
MIB = 2**20


def measure(rounds: int) -> list[Row]:
    """Ask the question."""
    if not Path("/proc/self/status").exists():
        return [Row("memory", "not measured: this is not Linux", "")]
    stream = [_in_a_process("stream")]  # once: it takes seconds and hardly varies
    samples: dict[str, list[float]] = {"submit": [], "run": [], "bare tasks": []}
    for _ in range(min(rounds, 3)):
        for name, taken in samples.items():
            taken.append(_in_a_process(name))
    rows = [Row(f"memory of a map of {ITEMS:,} items", "growth", f"{spread(stream)[0] / MIB:.1f} MiB")]
    for name, taken in samples.items():
        ratios = {} if name == "bare tasks" else {"bare tasks": paired(taken, samples["bare tasks"])}
        figure = f"{spread(taken)[0] / CALLS:,.0f} bytes a call"
        rows.append(Row(f"memory of {CALLS:,} calls asleep on {WORKERS} loops", name, figure, ratios))
    return rows


def _in_a_process(case: str) -> float:
    command = [sys.executable, "-m", "bench.memory", case]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def stream() -> int:
    """The highest growth over a map whose results nobody keeps."""
    with LoopPool(2) as pool:
        for _ in pool.map(nothing, range(10_000)):
            pass
        before = _status("VmRSS")
        for _ in pool.map(nothing, range(ITEMS)):
            pass
    return max(0, _status("VmHWM") - before)


async def asleep_by_submit() -> int:
    """The growth by calls that sleep on the pool's loops, each with its future."""
    async with LoopPool(WORKERS, limit=CALLS, grace=60) as pool:
        before = _before()
        futures = [pool.submit(asyncio.sleep, 3600) for _ in range(CALLS)]
        await pool.broadcast(nothing)  # comes after them on each loop: all of them sleep by then
        taken = _status("VmRSS") - before
        await pool.aclose(drain=0)
    assert len(futures) == CALLS
    return taken


async def asleep_by_run() -> int:
    """The growth by calls that sleep on the pool's loops, each awaited by a task here."""
    async with LoopPool(WORKERS, limit=CALLS, grace=60) as pool:
        before = _before()
        tasks = [asyncio.create_task(pool.run(asyncio.sleep, 3600)) for _ in range(CALLS)]
        await asyncio.sleep(0)
        await pool.broadcast(nothing)
        taken = _status("VmRSS") - before
        await pool.aclose(drain=0)
    await asyncio.wait(tasks)
    for task in tasks:
        task.exception()  # they were cancelled, and somebody has to look
    return taken


async def asleep_as_tasks() -> int:
    """The growth by tasks that sleep on this loop: no pool at all."""
    before = _before()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(CALLS)]
    await asyncio.sleep(0)
    taken = _status("VmRSS") - before
    for task in tasks:
        task.cancel()
    return taken


def _before() -> int:
    gc.collect()
    return _status("VmRSS")


def _status(name: str) -> int:
    """A figure that the kernel keeps about this process, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"the kernel does not tell {name}")


def _main(case: str) -> None:
    match case:
        case "stream":
            print(stream())
        case "submit":
            print(asyncio.run(asleep_by_submit()))
        case "run":
            print(asyncio.run(asleep_by_run()))
        case _:
            print(asyncio.run(asleep_as_tasks()))


if __name__ == "__main__":
    _main(sys.argv[1])
