"""What ``concurrent.futures`` sees of a future that has no lock of its own.

``concurrent.futures.wait`` and its like take a future's condition, read its state and install themselves
in it. So once there is a condition, the state they read changes only under it. It is made when somebody
first blocks, which for most futures is never.

How the two sides find each other: the phase is stored before the condition is looked for, and the
condition is stored before the phase is looked at. Whoever comes second sees the other and publishes.
"""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _process
from ._locks import make_condition

__all__ = ["CANCELLED", "DONE", "FINISHED", "PENDING", "RUNNING", "ConcurrentFuture"]

T = TypeVar("T")

# concurrent.futures knows these words; they are compared by it with ==, by us with `is`.
PENDING = "PENDING"
RUNNING = "RUNNING"
CANCELLED = "CANCELLED_AND_NOTIFIED"
FINISHED = "FINISHED"

DONE = frozenset({CANCELLED, FINISHED})


class ConcurrentFuture(concurrent.futures.Future[T]):
    """The part of `Future` that blocks threads."""

    __slots__ = ("_exception", "_phase", "_result")

    # What it has come to: pending, cancelled or finished.
    _phase: str
    _exception: BaseException | None

    _condition_or_none: threading.Condition | None = None
    _published = PENDING

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in this thread until the task has its outcome, whatever it is.

        Args:
            timeout: Most seconds to wait; None is without limit.

        Returns:
            Whether it has.
        """
        if self._phase in DONE:
            return True
        with self._condition:
            return self._condition.wait_for(lambda: self._published in DONE, timeout)

    # To type checkers these are the attributes that the base class declares: a property would not fit
    # the protocol that as_completed() asks for.
    if not TYPE_CHECKING:

        @property
        def _condition(self) -> threading.Condition:  # made on first use
            if _process.is_child:
                self._refuse_in_child()  # nobody would ever notify
            condition = self._condition_or_none
            if condition is None:
                # setdefault: of two threads that make one at the same time, both get the first.
                condition = self.__dict__.setdefault("_condition_or_none", make_condition())
                self._publish()
            return condition

        @property
        def _waiters(self) -> list[Any]:  # made on first use
            return self.__dict__.setdefault("_waiters_list", [])

        @property
        def _state(self) -> str:  # changes under the condition only
            return self._current() if self._condition_or_none is None else self._published

    def _current(self) -> str:
        return RUNNING if self.running() else self._phase

    def _refuse_in_child(self) -> None:
        """Raise ForkedPool if the task is with the parent of this process, and not done."""

    def _publish(self) -> None:
        """Bring what concurrent.futures sees up to date and tell those who wait through it."""
        condition = cast("threading.Condition", self._condition_or_none)
        with condition:
            phase = self._current()
            if self._published == phase or self._published in DONE:
                return
            self._published = phase
            if phase is RUNNING:
                return
            for waiter in self._waiters:
                if phase is CANCELLED:
                    waiter.add_cancelled(self)
                elif self._exception is not None:
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            condition.notify_all()
