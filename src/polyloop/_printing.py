"""What a worker prints: whole lines, though other workers write to the same place.

Each line is one write. Whether that stays in one piece is up to the system: in a file and on a terminal it
does, in a pipe if it has at most ``PIPE_BUF`` bytes.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, cast

__all__ = ["write_whole_lines"]

# A line that is longer is written in pieces of that size.
MOST_BYTES = 1 << 20


def write_whole_lines() -> None:
    """Have stdout and stderr write each line when it is complete, and in one piece."""
    for stream in cast("tuple[Any, ...]", (sys.stdout, sys.stderr)):
        # There may be none, or one of the user's.
        with contextlib.suppress(AttributeError, ValueError):
            # Not write_through, which python -u switches on: print() writes the end of the line by itself.
            stream.reconfigure(line_buffering=True, write_through=False)
            # So much is gathered before it is written, though the line goes on. The name is private, but
            # that of C and of Python's own implementation alike.
            stream._CHUNK_SIZE = MOST_BYTES
