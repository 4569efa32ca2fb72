"""Calls that do not end in time, and say when they have ended. It imports no pytest."""

from __future__ import annotations

import asyncio
import time

from tests._gate import Gate
from tests._shared import Flag, Notes

__all__ = ["LateCalls"]


class LateCalls:
    """Most of them end when they are cancelled, some swallow that, and one may block its loop.

    Attributes:
        gate: Those that swallow it end when it is open.
        released: What blocks its loop waits for it.
        started: The numbers of those that have started.
        ended: Number and moment of those that have ended.
    """

    def __init__(self) -> None:
        self.gate = Gate()
        self.released = Flag()
        self.started: Notes[int] = Notes()
        self.ended: Notes[tuple[int, float]] = Notes()

    async def obey(self, number: int) -> None:
        """Wait until cancelled."""
        self.started.append(number)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append((number, time.monotonic()))

    async def swallow(self, number: int) -> None:
        """Take no notice of being cancelled until the gate is opened."""
        self.started.append(number)
        while not self.gate.is_open:
            try:
                await self.gate.passage()
            except asyncio.CancelledError:
                continue
        self.ended.append((number, time.monotonic()))

    async def block(self, number: int) -> None:
        """Block the loop until told not to."""
        self.started.append(number)
        self.released.block()
        self.ended.append((number, time.monotonic()))
