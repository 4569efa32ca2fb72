"""Calls that a test follows by events, from its own thread: nothing here waits for time to pass."""

from __future__ import annotations

import asyncio
import threading

from tests._shared import PATIENCE, Flag, Notes

__all__ = ["PATIENCE", "Stage", "nothing", "until"]


async def nothing() -> None:
    """Do nothing, on some loop."""


def until(event: threading.Event | Flag) -> None:
    """Wait in this thread for `event`, and fail the test if it never comes."""
    if isinstance(event, Flag):
        event.block()
    else:
        assert event.wait(PATIENCE), "what the test waits for did not happen"


class Stage:
    """Calls that say when they start and end, and end when they are told to.

    Attributes:
        started: Set when a call has taken its first step.
        cleaned: Set when a call's ``finally`` has run.
        released: What the calls that block, or will not be cancelled, wait for; the test sets it.
        threads: The names of those that clean-ups ran in.
    """

    def __init__(self) -> None:
        self.started = Flag()
        self.cleaned = Flag()
        self.released = Flag()
        self.threads: Notes[str] = Notes()

    async def stay(self) -> None:
        """Wait for ever, until cancelled."""
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            self.threads.append(threading.current_thread().name)
            self.cleaned.set()

    async def wait(self) -> str:
        """Wait until the test sets `released`; the loop stays free."""
        self.started.set()
        await self.released.wait()
        return "released"

    async def swallow(self) -> str:
        """Ignore every cancellation until the test sets `released`."""
        self.started.set()
        while not self.released.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return "late"

    async def block(self) -> str:
        """Block the whole loop until the test sets `released`."""
        self.started.set()
        self.released.block()
        return "late"

    async def clean_up(self, seconds: float) -> None:
        """Wait for ever, and take so many seconds to clean up when cancelled."""
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(seconds)
            self.cleaned.set()
