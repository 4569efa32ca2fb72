"""Calls that keep account of what they do, for the state machine of pools: on every backend."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, field

from polyloop import current_pool, current_worker
from tests._passing_time import clock
from tests._shared import Flag, Shared

__all__ = ["ENDLESS", "KINDS", "Account", "Place", "Record", "act", "whereabouts"]

# These wait until they are cancelled. The second ignores that once and returns, the third cleans up at
# length, and the last ignores it until its gate is opened.
ENDLESS = ("forever", "stubborn", "tidy", "deaf")
KINDS = (*ENDLESS, "value", "step", "raise", "exit", "nested")

Place = tuple[int, int]
"""A worker: its index and its generation."""


class Account(Shared):
    """What a task says of itself, from wherever it runs; written before the task goes on."""

    def __init__(self) -> None:
        self.started = Flag()
        self.gate = Flag()
        self.places: list[Place] = []
        self.has_returned = False
        self.has_ended = False
        self.is_torn = False

    def begin(self, place: Place) -> None:
        """It takes its first step, on this worker."""
        self.places.append(place)
        self.has_returned = self.has_ended = False
        self.started.set()

    def return_(self) -> None:
        """It is about to return."""
        self.has_returned = True

    def end(self) -> None:
        """Its ``finally`` block has run."""
        self.has_ended = True

    def tear(self) -> None:
        """It was cancelled while it cleaned up."""
        self.is_torn = True

    def is_open(self) -> bool:
        """Whether a deaf one may end."""
        return self.gate.is_set()

    async def passage(self) -> None:
        """Wait until it may."""
        await self.gate.wait()


@dataclass(eq=False)
class Record:
    """A task as the machine sees it."""

    kind: str
    # When its deadline passes, on the clock that stands still; None without one.
    due: float | None = None
    key: str | None = None
    # How many of its workers may be lost before it fails.
    resubmits: int = 0
    # How often somebody asked it to stop through its future.
    requests: int = 0
    # The machine has seen its end.
    is_over: bool = False
    # Workers that were killed before its future was done.
    dangers: set[Place] = field(default_factory=set)
    account: Account = field(default_factory=Account)

    @property
    def is_endless(self) -> bool:
        """Whether it never ends by itself; by what the machine did and no task, so that it can repeat it."""
        if self.kind == "deaf":
            return not self.account.is_open()
        is_late = self.due is not None and self.due <= clock.units
        return self.kind in ENDLESS and not (self.is_over or self.requests or is_late)

    @property
    def started(self) -> Flag:
        """Set when it has taken its first step."""
        return self.account.started

    @property
    def has_started(self) -> bool:
        """Whether it has."""
        return self.account.started.is_set()

    @property
    def has_returned(self) -> bool:
        """Whether it was about to return when it was last seen."""
        return self.account.has_returned

    @property
    def has_ended(self) -> bool:
        """Whether its ``finally`` block has run."""
        return self.account.has_ended

    @property
    def is_torn(self) -> bool:
        """Whether it was cancelled while it cleaned up."""
        return self.account.is_torn

    @property
    def places(self) -> list[Place]:
        """The workers that it ran on, one after the other."""
        return self.account.places

    def open_gate(self) -> None:
        """Let it end, if it is deaf."""
        self.account.gate.set()


async def act(record: Record) -> str:
    """Do what the record says, and keep account of it there."""
    kind, account = record.kind, record.account
    worker = current_worker()
    account.begin((worker.index, worker.generation))
    try:
        if kind in ENDLESS:
            await stay(kind, account)
        else:
            await pass_through(kind)
        account.return_()
        return kind
    finally:
        account.end()


async def whereabouts() -> tuple[int, Place]:
    """The process that runs it, and the worker."""
    worker = current_worker()
    return os.getpid(), (worker.index, worker.generation)


async def stay(kind: str, account: Account) -> None:
    """Wait, as its kind does."""
    match kind:
        case "forever":
            await asyncio.Event().wait()
        case "stubborn":
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        case "tidy":
            await stay_and_clean_up(account)
        case "deaf":
            while not account.is_open():
                with contextlib.suppress(asyncio.CancelledError):
                    await account.passage()


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
            await nest()


async def nest() -> None:
    """Call the pool from inside, where that can be done; elsewhere it is refused."""
    if current_worker().backend == "thread":
        await current_pool().run(act, Record("step"))
        return
    try:
        current_pool()
    except RuntimeError:
        return
    raise AssertionError("a worker elsewhere found its pool")


async def stay_and_clean_up(account: Account) -> None:
    """Wait until cancelled, and note when that comes again before everything is in order."""
    try:
        await asyncio.Event().wait()
    finally:
        try:
            for _ in range(10):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            account.tear()
            raise
