"""What the system says of processes."""

from __future__ import annotations

import os
import select
from pathlib import Path

__all__ = ["ends_within", "is_gone", "wait_for_end"]


def is_gone(pid: int) -> bool:
    """Whether there is no such process, or one that only waits to be waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def ends_within(pid: int, seconds: float) -> bool:
    """Wait for the end of a process, at most so long; returns whether it came."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(end)


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process, which has to come."""
    assert ends_within(pid, 20.0), f"process {pid} did not end"
