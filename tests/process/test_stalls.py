"""Workers whose loop is blocked. Those that are stopped by a signal are item 16 of the scorecard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import DeadlineExceeded, LoopPool, WorkerLost
from tests._gate import PATIENCE
from tests.process import _jobs, _lifespans, _looks

if TYPE_CHECKING:
    from tests.process._gates import Gate

LIMIT = 0.4


def open_pool(loops: int = 1, **options: Any) -> LoopPool:
    """A pool of processes that may be quiet for a moment only."""
    return LoopPool(loops, backend="process", stall_limit=LIMIT, **options)


@pytest.mark.usefixtures("expected_logs")
def test_a_blocked_loop_is_replaced(gate: Gate) -> None:
    """What ran there is lost, within the limit and a second, and the reason is named."""
    with open_pool(2) as pool:
        blocking = pool.options(worker=0).submit(_jobs.sleep_blocking, gate.path, 3 * PATIENCE)
        gate.hear()
        began = time.monotonic()
        waiting = pool.options(worker=0).submit(_looks.where)

        error = blocking.exception(PATIENCE)

        assert time.monotonic() - began < LIMIT + 1.0
        assert isinstance(error, WorkerLost)
        assert "its loop did not answer for 0.4 s, as long as stall_limit= allows" in str(error)
        assert waiting.result(PATIENCE)[:2] == (0, 1)
        assert pool.options(worker=1).call(_looks.where)[:2] == (1, 0)


def test_a_worker_that_waits_is_not_stalled(gate: Gate) -> None:
    """A task that only awaits may do so for longer than the limit, and a worker without one is not asked."""
    with open_pool() as pool:
        pid = pool.call(_jobs.pid)
        future = pool.submit(_jobs.stay, gate.path, "done")
        gate.hear()
        assert not future.wait(2 * LIMIT)
        gate.open()

        assert future.result(PATIENCE) == "done"
        assert pool.call(_jobs.pid) == pid


def test_a_deadline_passes_while_the_loop_is_blocked(gate: Gate) -> None:
    """The caller hears of it in time, and that the task still runs there."""
    with LoopPool(1, backend="process", timeout_grace=0.1) as pool:
        future = pool.options(timeout=0.2).submit(_jobs.block, gate.path)
        gate.hear()

        error = future.exception(PATIENCE)

        assert isinstance(error, DeadlineExceeded)
        assert error.still_running
        gate.open()
        assert pool.call(_jobs.double, 1) == 2


def test_a_lifespan_may_take_longer_than_the_limit() -> None:
    """A worker is not asked before it is up."""
    with open_pool(lifespan=_lifespans.Slow(2 * LIMIT)) as pool:
        assert pool.call(_looks.where)[:2] == (0, 0)
