"""Time that passes for the deadlines of a pool when a test says so."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyloop import LoopPool

__all__ = ["let_pass"]


def let_pass(pool: LoopPool, seconds: float) -> None:
    """Let the deadlines that were set until now see so many seconds pass, at once.

    Their own thread sleeps meanwhile: what it waits for has to be further away than the test takes.
    """
    deadlines = pool._dispatch.deadlines
    deadlines._take_arrivals()
    deadlines._pass(monotonic() + seconds)
