"""The program whose loops are Ray actors is killed: when are they gone, and what else has it started?

How long that takes is for Ray to say, which ends its actors itself, so nothing here sets a limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests._open_pool import ON_RAY
from tests._processes import Program
from tests._scorecard import IS_FULL, report
from tests.process._gates import Gate
from tests.process._watch import ends_within

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3 if IS_FULL else 1

PROGRAM = """
import sys
from polyloop import LoopPool
from polyloop.ray import Cluster
from tests.process import _jobs

address, gate = sys.argv[1:]
jobs = [_jobs.stay, _jobs.block_for_ever, _jobs.spin_for_ever, _jobs.swallow]
with LoopPool(len(jobs), backend=Cluster(address=address, num_cpus=0.1)) as pool:
    futures = [pool.options(worker=index).submit(job, gate) for index, job in enumerate(jobs)]
    print("open", flush=True)
    futures[0].result()
"""
WORKERS = 4

CLUSTER = """
import ray, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""

# Ray takes its time to start, and its last processes look once a minute whether they are still of use.
SLOW = 150.0

pytestmark = [
    pytest.mark.skipif(not ON_RAY, reason="Ray is installed for `make test-ray` only"),
    pytest.mark.timeout(ROUNDS * SLOW),
]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Where calls say in which process they are."""
    with Gate(tmp_path / "gate") as gate:
        yield gate


def test_a_cluster_that_stays_ends_the_workers_of_a_program(gate: Gate) -> None:
    """Whatever they do just then; Ray hears at once that the program has gone."""
    seconds: list[float] = []
    for _ in range(ROUNDS):
        with Program(CLUSTER) as cluster:
            address = cluster.wait_for_line()
            with started(address, gate) as (program, workers), sure_to_end(descendants_of(cluster.pid)):
                program.kill()
                seconds.append(until_gone(workers))

    report(
        11,
        f"program killed {ROUNDS} x, its cluster stays: {ROUNDS * WORKERS} workers that wait, block, compute "
        f"or swallow cancellation gone within {max(seconds):.2f} s",
        backend="ray",
    )


def test_a_cluster_of_the_programs_own_ends_with_it(gate: Gate) -> None:
    """All that Ray has started here, though some of it is not in a hurry."""
    seconds: list[float] = []
    last: list[float] = []
    for _ in range(ROUNDS):
        with started("local", gate) as (program, workers), sure_to_end(descendants_of(program.pid)) as family:
            assert set(workers) < set(family)
            program.kill()
            seconds.append(until_gone(workers))
            if IS_FULL:
                last.append(seconds[-1] + until_gone(family))

    rest = f", Ray's own processes within {max(last):.0f} s" if IS_FULL else ""
    report(
        11,
        f"program killed {ROUNDS} x, which had a cluster of its own: {ROUNDS * WORKERS} workers that wait, "
        f"block, compute or swallow cancellation gone within {max(seconds):.2f} s{rest}",
        backend="ray",
    )


@contextlib.contextmanager
def started(address: str, gate: Gate) -> Iterator[tuple[Program, list[int]]]:
    """A program with a pool on the cluster, when all its calls run: it, and their processes."""
    with Program(PROGRAM, address, gate.path) as program:
        assert program.wait_for_line() == "open"
        yield program, [gate.hear_pid() for _ in range(WORKERS)]


def until_gone(pids: list[int]) -> float:
    """Wait for the end of all; returns how many seconds that took."""
    began = time.monotonic()
    for pid in pids:
        assert ends_within(pid, SLOW), f"process {pid} lives on"
    return time.monotonic() - began


@contextlib.contextmanager
def sure_to_end(pids: list[int]) -> Iterator[list[int]]:
    """Processes that do not outlive the test, even if Ray forgets about them."""
    try:
        yield pids
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            assert ends_within(pid, SLOW)


def descendants_of(pid: int) -> list[int]:
    """The processes that this one has started, those that they have started, and so on."""
    children = [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]
    return [*children, *(further for child in children for further in descendants_of(child))]
