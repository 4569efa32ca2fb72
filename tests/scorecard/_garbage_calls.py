"""Calls that count, where they run, how many begin and end, and in which thread. It imports no pytest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections import Counter

from polyloop import current_worker

__all__ = ["collect_all_the_time", "counts", "work"]

# By worker: each loop counts for itself.
_counts: dict[int, Counter[str]] = {}


async def collect_all_the_time() -> None:
    """Have garbage collected after every object that is made here."""
    _counts[current_worker().index] = Counter()
    gc.set_threshold(1)


async def work() -> None:
    """Wait for what nobody but this task refers to."""
    home = threading.get_ident()
    counts = _counts[current_worker().index]
    counts["begun"] += 1
    try:
        waiter = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(waiter.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        await asyncio.sleep(0)
    finally:
        counts["ended"] += 1
        counts["foreign"] += threading.get_ident() != home


async def counts() -> Counter[str]:
    """What was counted on this loop."""
    return _counts[current_worker().index]
