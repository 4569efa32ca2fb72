"""Cancelling at any moment, many deadlines, and submitting while the pool closes: items 6, 7 and 1."""

from __future__ import annotations

import asyncio
import functools
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import DeadlineExceeded, Future, LoopPool, MapStream, TaskCancelled
from tests._gate import PATIENCE
from tests.process import _jobs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.process._gates import Gate

TASKS = 2000
BATCH = 50
CHANCE = random.Random(6)


def test_nothing_that_was_done_is_called_cancelled(tmp_path: Path) -> None:
    """Cancelled means that nothing was committed; what was committed has its result."""
    started, committed = tmp_path / "started", tmp_path / "committed"
    futures: list[Future[int]] = []
    too_early: list[int] = []  # known to be cancelled by then
    with LoopPool(2, backend="process", limit=20) as pool:
        for first in range(0, TASKS, BATCH):
            batch = [
                pool.submit(_jobs.commit, str(started), str(committed), n, CHANCE.randrange(4))
                for n in range(first, first + BATCH)
            ]
            helper = threading.Thread(target=cancel_all, args=(CHANCE.sample(batch, BATCH // 2),))
            helper.start()
            cancel_all(CHANCE.sample(batch, BATCH // 2))
            helper.join(PATIENCE)
            begun = numbers(started)
            too_early += [n for n, future in enumerate(batch, first) if future.cancelled() and n not in begun]
            futures += batch
            CHANCE.choice(batch).wait(PATIENCE)

    cancelled = {n for n, future in enumerate(futures) if future.cancelled()}
    assert not cancelled & numbers(committed)
    assert not set(too_early) & numbers(started)
    assert all(future.result(0) == n for n, future in enumerate(futures) if n not in cancelled)
    assert 0 < len(cancelled) < TASKS, "the moments were not random: nothing was tested"
    assert cancelled & numbers(started), "nothing was cancelled in the middle"


def cancel_all(futures: list[Future[int]]) -> None:
    """Cancel them, one after the other."""
    for future in futures:
        future.cancel()


def numbers(file: Path) -> set[int]:
    """What has been written down."""
    return set(map(int, file.read_text().split())) if file.exists() else set()


def test_what_was_cancelled_before_it_started_never_starts(gate: Gate, tmp_path: Path) -> None:
    """Neither what waits in the pool nor what was sent and waits in the worker."""
    file = tmp_path / "runs"
    with LoopPool(1, backend="process", limit=50) as pool:
        blocking = pool.submit(_jobs.block, gate.path)
        gate.hear()
        futures = [pool.submit(_jobs.note, str(file), n) for n in range(100)]
        for future in futures[::2]:
            assert future.cancel()
        gate.open()

        assert blocking.result(PATIENCE) == "late"
        for future in futures:
            assert future.wait(PATIENCE)

    assert [future.cancelled() for future in futures] == [True, False] * 50
    assert file.read_text().split() == [str(n) for n in range(1, 100, 2)]


def test_a_cancelled_task_has_cleaned_up(pool: LoopPool, gate: Gate, tmp_path: Path) -> None:
    """cancelled() is true only when its finally has run in the other process; waiting for it raises."""
    file = tmp_path / "cleaned"
    future = pool.submit(_jobs.clean_up, gate.path, str(file), "x")
    gate.hear()

    assert future.cancel()
    with pytest.raises(TaskCancelled):
        future.result(PATIENCE)

    assert file.read_text() == "x\n"


def test_cancelling_the_caller_waits_for_the_task(pool: LoopPool, gate: Gate, tmp_path: Path) -> None:
    """run() that is cancelled returns when the task has ended in its process."""
    file = tmp_path / "cleaned"

    async def main() -> None:
        caller = asyncio.create_task(pool.run(_jobs.clean_up, gate.path, str(file), "x"))
        await asyncio.to_thread(gate.hear)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(main())
    assert file.read_text() == "x\n"


def test_a_result_that_came_first_is_delivered(pool: LoopPool, gate: Gate) -> None:
    """A task that returns in spite of its cancellation is not cancelled."""
    future = pool.submit(_jobs.forget_cancel, gate.path)
    gate.hear()
    future.cancel()

    assert future.result(PATIENCE) == "finished all the same"
    assert not future.cancelled()


def test_leaving_a_map_cancels_what_runs(pool: LoopPool, gate: Gate, tmp_path: Path) -> None:
    """When the block is left, every item's task has ended in its process."""
    file = tmp_path / "cleaned"

    async def main() -> None:
        items = [(gate.path, str(file), n) for n in range(20)]
        async with pool.starmap(_jobs.clean_up, items, window=10) as stream:
            first = asyncio.create_task(first_of(stream))
            for _ in range(10):
                await asyncio.to_thread(gate.hear)
            first.cancel()

    asyncio.run(main())
    assert len(numbers(file)) == 10


async def first_of(stream: MapStream[Any, Any]) -> None:
    """Wait for the first result."""
    async for _ in stream:
        return


def test_deadlines_leave_nothing_running(tmp_path: Path, gate: Gate) -> None:
    """Of 500 calls whose deadline passes none runs on, and each one's caller hears of it soon."""
    file = tmp_path / "ended"
    late: list[float] = []
    with LoopPool(2, backend="process") as pool:
        assert pool.call(_jobs.double, 1) == 2
        for _ in range(5):
            futures: list[Future[None]] = []
            for n in range(100):
                due = time.monotonic() + 0.05
                future = pool.options(timeout=0.05).submit(_jobs.tell_end, str(file), n)
                future.add_done_callback(functools.partial(note_late, late, due))
                futures.append(future)
            errors = [future.exception(PATIENCE) for future in futures]
            assert {type(error) for error in errors} == {DeadlineExceeded}
            assert not any(error.still_running for error in errors if isinstance(error, DeadlineExceeded))
        assert pool.statistics().in_flight == 0

    assert len(file.read_text().split()) <= 500
    assert len(late) == 500
    assert min(late) >= 0


def note_late(late: list[float], due: float, _: object) -> None:
    """Note how late it is."""
    late.append(time.monotonic() - due)
