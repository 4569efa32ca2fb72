"""What a call is told that a pool does not take, and why."""

from __future__ import annotations

from ._errors import ForkedPool, PoolBroken, PoolClosed

__all__ = ["Refusals"]


class Refusals:
    """The refusals of one pool: each makes the error that says what is the matter and what to do.

    Args:
        name: The pool's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def not_open(self) -> Exception:
        """It has not been opened."""
        return PoolClosed(
            f"{self._name} is not open yet: use it in `with` or `async with`, or call open() or aopen() first"
        )

    def closed(self) -> Exception:
        """It is closed, or being closed."""
        return PoolClosed(f"{self._name} is closed or about to be: it accepts no more calls")

    def broken(self) -> Exception:
        """It has given up on its workers."""
        return PoolBroken(
            f"{self._name} gave up: its workers were lost one after another before they finished a call; "
            "the log has the reason of each"
        )

    def forked(self) -> Exception:
        """It was the parent's."""
        return ForkedPool(
            f"{self._name} was opened by the parent of this process and its loops live there; "
            "open a pool of its own in the child"
        )
