"""Changes that are made one at a time, also when one comes in in the middle of another, in the same thread.

It knows nothing of what is changed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ._locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turns"]


class Turns:
    """What has a lock, and makes every change of its state under it.

    The lock is re-entrant because a signal handler or a ``__del__`` may come in in the middle of a change, in
    the same thread. It must not see that change half-made, so what it wants is put aside, and whoever
    makes the change takes care of it in the end.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_busy = False
        self._aside: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def _begin_in_child(self) -> None:
        """This is a forked child: who held the lock did not come along."""
        self._lock = Lock()
        self._is_busy = False

    def _do(self, change: Callable[..., object], *arguments: Any) -> None:
        """Make one change, or leave it to whoever is in the middle of one."""
        if self._is_busy:
            self._aside.append((change, arguments))
            return
        self._is_busy = True
        try:
            change(*arguments)
        finally:
            self._is_busy = False
            if self._aside:
                self._do_aside()

    def _do_aside(self) -> None:
        # A loop and no recursion: a finaliser puts one aside for each object in a heap of garbage.
        try:
            while self._aside:
                try:
                    change, arguments = self._aside.popleft()
                except IndexError:
                    return  # a signal handler came in since the look, and took care of it
                self._is_busy = True
                try:
                    change(*arguments)
                except BaseException:
                    self._put_aside_again(change, arguments)
                    raise
                finally:
                    self._is_busy = False
        finally:
            if self._aside:  # one of them raised, as Ctrl-C makes it; the others are owed all the same
                self._do_aside()

    def _put_aside_again(self, change: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Ctrl-C has landed in the middle of a change whose maker has gone on, and perhaps counts on it."""
