"""Pools opened, used and closed over and over in one program: what stays?"""

from __future__ import annotations

import sys

import pytest

from tests._processes import run_python
from tests._scorecard import IS_FULL, report

CYCLES = {"thread": 500, **dict.fromkeys(["process", "interpreter", "ray"], 500 if IS_FULL else 4)}
# Until then allocators, caches and imports have taken what they keep.
WARM_UP = 100

PROGRAM = """
import os, sys, threading
from polyloop import LoopPool

backend, cycles, warm_up = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def double(number):
    return 2 * number

def size():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def cycle():
    with LoopPool(1, backend=backend) as pool:
        futures = [pool.submit(double, number) for number in range(20)]
        assert [future.result() for future in futures] == [2 * number for number in range(20)]
    for thread in threading.enumerate()[1:]:
        # Ray has threads of its own, and the one that has connected the program stays too.
        if thread.name.startswith("polyloop-") and thread.name != "polyloop-ray":
            thread.join(20)

sizes = []
for number in range(cycles):
    cycle()
    if number == 2:
        before = descriptors(), threading.active_count()
    if number >= warm_up:
        sizes.append(size())
mean, middle = sum(sizes) / max(1, len(sizes)), (len(sizes) - 1) / 2
# The slope of the straight line that fits best.
slope = sum((at - middle) * (size - mean) for at, size in enumerate(sizes)) / max(
    1, sum((at - middle) ** 2 for at in range(len(sizes)))
)
print(slope, descriptors() - before[0], threading.active_count() - before[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory there is")
@pytest.mark.timeout(600 if IS_FULL else 60)
def test_pools_leave_nothing_behind(backend: str) -> None:
    """No descriptor, no thread, and but for what is CPython's own less than 2 kB of memory for each pool."""
    cycles = CYCLES[backend]
    ended = run_python(PROGRAM, backend, cycles, WARM_UP, limit=580.0 if IS_FULL else 58.0)

    assert ended.status == 0, ended.errors
    slope, *left = map(float, ended.output.split())
    grown = f"{slope:+.0f} bytes per pool after the first {WARM_UP}, " if cycles > WARM_UP else ""
    report(21, f"{cycles} pools: {grown}{left[0]:+.0f} descriptors, {left[1]:+.0f} threads")
    assert left == [0, 0]
    # Of a sub-interpreter that was closed CPython keeps some kB, and the interpreter that made it nothing: by
    # sys.getallocatedblocks() less than one block more for each pool. One that only does `pass` costs 1.8 kB.
    assert slope < 2048 or backend == "interpreter"
