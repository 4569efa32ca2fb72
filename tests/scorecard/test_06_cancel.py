"""Cancelling at a random instant of a task's life: is anything that was done ever called cancelled?"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._gate import PATIENCE
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests._open_pool import OpenPool

TASKS = 20_000
BATCH = 50
CHANCE = random.Random(6)


@pytest.fixture(autouse=True)
def rapid_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


class Journal:
    """What the tasks did, by their own account."""

    def __init__(self) -> None:
        self.started: set[int] = set()
        self.committed: set[int] = set()

    async def commit(self, number: int, steps: int) -> int:
        """Start, take so many steps, commit, return."""
        self.started.add(number)
        for _ in range(steps):
            await asyncio.sleep(0)
        self.committed.add(number)
        return number


def test_nothing_that_was_done_is_called_cancelled(open_pool: OpenPool) -> None:
    """Cancelled means that nothing was committed; what was committed has its result (B1, B1')."""
    journal = Journal()
    futures: list[polyloop.Future[int]] = []
    before_start: set[int] = set()  # known to be cancelled when they had not started

    with open_pool(2, limit=20) as pool:
        for first in range(0, TASKS, BATCH):
            batch = [pool.submit(journal.commit, n, CHANCE.randrange(3)) for n in range(first, first + BATCH)]
            _cancel_in_any_order(batch)
            early = {n for n, f in enumerate(batch, first) if f.cancelled()} - journal.started
            before_start |= early
            futures += batch

    cancelled = {n for n, future in enumerate(futures) if future.cancelled()}
    lost = cancelled & journal.committed
    risen = before_start & journal.started
    wrong = [n for n, f in enumerate(futures) if n not in cancelled and f.result(0) != n]
    report(
        6,
        f"{TASKS} tasks cancelled at random instants: {TASKS - len(cancelled)} finished first, "
        f"{len(cancelled)} cancelled, {len(cancelled - journal.started)} of them before they started; "
        f"{len(lost)} committed and called cancelled, {len(risen)} started after they were cancelled",
    )
    assert not lost
    assert not risen
    assert not wrong
    assert 0 < len(cancelled) < TASKS, "the instants were not random: nothing was tested"


def _cancel_in_any_order(batch: list[polyloop.Future[int]]) -> None:
    """Cancel all of them, from two threads."""
    victims = CHANCE.sample(batch, len(batch))
    helper = threading.Thread(target=_cancel_all, args=(victims[::2],))
    helper.start()
    _cancel_all(victims[1::2])
    helper.join(PATIENCE)


def _cancel_all(futures: list[polyloop.Future[int]]) -> None:
    for future in futures:
        future.cancel()
