"""A clock for claims about time, on machines that do other things as well."""

from __future__ import annotations

import inspect
import time
from pathlib import Path

__all__ = ["SOURCE", "own_time"]


def own_time() -> float:
    """Seconds, without those in which this thread would have run and other programs had the processors.

    For differences within one thread. Where the system does not tell how long a thread waited for a
    processor, as Linux does, they are all seconds.
    """
    schedule = Path("/proc/thread-self/schedstat")  # nanoseconds: running, waiting to run
    waited = int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0
    return time.monotonic() - waited


SOURCE = f"import time\nfrom pathlib import Path\n\n{inspect.getsource(own_time)}\n"
"""Defines `own_time` in a program of its own."""
