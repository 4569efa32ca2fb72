"""A plain function for a thread that a test follows by events, wherever that thread is."""

from __future__ import annotations

from tests._shared import Flag

__all__ = ["Blocker"]


class Blocker:
    """A function that says when it has begun, and returns when it is told to.

    Attributes:
        began: Set when it has begun.
        released: Set by the test, to let it end.
        ended: Set when it has ended.
    """

    def __init__(self) -> None:
        self.began = Flag()
        self.released = Flag()
        self.ended = Flag()

    def __call__(self, value: str = "ended") -> str:
        """Block, and return `value`."""
        self.began.set()
        self.released.block()
        self.ended.set()
        return value
