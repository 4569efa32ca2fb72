"""The ways to hand in a call, with workers in processes: they are those of every pool."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool
from tests._gate import PATIENCE
from tests.process import _jobs, _looks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.process._gates import Gate


def test_calls_run_in_other_processes(pool: LoopPool) -> None:
    """Each worker is a process of its own, and none is this one."""
    pids = pool.broadcast(_jobs.pid).result(PATIENCE)

    assert len({*pids, os.getpid()}) == 3


def test_every_way_to_await_works(pool: LoopPool) -> None:
    """A future, run, map and a task group are awaited on a loop of this process."""

    async def main() -> None:
        assert await pool.submit(_jobs.double, 1) == 2
        assert await pool.run(_jobs.add, 1, other=2) == 3
        assert await pool.map(_jobs.double, range(10)) == [2 * n for n in range(10)]
        assert await asyncio.gather(*(pool.run(_jobs.double, n) for n in range(500))) == [
            2 * n for n in range(500)
        ]
        async with pool.task_group() as group:
            children = [group.create_task(_jobs.double, n) for n in range(5)]
        assert [child.result() for child in children] == [0, 2, 4, 6, 8]

    asyncio.run(main())


def test_plain_functions_run_beside_the_loops(pool: LoopPool) -> None:
    """run_sync and the executor run plain functions in threads of the workers' processes."""

    async def main() -> int:
        return await pool.run_sync(os.getpid)

    workers = set(pool.broadcast(_jobs.pid).result(PATIENCE))
    assert asyncio.run(main()) in workers
    with pool.executor() as executor:
        assert executor.submit(os.getpid).result(PATIENCE) in workers
        assert executor.submit(_looks.thread_name).result(PATIENCE).startswith("polyloop")
        assert executor.submit(_jobs.double, 3).result(PATIENCE) == 6
        assert list(executor.map(abs, [-1, -2])) == [1, 2]


def test_an_executor_that_is_shut_down_leaves_what_has_begun(pool: LoopPool, gate: Gate) -> None:
    """shutdown(cancel_futures=True) does not ask a plain function to stop that runs already."""
    executor = pool.executor()
    future = executor.submit(_jobs.stay_beside, gate.path)
    gate.hear()
    pool.broadcast(_jobs.pid).result(PATIENCE)  # by now the pool has been told that it began

    executor.shutdown(wait=False, cancel_futures=True)
    pool.broadcast(_jobs.pid).result(PATIENCE)  # what was sent before that has arrived
    gate.open()

    assert future.result(PATIENCE) == "never asked to stop"


def test_a_budget_is_shared_among_processes(pool: LoopPool) -> None:
    """The parts that share() gives the loops add up to all of it."""
    assert pool.broadcast(_looks.count_shares, 41).result(PATIENCE) == [21, 20]


def test_loop_locals_are_opened_once_in_each_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand calls share the value of their process, which is closed when the worker leaves."""
    file = tmp_path / "clients"
    monkeypatch.setenv("POLYLOOP_TEST_CLIENTS", str(file))

    with LoopPool(2, backend="process") as pool:
        clients = list(pool.map(_jobs.ask_client, range(1000)))
        pool.broadcast(_jobs.ask_client).result(PATIENCE)
        assert sorted(file.read_text().split("\n")) == ["", "open 0", "open 1"]

    assert set(clients) <= {"client 0", "client 1"}
    assert sorted(file.read_text().split("\n")) == ["", "close 0", "close 1", "open 0", "open 1"]


def test_statistics_are_exact_at_rest(gate: Gate) -> None:
    """What ended, failed and was cancelled is counted here, as soon as its future is done."""
    with LoopPool(2, backend="process") as pool:
        pool.map(_jobs.double, range(100)).__enter__().stop()
        list(pool.map(_jobs.double, range(100)))
        before = pool.statistics()
        named = pool.options(name="named")
        futures = [named.submit(_jobs.raise_new, LookupError) for _ in range(5)]
        for failing in futures:
            assert isinstance(failing.exception(PATIENCE), LookupError)
        held = [pool.submit(_jobs.stay, gate.path) for _ in range(6)]
        for _ in held:
            gate.hear()
        assert pool.statistics().in_flight == 6
        assert [future.cancel() for future in held[:4]] == [True] * 4
        gate.open()
        for future in held:
            future.wait(PATIENCE)
        after = pool.statistics()

    assert after.ended - before.ended == 11
    assert after.failed == 5
    assert after.cancelled == sum(future.cancelled() for future in held) == 4
    assert after.named == {"named": 5}
    assert (after.in_flight, after.backlog) == (0, 0)
    assert 0 <= after.workers[0].lag < PATIENCE
