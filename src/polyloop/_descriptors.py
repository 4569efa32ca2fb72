"""Whether there are file descriptors enough for the loops of a pool.

Asked before anything is started: a loop that runs out of them half-made raises errors that name neither
the limit nor the loops.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path

from ._errors import StartupError

__all__ = ["PER_LOOP", "check_descriptors", "descriptor_limit"]

PER_LOOP = 4
"""What asyncio's loop and its mailbox need on Linux; uvloop needs two more."""


def check_descriptors(loops: int) -> None:
    """Raise if so many loops are sure to run out of file descriptors.

    Raises:
        StartupError: It says how many there are and how many it takes.
    """
    limit = descriptor_limit()
    free = None if limit is None else _free(limit)
    if free is None:
        return
    if loops * PER_LOOP > free:
        raise StartupError(
            f"{loops} loops need {loops * PER_LOOP} file descriptors, and {free} of {limit} are free; open "
            "fewer loops, or raise the limit (ulimit -n, LimitNOFILE=)"
        )


def descriptor_limit() -> int | None:
    """Most file descriptors of this process; None where that cannot be told or there is no limit."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not there on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _free(limit: int) -> int | None:
    try:
        used = len(list(Path("/proc/self/fd").iterdir())) - 1  # without the one that lists them
    except OSError as error:
        return 0 if error.errno == errno.EMFILE else None
    return limit - used
