"""A map over a million items: does memory grow with the stream?

In processes of their own, for the peak of this one may have been reached by another test.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests._open_pool import BACKENDS
from tests._scorecard import IS_FULL, report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import asyncio, pathlib, resource, sys
import polyloop

BACKEND, ITEMS, IS_ORDERED, WINDOW = "{backend}", {items}, {ordered}, 1000
IS_SLOW, IS_STUCK, GATE = {is_slow}, {is_stuck}, "{gate}"
pulled = delivered = ahead = 0

async def peak(_=None):
    # Not ru_maxrss where there is better: on Linux it begins with the peak of whoever started this.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def source():
    global pulled, ahead
    for number in range(ITEMS):
        pulled += 1
        ahead = max(ahead, pulled - delivered)
        if IS_ORDERED and pulled == WINDOW:
            pathlib.Path(GATE).touch()  # the others have gone by for as long as the window allows
        yield number

async def work(number):
    if IS_STUCK and number == 0:
        while not pathlib.Path(GATE).exists():
            await asyncio.sleep(0.01)
    return number

async def main():
    global delivered
    async with polyloop.LoopPool(2, backend=BACKEND) as pool:
        async for _ in pool.map(work, range(1, 2000)):
            pass  # what is made once has been made
        before = [await peak(), *await pool.broadcast(peak)]
        async for _ in pool.map(work, source(), window=WINDOW, ordered=IS_ORDERED):
            delivered += 1
            if delivered == ITEMS // 2:
                pathlib.Path(GATE).touch()
            if IS_SLOW and delivered % 1000 == 0:
                await asyncio.sleep(0.002)
        after = [await peak(), *await pool.broadcast(peak)]
    # Of this process, or of a worker's.
    print(delivered, ahead, max(now - then for now, then in zip(after, before)))

if __name__ == "__main__":
    asyncio.run(main())
"""


ITEMS = 1_000_000 if IS_FULL else 50_000
TROUBLES = ["slow consumer", "stuck first item"]


class Run:
    """A map in a process of its own."""

    def __init__(self, folder: Path, backend: str, trouble: str, ordered: bool) -> None:
        code = PROGRAM.format(
            backend=backend,
            items=ITEMS,
            ordered=ordered,
            gate=folder / f"open-{ordered}",
            is_slow=trouble == "slow consumer",
            is_stuck=trouble == "stuck first item",
        )
        # A file, so that workers can import the function: to send it by value costs each call a lot more.
        script = folder / f"map_{ordered}.py"
        script.write_text(code)
        self._output = folder / f"{trouble}, {ordered}"
        # Not a pipe: nobody empties it before the test.
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(script)], stdout=output, stderr=subprocess.STDOUT
            )

    def output(self) -> str:
        """What it has printed when it has ended."""
        status = self.process.wait(580 if IS_FULL else 110)
        text = self._output.read_text()
        assert status == 0, text
        return text


@pytest.fixture(scope="module", params=BACKENDS)
def where(request: pytest.FixtureRequest) -> str:
    """Which backend it is."""
    return str(request.param)


@pytest.fixture(scope="module", params=TROUBLES)
def trouble(request: pytest.FixtureRequest) -> str:
    """What is wrong."""
    return str(request.param)


@pytest.fixture(scope="module")
def runs(where: str, trouble: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Run]]:
    """A map in order and one in any, side by side: one after the other they take twice as long."""
    folder = tmp_path_factory.mktemp("map")
    with contextlib.ExitStack() as stack:
        runs = {ordered: Run(folder, where, trouble, ordered) for ordered in (True, False)}
        for run in runs.values():
            stack.enter_context(run.process)
            stack.callback(run.process.kill)
        yield runs


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
@pytest.mark.timeout(600 if IS_FULL else 120)
def test_memory_does_not_grow_with_the_stream(
    where: str, trouble: str, runs: dict[bool, Run], ordered: bool
) -> None:
    """The peak grows by less than 30 MiB, and never is more than the window pulled and not delivered (F7)."""
    output = runs[ordered].output()

    delivered, ahead, kibibytes = map(int, output.split())
    order = "in order" if ordered else "in any order"
    report(
        15,
        f"map over {delivered:,} items, {order}, {trouble}: {kibibytes / 1024:.1f} MiB more at the peak, "
        f"at most {ahead} pulled and not delivered (window 1000)",
        backend=where,
    )
    assert delivered == ITEMS
    assert ahead <= 1000
    assert kibibytes < (30 if IS_FULL else 10) * 1024
