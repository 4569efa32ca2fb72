"""The backends that can be typed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ..ray import Cluster

__all__ = ["Backend", "Place"]

Place: TypeAlias = 'Literal["thread", "process", "interpreter", "ray", "auto"] | Cluster'
"""Where the loops live, as `LoopPool` takes it."""


class Backend(Enum):
    """Where the loops live, as it is typed."""

    THREAD = "thread"
    PROCESS = "process"
    INTERPRETER = "interpreter"
    RAY = "ray"
    AUTO = "auto"
