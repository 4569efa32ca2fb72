"""What a worker runs for one item of ``polyloop map``; it is sent to processes too."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._inputs import Item

__all__ = ["ItemCall", "NotBegun", "begin_anew", "begin_no_more", "begin_no_more_here"]

# Of the process that this runs in: each worker's own has one, and so has the command's.
_is_over = threading.Event()


class NotBegun(Exception):
    """The item was taken from the input, and the job was stopped before its call began."""


def begin_anew() -> None:
    """A job begins."""
    _is_over.clear()


def begin_no_more() -> None:
    """From now on, what has not begun in this process does not."""
    _is_over.set()


async def begin_no_more_here() -> None:
    """As `begin_no_more`, in the process of the worker that runs this."""
    begin_no_more()


class ItemCall:
    """Calls the command's function with one item.

    Args:
        fn: The function.
        name: What it is called in messages.
        spread: Whether an item's fields are keyword arguments.
    """

    def __init__(self, fn: Callable[..., Awaitable[Any]], name: str, *, spread: bool) -> None:
        self._fn = fn
        self._spread = spread
        self.__qualname__ = name

    async def __call__(self, item: Item) -> Any:
        """Call it."""
        if _is_over.is_set():
            raise NotBegun
        if item.problem is not None:
            raise item.problem
        return await (self._fn(**item.value) if self._spread else self._fn(item.value))
