"""What cannot be sent to another process, said in words by the one that it is tried with."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["refuse_to_move"]


def refuse_to_move(thing: object, way_out: str) -> NoReturn:
    """What a ``__reduce__`` raises; pickle would find some lock inside, and complain of that.

    Args:
        thing: What it was tried with.
        way_out: What to do instead.

    Raises:
        TypeError: Always.
    """
    raise TypeError(f"a {type(thing).__name__} stays in its process; {way_out}")
