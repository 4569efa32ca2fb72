"""Workers that are killed at random under load: what is lost, and does anything run twice?"""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Self

import pytest

from polyloop import LoopPool, WorkerLost
from polyloop.ray import Cluster
from tests._gate import PATIENCE
from tests._scorecard import IS_FULL, report
from tests.process import _jobs

if TYPE_CHECKING:
    from pathlib import Path

    from polyloop import Future
    from tests._open_pool import OpenPool

CALLS = 10_000 if IS_FULL else 400
KEYS = 64
LIMIT = 10
WORKERS = 2
# Seconds between two kills.
EVERY = 0.5
CHANCE = random.Random(3)

pytestmark = pytest.mark.backends("process", "ray", why="only a process can be killed")


class Killer:
    """Kills one of the workers that have answered, again and again."""

    def __init__(self) -> None:
        self.killed: set[int] = set()
        self._alive: set[int] = set()
        self._all_there = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def heard(self, future: Future[int]) -> None:
        """A worker has answered: a done-callback."""
        if not future.exception(0) and (pid := future.result(0)) not in self.killed:
            self._alive.add(pid)
            if len(self._alive) == WORKERS:
                self._all_there.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._all_there.set()
        self._thread.join()

    def _kill(self) -> None:
        while True:
            began = time.monotonic()
            self._all_there.wait()
            took = time.monotonic() - began
            # At least three times what a worker takes to come up: who is lost again and again while a machine
            # has time for nothing else is taken for a killer.
            if self._is_over.wait(max(EVERY - took, 2 * took)):
                return
            victim = CHANCE.choice(sorted(self._alive))
            self.killed.add(victim)
            self._alive.discard(victim)
            self._all_there.clear()
            os.kill(victim, signal.SIGKILL)


class Load:
    """Calls with keys, every other one with resubmits=, that write down where they run."""

    def __init__(self, pool: LoopPool, file: Path) -> None:
        views = [pool.options(key=key, resubmits=10 * (key % 2)) for key in range(KEYS)]
        self.futures = [
            views[number % KEYS].submit(_jobs.work, str(file), number, CHANCE.uniform(0, 0.05))
            for number in range(2 * CALLS)
        ]
        self._file = file

    def check(self, dead: set[int], what: str) -> None:
        """Whatever was lost had been sent to a worker that is dead; it ran again if it may.

        Args:
            dead: Processes that were killed.
            what: Was done to the workers.
        """
        errors = [future.exception(10 * PATIENCE) for future in self.futures]
        runs: defaultdict[int, list[int]] = defaultdict(list)
        for line in self._file.read_text().splitlines():
            number, pid = map(int, line.split())
            runs[number].append(pid)
        for number, future in enumerate(self.futures):
            check(future, errors[number], runs[number] or [0], dead | {0})
        for may_repeat in (True, False):
            numbers = range(int(may_repeat), 2 * CALLS, 2)
            lost = [number for number in numbers if errors[number] is not None]
            unseen = sum(not runs[number] for number in lost)
            again = sum(len(runs[number]) > 1 for number in numbers)
            report(
                3,
                f"{CALLS:,} calls with{'' if may_repeat else 'out'} resubmits=, {what}: {len(lost)} lost, "
                f"{unseen} of them just before their first step, {again} ran again, 0 hangs",
            )
            assert not (lost if may_repeat else again)
            assert unseen <= len(dead) * LIMIT


@pytest.mark.usefixtures("expected_logs")
@pytest.mark.timeout(300 if IS_FULL else 60)
def test_only_what_had_started_suffers(open_pool: OpenPool, tmp_path: Path) -> None:
    """With resubmits= nothing is lost; without, what had started is, and nothing runs twice."""
    with open_pool(WORKERS, limit=LIMIT) as pool, Killer() as killer:
        load = Load(pool, tmp_path / "runs")
        for future in load.futures:
            future.add_done_callback(killer.heard)
        concurrent.futures.wait(load.futures)

    assert killer.killed
    load.check(killer.killed, f"{len(killer.killed)} workers killed")


@pytest.mark.usefixtures("backend", "expected_logs")
@pytest.mark.timeout(300 if IS_FULL else 120)
@pytest.mark.backends("ray", why="only a cluster has nodes")
def test_a_node_is_removed(ray_cluster: Any, other_node: Any, tmp_path: Path) -> None:
    """All its workers are gone at once, and have to wait for another node; each call has its outcome."""
    elsewhere = Cluster(num_cpus=1, resources={"other": 1})
    with LoopPool(WORKERS, backend=elsewhere, limit=LIMIT) as pool:
        there = pool.broadcast(_jobs.pid).result(PATIENCE)
        load = Load(pool, tmp_path / "runs")
        assert load.futures[CALLS // 2].wait(PATIENCE)
        ray_cluster.remove_node(other_node)
        node = ray_cluster.add_node(num_cpus=2, resources={"other": 2})
        concurrent.futures.wait(load.futures)
    ray_cluster.remove_node(node)

    load.check(set(there), f"a node with all {WORKERS} workers removed")


def check(future: Future[int], error: BaseException | None, runs: list[int], dead: set[int]) -> None:
    """Each run but the last ended with its worker, and so did the last one of a call that was lost.

    Args:
        future: Of the call.
        error: Its outcome, if it was lost.
        runs: The processes that it ran in; 0 if it was told that it starts, and that did not come to pass.
        dead: Processes that were killed, and 0.
    """
    *earlier, last = runs
    assert dead.issuperset(earlier)
    if error is None:
        assert future.result(0) == last
    else:
        assert isinstance(error, WorkerLost)
        assert error.may_have_run
        assert last in dead
