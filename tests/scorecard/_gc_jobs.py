"""Calls that keep account of how they end while garbage is collected all the time, wherever they run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading

__all__ = ["Counts", "collect_all_the_time", "counts", "work"]


class Counts:
    """What has happened in this process, or interpreter; its loops share it under the lock."""

    lock = threading.Lock()
    begun = ended = foreign = complaints = 0


class Complaints(logging.Handler):
    """Counts what asyncio says, of tasks that were destroyed while pending say."""

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        Counts.complaints += 1


async def collect_all_the_time() -> None:
    """From here on every new object has garbage collected, and everything is counted."""
    with Counts.lock:
        Counts.begun = Counts.ended = Counts.foreign = Counts.complaints = 0
    logging.getLogger("asyncio").addHandler(Complaints(logging.WARNING))
    gc.set_threshold(1)


async def work() -> None:
    """Wait for what nobody else refers to, and clean up."""
    home = threading.get_ident()
    with Counts.lock:
        Counts.begun += 1
    try:
        waiter = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(waiter.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        await asyncio.sleep(0)
    finally:
        with Counts.lock:
            Counts.ended += 1
            Counts.foreign += threading.get_ident() != home


async def counts() -> tuple[int, int, int, int]:
    """Begun, ended, cleaned up in a foreign thread, complaints; when all that has begun here has ended."""
    while Counts.ended < Counts.begun:  # noqa: ASYNC110 - an event would be one more thing to collect
        await asyncio.sleep(0)
    return Counts.begun, Counts.ended, Counts.foreign, Counts.complaints
