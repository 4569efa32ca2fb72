"""A map over a million items: does memory grow with the stream?

In processes of their own, for the peak of this one may have been reached by another test.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import asyncio, pathlib, resource, sys
import polyloop

def peak():
    # Not ru_maxrss where there is better: on Linux it begins with the peak of whoever started this.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

ITEMS, WINDOW = {items}, 1000
pulled = delivered = ahead = 0
gate = None

def source():
    global pulled, ahead
    for number in range(ITEMS):
        pulled += 1
        ahead = max(ahead, pulled - delivered)
        yield number

async def work(number):
    if {is_stuck} and number == 0:
        # Lets the others go by for as long as the window allows.
        while delivered < ({items} // 2 if not {is_ordered} else 0) or pulled < WINDOW:
            await asyncio.sleep(0.01)
    return number

async def main():
    global delivered
    async with polyloop.LoopPool(2) as pool:
        async for _ in pool.map(work, range(1, 2000)):
            pass  # what is made once has been made
        before = peak()
        async for _ in pool.map(work, source(), window=WINDOW, ordered={is_ordered}):
            delivered += 1
            if {is_slow} and delivered % 1000 == 0:
                await asyncio.sleep(0.002)
    print(delivered, ahead, peak() - before)

asyncio.run(main())
"""


ITEMS = 1_000_000
TROUBLES = ["slow consumer", "stuck first item"]


class Run:
    """A map in a process of its own."""

    def __init__(self, folder: Path, trouble: str, ordered: bool) -> None:
        code = PROGRAM.format(
            items=ITEMS,
            is_ordered=ordered,
            is_slow=trouble == "slow consumer",
            is_stuck=trouble == "stuck first item",
        )
        self._output = folder / f"{trouble}, {ordered}"
        # Not a pipe: nobody empties it before the test.
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=output, stderr=subprocess.STDOUT
            )

    def output(self) -> str:
        """What it has printed when it has ended."""
        status = self.process.wait(110)
        text = self._output.read_text()
        assert status == 0, text
        return text


@pytest.fixture(scope="module", params=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> str:
    """What is wrong."""
    return str(request.param)


@pytest.fixture(scope="module")
def runs(trouble: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Run]]:
    """A map in order and one in any, side by side: one after the other they take twice as long."""
    folder = tmp_path_factory.mktemp("map")
    with contextlib.ExitStack() as stack:
        runs = {ordered: Run(folder, trouble, ordered) for ordered in (True, False)}
        for run in runs.values():
            stack.enter_context(run.process)
            stack.callback(run.process.kill)
        yield runs


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
@pytest.mark.timeout(120)
def test_memory_does_not_grow_with_the_stream(trouble: str, runs: dict[bool, Run], ordered: bool) -> None:
    """The peak grows by less than 30 MiB, and never is more than the window pulled and not delivered (F7)."""
    output = runs[ordered].output()

    delivered, ahead, kibibytes = map(int, output.split())
    order = "in order" if ordered else "in any order"
    report(
        15,
        f"map over {delivered:,} items, {order}, {trouble}: {kibibytes / 1024:.1f} MiB more at the peak, "
        f"at most {ahead} pulled and not delivered (window 1000)",
    )
    assert delivered == ITEMS
    assert ahead <= 1000
    assert kibibytes < 30 * 1024
