"""Locks that Ctrl-C cannot leave locked.

They are re-entrant, for a signal handler or a ``__del__`` may come in in the middle of what a lock guards.
"""

from __future__ import annotations

import sys
import threading
from _thread import RLock
from typing import TYPE_CHECKING

__all__ = ["Lock", "make_condition"]


if TYPE_CHECKING:
    _Lock = RLock  # which they take for final
else:

    class _Lock(RLock):
        """A lock for ``with``.

        CPython looks for signals when a call of C code has returned. Where ``__enter__`` is such a call,
        Ctrl-C lands between the taking of the lock and the block, and nobody lets go of it. Nothing is looked
        for where a ``for`` asks for the next, nor when a function of Python's returns.
        """

        __slots__ = ()

        def __enter__(self) -> bool:
            for is_taken in map(self.acquire, (True,)):
                return is_taken
            raise AssertionError


# Until 3.14, `with` does not call it as anything else is called.
Lock = _Lock if sys.version_info >= (3, 14) else RLock


def make_condition() -> threading.Condition:
    """A condition variable; its ``__enter__`` calls that of its lock, on each Python."""
    return threading.Condition(_Lock())
