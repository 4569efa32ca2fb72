"""How many loops are worth having on this machine."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

__all__ = ["default_loops", "is_gil_enabled", "usable_cpus"]

# More threads than this only contend for the GIL. A guess; measure with your own work.
MOST_UNDER_GIL = 4


def default_loops(*, share_gil: bool = True) -> int:
    """One loop per usable CPU, at most four where they share a GIL.

    Args:
        share_gil: Whether they live in one interpreter, where they share the GIL if there is one.
    """
    cpus = usable_cpus()
    return min(cpus, MOST_UNDER_GIL) if share_gil and is_gil_enabled() else cpus


def is_gil_enabled() -> bool:
    """Whether threads take turns: always before 3.13, and when an import has switched it back on."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def usable_cpus() -> int:
    """CPUs that this process may use: the machine's, its affinity and its container's quota counted."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(cpus, math.ceil(quota) if quota is not None else cpus))


def _quota(path: Path) -> float | None:
    """CPUs that the control group (version 2) allows; None without a limit, or without such a group."""
    try:
        limit, period = path.read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        return None
