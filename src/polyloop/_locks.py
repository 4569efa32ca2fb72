"""Locks that Ctrl-C cannot leave locked, and waiting that it cannot turn into another error.

They are re-entrant, for a signal handler or a ``__del__`` may come in in the middle of what a lock guards.
"""

from __future__ import annotations

import sys
import threading
from _thread import RLock
from typing import TYPE_CHECKING, ParamSpec, TypeVar

__all__ = ["Lock", "as_raised", "make_condition"]

P = ParamSpec("P")
T = TypeVar("T")


if TYPE_CHECKING:
    from collections.abc import Callable

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


def as_raised(wait: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what waits for something of `threading`; what a signal handler raises there is raised as it is.

    A condition variable lets go of its lock in front of the block that takes it back in any case. Ctrl-C that
    comes in between leaves a ``with`` that has nothing to let go of, and whose complaint takes its place.
    """
    try:
        return wait(*args, **kwargs)
    except RuntimeError as complaint:
        origin = complaint.__context__
        # "cannot release un-acquired lock", "release unlocked lock"
        if origin is None or "release un" not in str(complaint):
            raise
        raise origin from None
