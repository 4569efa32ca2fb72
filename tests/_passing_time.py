"""Time that passes for the deadlines of a pool when a test says so."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from polyloop import _deadlines
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop import LoopPool
    from polyloop._deadlines import Deadlines

__all__ = ["UNIT", "clock", "let_pass"]

UNIT = 1000.0
"""Seconds, so many that none of them pass by themselves while a test runs."""


class Clock:
    """``time.monotonic``, ahead by what the test says: it replaces that of the deadlines."""

    ahead = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead

    @property
    def units(self) -> float:
        """How many whole units the test has let pass."""
        return self.ahead / UNIT


clock = Clock()


def let_pass(pool: LoopPool, seconds: float) -> None:
    """Let the deadlines that were set until now see so many seconds pass, at once.

    At least one deadline must have been set: their thread is started for that.
    """
    errand = Errand(pool._dispatch.deadlines, seconds)
    errand.deadlines._arrivals.append(cast("Any", errand))
    errand.deadlines._ring()
    assert errand.done.wait(PATIENCE), "the deadlines' thread does not take what arrives"


class Errand:
    """Goes to the deadlines' own thread as one that is due there: nothing else may touch what it owns."""

    # What the thread asks a deadline that it has cancelled before.
    call = is_over = has_passed = True
    when = 0.0

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self.deadlines = deadlines
        self.done = threading.Event()
        self._seconds = seconds

    def give_up(self) -> None:
        """It is there."""
        self.deadlines._pass(vars(_deadlines)["monotonic"]() + self._seconds)
        self.done.set()
