"""The scorecard's item about timeouts: does the task end with the waiting for it?"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded, Future, LoopPool
from tests._gate import PATIENCE, Gate
from tests._scorecard import report
from tests._stage import Stage, until

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

ROUNDS, ROUND = 40, 50
CHANCE = random.Random(7)
# Seconds. What takes no notice of its deadline does so until it has been given up.
GRACE = 0.05


class Round:
    """Calls that do not end in time: most end when cancelled, some swallow that, one may block its loop."""

    def __init__(self, *, blocks: bool) -> None:
        self.gate = Gate()
        self.released = threading.Event()
        self.due: dict[int, float] = {}
        self.started: set[int] = set()
        self.ended_at: dict[int, float] = {}
        self.futures: dict[int, Future[None]] = {}
        self.kinds = [self.swallow if CHANCE.random() < 0.1 else self.obey for _ in range(ROUND)]
        if blocks:
            self.kinds[CHANCE.randrange(ROUND)] = self.block

    async def obey(self, number: int) -> None:
        """Wait until cancelled."""
        self.started.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            self.ended_at[number] = time.monotonic()

    async def swallow(self, number: int) -> None:
        """Take no notice of being cancelled until the gate is opened."""
        self.started.add(number)
        while not self.gate.is_open:
            try:
                await self.gate.passage()
            except asyncio.CancelledError:
                continue
        self.ended_at[number] = time.monotonic()

    async def block(self, number: int) -> None:
        """Block the loop until told not to."""
        self.started.add(number)
        until(self.released)
        self.ended_at[number] = time.monotonic()

    def submit(self, pool: LoopPool) -> None:
        """Hand all of them in, each with a deadline of its own."""
        for number, kind in enumerate(self.kinds):
            timeout = CHANCE.uniform(0.005, 0.03)
            self.due[number] = time.monotonic() + timeout
            self.futures[number] = pool.options(timeout=timeout).submit(kind, number)

    def errors(self) -> dict[int, DeadlineExceeded]:
        """What the callers get; those that still run may end after that."""
        errors: dict[int, DeadlineExceeded] = {}
        for number, future in self.futures.items():
            error = future.exception(PATIENCE)
            assert isinstance(error, DeadlineExceeded)
            errors[number] = error
            # What says that it has ended had ended before anybody was told, or never starts.
            running = number in self.started and number not in self.ended_at
            assert error.still_running or not running, error
        self.released.set()
        self.gate.open()
        return errors


def test_tasks_end_at_their_deadlines(open_pool: OpenPool) -> None:
    """A task has ended soon after its deadline, or the error says that it still runs."""
    late: list[float] = []
    still_running = unstarted = 0
    with open_pool(2, timeout_grace=GRACE) as pool:
        for number in range(ROUNDS):
            round_ = Round(blocks=number % 4 == 0)
            round_.submit(pool)
            errors = round_.errors()
            ended_in_time = [each for each, error in errors.items() if not error.still_running]
            still_running += len(errors) - len(ended_in_time)
            started = [each for each in ended_in_time if each in round_.started]
            unstarted += len(ended_in_time) - len(started)
            late += [round_.ended_at[each] - round_.due[each] for each in started]
            pool.broadcast(asyncio.sleep, 0).result(PATIENCE)  # the loop that was blocked goes on
    running_after = pool.statistics().in_flight

    figures = sorted(late)
    p99 = figures[int(len(figures) * 0.99)] * 1000
    report(
        7,
        f"{ROUNDS * ROUND:,} timeouts over 2 loops: {len(late):,} tasks had ended, p99 {p99:.1f} ms after "
        f"expiry, worst {figures[-1] * 1000:.1f} ms; {unstarted} never started; {still_running} were said to "
        "run still; 0 others did",
    )
    assert running_after == 0
    assert late, "nothing was tested"
    assert still_running, "nothing was tested"
    # Were it not for their deadlines they would run for ever. The figure itself depends on what else the
    # machine does.
    assert p99 < 2000


def test_result_only_stops_waiting(open_pool: OpenPool) -> None:
    """What result(timeout) has waited for in vain runs on, and the error says so (B2)."""
    stage = Stage()
    with open_pool() as pool:
        future = pool.submit(stage.wait)
        until(stage.started)
        with pytest.raises(TimeoutError, match="it runs on"):
            future.result(0.01)
        is_running = future.running()
        stage.released.set()
        value = future.result(PATIENCE)

    report(7, f"result(timeout) ended the waiting, and the task came to {value!r}")
    assert is_running
