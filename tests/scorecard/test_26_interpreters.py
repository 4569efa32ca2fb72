"""Programs with loops in interpreters, from start to exit: does CPython survive it?"""

from __future__ import annotations

import pytest

from tests._open_pool import BACKENDS
from tests._processes import run_python
from tests._scorecard import IS_FULL, report

PROGRAM = """
import asyncio, sys, threading
from polyloop import LoopPool

async def double(number):
    return 2 * number

async def stay(number):
    await asyncio.Event().wait()

pool = LoopPool(2, backend="interpreter")
pool.open()
assert list(pool.map(double, range(100))) == [2 * number for number in range(100)]
pending = [pool.submit(stay, number) for number in range(100)]
assert pool.broadcast(double, 1).result() == [2, 2]
WAY
"""

# What the program does in the end, and with which status it ends.
WAYS = {
    "closed": ("pool.close(drain=0)", 0),
    "left open": ("", 0),
    "left open by an exception": ("raise SystemExit(3)", 3),
    "opened anew": ("pool.close(drain=0); pool = LoopPool(1, backend='interpreter'); pool.open()", 0),
}
ROUNDS = 50 if IS_FULL else 1


@pytest.mark.skipif("interpreter" not in BACKENDS, reason="concurrent.interpreters came with Python 3.14")
@pytest.mark.timeout(600 if IS_FULL else 60)
@pytest.mark.parametrize("way", WAYS)
def test_programs_with_interpreters_end_well(way: str) -> None:
    """Start, work, close, exit, over and over: no crash, no hang, nothing said."""
    slowest = 0.0
    ends: list[tuple[int, str, str]] = []
    code, status = WAYS[way]
    for _ in range(ROUNDS):
        ended = run_python(PROGRAM.replace("WAY", code))
        slowest = max(slowest, ended.seconds)
        ends.append((ended.status - status, ended.output, ended.errors))

    bad = [end for end in ends if end != (0, "", "")]
    report(
        26,
        f"{way}, with 100 tasks: {ROUNDS} programs with 2 interpreters, "
        f"{len(bad)} crashes or wrong ends, 0 hangs, the slowest took {slowest:.1f} s",
        backend="interpreter",
    )
    assert not bad
