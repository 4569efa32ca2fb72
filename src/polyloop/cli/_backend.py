"""The backends that can be typed."""

from __future__ import annotations

from enum import Enum

__all__ = ["Backend"]


class Backend(Enum):
    """Where the loops live: the values are what ``LoopPool(backend=...)`` takes."""

    THREAD = "thread"
    PROCESS = "process"
    INTERPRETER = "interpreter"
    AUTO = "auto"
