"""Calls whose beginning a test can wait for, and whose end it decides."""

from __future__ import annotations

from tests._shared import PATIENCE, Flag, Tally

__all__ = ["PATIENCE", "Gate"]


class Gate:
    """Its `passage` is a call that says when it has started and returns when the gate is opened.

    Any thread may open it and wait for it; any number of calls may pass through it, on any backend.
    """

    def __init__(self) -> None:
        self._started = Tally()
        self._opened = Flag()
        self._awaited = 0

    @property
    def entered(self) -> int:
        """How many calls have started."""
        return self._started.count()

    @property
    def is_open(self) -> bool:
        """Whether everybody gets through."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let everybody through."""
        self._opened.set()

    def wait_started(self, calls: int = 1) -> None:
        """Block until so many more calls have started."""
        self._awaited += calls
        self._started.wait_for(self._awaited)

    async def passage(self, value: object = None) -> object:
        """Say that it has started, wait for the gate to be open, and return `value`."""
        self._started.add()
        await self._opened.wait()
        return value

    async def __aenter__(self) -> None:
        """Nothing; see `__aexit__`."""

    async def __aexit__(self, *exc_info: object) -> None:
        """Wait for the gate to be open, whatever else has happened: a clean-up that takes its time."""
        await self.passage()
