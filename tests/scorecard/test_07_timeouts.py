"""The scorecard's item about timeouts: does the task end with the waiting for it?"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded, Future, LoopPool
from tests._gate import PATIENCE
from tests._scorecard import IS_FULL, report
from tests._stage import Stage, nothing, until
from tests.scorecard._late_calls import LateCalls

if TYPE_CHECKING:
    from tests._open_pool import OpenPool

ROUND = 50
CHANCE = random.Random(7)
# Seconds. What takes no notice of its deadline does so until it has been given up.
GRACE = 0.05


class Round:
    """Calls that do not end in time: most end when cancelled, some swallow that, one may block its loop."""

    def __init__(self, *, blocks: bool, longest: float) -> None:
        self._longest = longest
        self._calls = LateCalls()
        self.due: dict[int, float] = {}
        self._futures: dict[int, Future[None]] = {}
        self._kinds = [
            self._calls.swallow if CHANCE.random() < 0.1 else self._calls.obey for _ in range(ROUND)
        ]
        if blocks:
            self._kinds[CHANCE.randrange(ROUND)] = self._calls.block

    @property
    def started(self) -> set[int]:
        """Those that have started."""
        return set(self._calls.started)

    @property
    def ended_at(self) -> dict[int, float]:
        """When those ended that have."""
        return dict(self._calls.ended)

    def submit(self, pool: LoopPool) -> None:
        """Hand all of them in, each with a deadline of its own."""
        for number, kind in enumerate(self._kinds):
            timeout = CHANCE.uniform(0.005, self._longest)
            self.due[number] = time.monotonic() + timeout
            self._futures[number] = pool.options(timeout=timeout).submit(kind, number)

    def errors(self) -> dict[int, DeadlineExceeded]:
        """What the callers get; those that still run may end after that."""
        errors: dict[int, DeadlineExceeded] = {}
        for number, future in self._futures.items():
            error = future.exception(PATIENCE)
            assert isinstance(error, DeadlineExceeded)
            errors[number] = error
            # What says that it has ended had ended before anybody was told, or never starts.
            running = number in self.started and number not in self.ended_at
            assert error.still_running or not running, error
        self._calls.released.set()
        self._calls.gate.open()
        return errors


def test_tasks_end_at_their_deadlines(open_pool: OpenPool, backend: str) -> None:
    """A task has ended soon after its deadline, or the error says that it still runs."""
    # Elsewhere a call takes longer to begin, and here most of them are to have begun.
    longest = 0.03 if backend == "thread" else 0.2
    rounds = 40 if IS_FULL else 20 if backend == "thread" else 8
    # Until the word that a task has begun is here, its error says that it may run; a cluster takes its time.
    grace = 10 * GRACE if backend == "ray" else GRACE
    late: list[float] = []
    still_running = unstarted = 0
    with open_pool(2, timeout_grace=grace) as pool:
        for number in range(rounds):
            round_ = Round(blocks=number % 4 == 0, longest=longest)
            round_.submit(pool)
            errors = round_.errors()
            ended_in_time = [each for each, error in errors.items() if not error.still_running]
            still_running += len(errors) - len(ended_in_time)
            started = round_.started.intersection(ended_in_time)
            unstarted += len(ended_in_time) - len(started)
            ended_at = round_.ended_at
            late += [ended_at[each] - round_.due[each] for each in started]
            pool.broadcast(nothing).result(PATIENCE)  # the loop that was blocked goes on
    running_after = pool.statistics().in_flight

    figures = sorted(late)
    p99 = figures[int(len(figures) * 0.99)] * 1000
    report(
        7,
        f"{rounds * ROUND:,} timeouts over 2 loops: {len(late):,} tasks had ended, p99 {p99:.1f} ms after "
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
        pool.broadcast(nothing).result(PATIENCE)  # by now the pool has heard of the start
        is_running = future.running()
        stage.released.set()
        value = future.result(PATIENCE)

    report(7, f"result(timeout) ended the waiting, and the task came to {value!r}")
    assert is_running
