"""Standard streams that are closed, as in ``polyloop ... 2>&-``.

Python starts without them, and the next file that is opened gets their number: what is meant for standard
output would go into it. So every number is taken before anything else is done.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["fill_closed_streams"]


def fill_closed_streams() -> None:
    """Put the null device where a standard stream is missing."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # print() to a stream that is None goes to standard output, among the results. That sys.stdin and
    # sys.stdout are None is left to be seen: they are needed or they are not.
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end of the process
