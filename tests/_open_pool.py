"""The backends, and how a behaviour test makes a pool on each of them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from polyloop import LoopPool

__all__ = ["BACKENDS", "OpenPool"]

BACKENDS: list[str] = [
    "thread",
    *(["process"] if hasattr(os, "fork") else []),
    *(["interpreter"] if sys.version_info >= (3, 14) else []),
]
"""Those that there are on this system and this Python."""


class OpenPool(Protocol):
    """The fixture `open_pool`: makes a pool on the backend that the test runs on.

    The pool opens as any other, by ``with``, ``async with`` or ``open()``.
    """

    def __call__(self, loops: int = 1, **options: Any) -> LoopPool:
        """A `LoopPool` of so many loops; `options` are its other parameters."""
        ...
