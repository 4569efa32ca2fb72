"""Calls that do not end when their deadline passes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tests._gate import PATIENCE, Gate
from tests._passing_time import let_pass
from tests._shared import Flag

if TYPE_CHECKING:
    from polyloop import Future, LoopPool

__all__ = ["Stall", "Stubborn", "until_running"]


def until_running(future: Future[Any]) -> None:
    """Wait until the pool has heard that a call has begun: elsewhere it begins a moment before that."""
    patience = time.monotonic() + PATIENCE
    while not future.running():
        assert time.monotonic() < patience, "the pool does not hear of a call that has begun"
        time.sleep(0.001)  # there is no event for it


class Stall:
    """A call that blocks its loop until it is told not to."""

    def __init__(self) -> None:
        self.begun = Flag()
        self.over = Flag()

    async def block(self) -> str:
        """Block the loop."""
        self.begun.set()
        self.over.block()
        return "late"


class Stubborn:
    """A call that takes no notice of being cancelled until it is told to end.

    Args:
        error: Raised in the end, if any.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = Flag()
        self.gate = Gate()
        self._error = error

    async def go_on(self) -> str:
        """Go on."""
        try:
            self.begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.gate.passage()
        if self._error is not None:
            raise self._error
        return "late"

    def reach_deadline(self, pool: LoopPool) -> Future[str]:
        """Have it run in `pool` until it is cancelled at its deadline, and goes on."""
        future = pool.options(timeout=PATIENCE).submit(self.go_on)
        until_running(future)
        let_pass(pool, PATIENCE)
        self.gate.wait_started()
        return future
