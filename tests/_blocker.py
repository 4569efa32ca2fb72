"""A plain function for a thread that a test follows by events."""

from __future__ import annotations

import threading

from tests._stage import until

__all__ = ["Blocker"]


class Blocker:
    """A function that says when it has begun, and returns when it is told to.

    Attributes:
        began: Set when it has begun.
        released: Set by the test, to let it end.
        ended: Set when it has ended.
    """

    def __init__(self) -> None:
        self.began = threading.Event()
        self.released = threading.Event()
        self.ended = threading.Event()

    def __call__(self, value: str = "ended") -> str:
        """Block, and return `value`."""
        self.began.set()
        until(self.released)
        self.ended.set()
        return value
