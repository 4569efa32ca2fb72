"""Calls whose beginning a test can wait for, and whose end it decides."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

__all__ = ["PATIENCE", "Gate"]

PATIENCE = 20.0
"""How long a test waits, in seconds, for what has to happen: far longer than it takes."""


class Gate:
    """Its `passage` is a call that says when it has started and returns when the gate is opened.

    Any thread may open it and wait for it; any number of calls may pass through it.
    """

    def __init__(self) -> None:
        self._started = threading.Semaphore(0)
        self._opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.entered = 0
        """How many calls have started. Exact when they ran on one loop."""

    @property
    def is_open(self) -> bool:
        """Whether everybody gets through."""
        return self._opened.done()

    def open(self) -> None:
        """Let everybody through."""
        if not self._opened.done():
            self._opened.set_result(None)

    def wait_started(self, calls: int = 1) -> None:
        """Block until so many more calls have started."""
        for _ in range(calls):
            assert self._started.acquire(timeout=PATIENCE), "a call did not start"

    async def passage(self, value: object = None) -> object:
        """Say that it has started, wait for the gate to be open, and return `value`."""
        self.entered += 1
        self._started.release()
        # Shielded: a call that is cancelled may not close the gate for the others.
        await asyncio.shield(asyncio.wrap_future(self._opened))
        return value

    async def __aenter__(self) -> None:
        """Nothing; see `__aexit__`."""

    async def __aexit__(self, *exc_info: object) -> None:
        """Wait for the gate to be open, whatever else has happened: a clean-up that takes its time."""
        await self.passage()
