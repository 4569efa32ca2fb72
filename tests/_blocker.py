"""A plain function for a thread that a test follows by events."""

from __future__ import annotations

import threading

from polyloop import check_cancelled
from tests._stage import until

__all__ = ["Blocker"]


class Blocker:
    """A function that says when it has begun, and returns when it is told to.

    Attributes:
        began: Set when it has begun.
        released: Set by the test, to let it end.
        ended: Set when it has ended.
        asks: Whether it ends early when it finds that it was asked to.
    """

    def __init__(self, *, asks: bool = False) -> None:
        self.began = threading.Event()
        self.released = threading.Event()
        self.ended = threading.Event()
        self.asks = asks

    def __call__(self, value: str = "ended") -> str:
        """Block, and return `value`."""
        self.began.set()
        try:
            until(self.released)
            if self.asks:
                check_cancelled()
        finally:
            self.ended.set()
        return value
