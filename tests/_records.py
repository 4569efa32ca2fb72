"""Calls that keep account of what they do, for the state machine of pools."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

import pytest

from polyloop import current_pool, current_worker
from tests._gate import Gate
from tests._passing_time import clock

__all__ = ["ENDLESS", "KINDS", "Record", "act"]

# These wait until they are cancelled. The second ignores that once and returns, the third cleans up at
# length, and the last ignores it until its gate is opened.
ENDLESS = ("forever", "stubborn", "tidy", "deaf")
KINDS = (*ENDLESS, "value", "step", "raise", "exit", "nested")


@dataclass(eq=False)
class Record:
    """What a task did, by its own account."""

    kind: str
    # When its deadline passes, on the clock that stands still; None without one.
    due: float | None = None
    key: str | None = None
    # What a deaf one listens to.
    gate: Gate = field(default_factory=Gate)
    started: threading.Event = field(default_factory=threading.Event)
    has_returned: bool = False
    # Its `finally` block has run.
    has_ended: bool = False
    # How often somebody asked it to stop through its future.
    requests: int = 0
    # It was cancelled while it cleaned up.
    is_torn: bool = False
    worker: tuple[int, int] | None = None
    # The machine has seen its end.
    is_over: bool = False

    @property
    def is_endless(self) -> bool:
        """Whether it never ends by itself; by what the machine did and no task, so that it can repeat it."""
        if self.kind == "deaf":
            return not self.gate.is_open
        is_late = self.due is not None and self.due <= clock.units
        return self.kind in ENDLESS and not (self.is_over or self.requests or is_late)

    @property
    def has_started(self) -> bool:
        """Whether it has taken its first step."""
        return self.started.is_set()


async def act(record: Record) -> str:
    """Do what the record says, and keep account of it there."""
    worker = current_worker()
    record.worker = worker.index, worker.generation
    record.started.set()
    try:
        if record.kind in ENDLESS:
            await stay(record)
        else:
            await pass_through(record.kind)
        record.has_returned = True
        return record.kind
    finally:
        record.has_ended = True


async def stay(record: Record) -> None:
    """Wait, as its kind does."""
    match record.kind:
        case "forever":
            await asyncio.Event().wait()
        case "stubborn":
            with pytest.raises(asyncio.CancelledError):
                await asyncio.Event().wait()
        case "tidy":
            await stay_and_clean_up(record)
        case "deaf":
            while not record.gate.is_open:
                with contextlib.suppress(asyncio.CancelledError):
                    await record.gate.passage()


async def pass_through(kind: str) -> None:
    """Raise, call or do nothing."""
    match kind:
        case "step":
            await asyncio.sleep(0)
        case "raise":
            raise LookupError(kind)
        case "exit":
            raise SystemExit(kind)
        case "nested":
            await current_pool().run(act, Record("step"))


async def stay_and_clean_up(record: Record) -> None:
    """Wait until cancelled, and note when that comes again before everything is in order."""
    try:
        await asyncio.Event().wait()
    finally:
        try:
            for _ in range(10):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            record.is_torn = True
            raise
