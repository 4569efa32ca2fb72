"""A worker that is stopped under load: how much is sent to it, what do the others do, and what runs twice?"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Self

import pytest

from polyloop import WorkerLost
from polyloop._underway import CREDIT_BYTES
from tests._gate import PATIENCE, Gate
from tests._scorecard import IS_FULL, report
from tests.process import _jobs, _looks
from tests.process._watch import ends_within

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from polyloop import Future, LoopPool
    from tests._open_pool import OpenPool

SECONDS = 10.0 if IS_FULL else 1.0
STALL_LIMIT = 0.5
# Calls a second: so few that no machine is busy with them. The others have to take over what is not done.
RATE = 300
DATA = bytes(20_000)

pytestmark = pytest.mark.backends("process", "ray", why="only a process can be stopped")


class Seen(NamedTuple):
    """How many calls there were in some time: handed in, ended, and ended in certain processes."""

    submitted: int
    ended: int
    ended_there: int


def kept_up(before: Seen, during: Seen) -> float:
    """Which part of their throughput these kept up: of what is handed in, whatever the machine's speed."""
    return (during.ended_there / during.submitted) / (before.ended_there / before.ended)


class Load:
    """Hands in calls at a constant rate, and notes when each has ended, and in which process."""

    def __init__(self, pool: LoopPool, file: Path) -> None:
        self.futures: list[Future[int]] = []
        self.ends: list[int] = []
        self._pool = pool
        self._file = str(file)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._feed)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _feed(self) -> None:
        began = time.monotonic()
        while not self._is_over.wait(0.005):
            while len(self.futures) < (time.monotonic() - began) * RATE:
                future = self._pool.submit(_jobs.work, self._file, len(self.futures), 0.005, DATA)
                future.add_done_callback(self._note)
                self.futures.append(future)

    def _note(self, future: Future[int]) -> None:
        if future.exception(0) is None:
            self.ends.append(future.result(0))

    def watch(self, pids: Collection[int], seconds: float) -> Seen:
        """Look at what happens for so long from now."""
        submitted, ended = len(self.futures), len(self.ends)
        time.sleep(seconds)
        ends = self.ends[ended:]
        return Seen(len(self.futures) - submitted, len(ends), sum(pid in pids for pid in ends))


def runs_of(file: Path) -> Counter[int]:
    """How often each call has run."""
    return Counter(int(line.split()[0]) for line in file.read_text().splitlines())


@pytest.mark.timeout(120)
def test_a_worker_that_is_stopped_and_goes_on(open_pool: OpenPool, tmp_path: Path) -> None:
    """It is sent no more than its credit, the others work on, and nothing is lost or comes twice."""
    file = tmp_path / "runs"
    with open_pool(3) as pool, Load(pool, file) as load:
        victim, *others = pool.broadcast(_jobs.pid).result(PATIENCE)
        before = load.watch(others, SECONDS)
        os.kill(victim, signal.SIGSTOP)
        try:
            pinned = [pool.options(worker=0).submit(_jobs.length, DATA) for _ in range(1000)]
            during = load.watch(others, SECONDS)
            sent = pool.statistics().workers[0].in_flight * len(DATA)
        finally:
            os.kill(victim, signal.SIGCONT)
        assert {future.result(PATIENCE) for future in pinned} == {len(DATA)}
    assert {future.result(PATIENCE) in {victim, *others} for future in load.futures} == {True}

    ran = runs_of(file)
    report(
        16,
        f"one of 3 workers stopped for {SECONDS:g} s: {sent / 2**20:.1f} MiB sent to it, "
        f"{kept_up(before, during):.0%} of the others' throughput, "
        f"{len(load.futures) - len(ran)} calls lost and {sum(ran.values()) - len(ran)} run twice",
    )
    assert sent <= CREDIT_BYTES + 2 * len(DATA)
    assert kept_up(before, during) >= 0.8
    assert ran == Counter(range(len(load.futures)))
    assert len(load.ends) == len(load.futures)


def until_gone(began: float, pid: int) -> float:
    """Seconds from then to the end of a process."""
    assert ends_within(pid, PATIENCE)
    return time.monotonic() - began


@pytest.mark.usefixtures("expected_logs")
def test_a_worker_that_is_stopped_for_ever(open_pool: OpenPool, backend: str, tmp_path: Path) -> None:
    """With stall_limit= it is replaced; what had started there is lost, and does nothing more."""
    file = tmp_path / "runs"
    gate = Gate()
    with open_pool(3, stall_limit=STALL_LIMIT) as pool, Load(pool, file) as load:
        victim, *others = pool.broadcast(_jobs.pid).result(PATIENCE)
        started = pool.options(worker=0).submit(gate.passage)
        gate.wait_started()
        before = load.watch(others, SECONDS)
        os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()
        # On Ray it may have run there, for all that was sent may have.
        next_one = pool.options(worker=0, resubmits=1).submit(_looks.pid_and_delay)
        during = load.watch(others, STALL_LIMIT)
        assert isinstance(started.exception(PATIENCE), WorkerLost)
        told = time.monotonic() - began
        replacement, delay = next_one.result(PATIENCE)
        assert replacement != victim
        replaced = time.monotonic() - began - delay
        gone = until_gone(began, victim)

    lost = sum(isinstance(future.exception(PATIENCE), WorkerLost) for future in load.futures)
    ran = runs_of(file)
    report(
        16,
        f"one of 3 workers stopped for ever, stall_limit={STALL_LIMIT:g}: given up after {told:.2f} s, its "
        f"replacement works after {replaced:.2f} s, {kept_up(before, during):.0%} of the others' throughput, "
        f"{1 + lost} calls lost that had started, {sum(ran.values()) - len(ran)} run twice",
    )
    report(16, f"a stopped process that was given up: gone {gone:.2f} s after it was stopped")
    # On a machine that is busy with other things a process takes its time to start, and an actor always.
    assert (replaced if IS_FULL and backend == "process" else told) <= STALL_LIMIT + 1.0
    assert kept_up(before, during) >= 0.8
    assert (max(ran.values()), len(load.ends)) == (1, len(load.futures) - lost)
