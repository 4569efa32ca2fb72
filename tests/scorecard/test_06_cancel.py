"""Cancelling at a random instant of a task's life: is anything that was done ever called cancelled?"""

from __future__ import annotations

import random
import sys
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._gate import PATIENCE
from tests._scorecard import IS_FULL, report
from tests.scorecard._commits import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests._open_pool import OpenPool

BATCH = 50
CHANCE = random.Random(6)


@pytest.fixture(autouse=True)
def rapid_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def test_nothing_that_was_done_is_called_cancelled(open_pool: OpenPool, backend: str, tmp_path: Path) -> None:
    """Cancelled means that nothing was committed; what was committed has its result (B1, B1')."""
    tasks = 20_000 if IS_FULL else 5_000 if backend == "thread" else 1_500
    journal = Journal(tmp_path)
    futures: list[polyloop.Future[int]] = []
    before_start: set[int] = set()  # known to be cancelled when they had not started

    with open_pool(2, limit=20) as pool:
        for first in range(0, tasks, BATCH):
            batch = [pool.submit(journal.commit, n, CHANCE.randrange(3)) for n in range(first, first + BATCH)]
            if backend != "thread" and CHANCE.random() < 0.5:
                CHANCE.choice(batch).wait(PATIENCE)  # or most are cancelled on their way
            _cancel_in_any_order(batch)
            early = {n for n, f in enumerate(batch, first) if f.cancelled()}
            before_start |= early - journal.started()
            futures += batch

    cancelled = {n for n, future in enumerate(futures) if future.cancelled()}
    started = journal.started()
    lost = cancelled & journal.committed()
    risen = before_start & started
    wrong = [n for n, f in enumerate(futures) if n not in cancelled and f.result(0) != n]
    report(
        6,
        f"{tasks:,} tasks cancelled at random instants: {tasks - len(cancelled):,} finished first, "
        f"{len(cancelled):,} cancelled, {len(cancelled - started):,} of them before they started; "
        f"{len(lost)} committed and called cancelled, {len(risen)} started after they were cancelled",
    )
    assert not lost
    assert not risen
    assert not wrong
    assert 0 < len(cancelled) < tasks, "the instants were not random: nothing was tested"


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
