"""What cannot be sent to another process, said in words by the one that it is tried with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["staying"]


def staying(way_out: str) -> Callable[[object], NoReturn]:
    """A ``__reduce__`` that refuses: pickle would find some lock inside, and complain of that.

    Args:
        way_out: What to do instead.
    """

    def __reduce__(self: object) -> NoReturn:  # noqa: N807 - that is what it becomes
        raise TypeError(f"a {type(self).__name__} stays in its process; {way_out}")

    return __reduce__
