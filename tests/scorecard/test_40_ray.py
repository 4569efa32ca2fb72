"""Loops on a Ray cluster: a worker is killed, calls are cancelled, time out, or cannot be pickled.

Several of these have items of their own, which run on Ray as on other backends.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import DeadlineExceeded, WorkerLost
from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._scorecard import report
from tests._stage import Stage
from tests.process import _gates, _jobs, _misfits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from polyloop import Future
    from tests._open_pool import OpenPool

CALLS = 50
WAITING = 200
TIMEOUT, TIMEOUT_GRACE = 0.5, 0.2
# Until a worker has come up on a machine with two cores.
STARTING = 60.0

pytestmark = pytest.mark.backends("ray", why="it is the item of Ray")


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("expected_logs")
def test_a_worker_is_killed(open_pool: OpenPool) -> None:
    """What runs there is lost, and says that it may have run; the rest has its value, on other workers."""
    gate = Gate()
    with open_pool(2, limit=CALLS) as pool:
        victim, _ = pool.broadcast(_jobs.pid).result(PATIENCE)
        views = [pool.options(worker=index) for index in range(2)]
        there, elsewhere = ([view.submit(gate.passage, number) for number in range(CALLS)] for view in views)
        gate.wait_started(2 * CALLS)
        waiting = [pool.submit(double, number) for number in range(WAITING)]
        os.kill(victim, signal.SIGKILL)
        errors = [future.exception(PATIENCE) for future in there]
        gate.open()
        well = sum(future.result(PATIENCE) == number for number, future in enumerate(elsewhere))
        moved = sum(future.result(STARTING) == 2 * number for number, future in enumerate(waiting))

    lost = sum(isinstance(error, WorkerLost) and error.may_have_run for error in errors)
    report(
        40,
        f"a worker killed: {lost} of {CALLS} calls that ran there were lost and may have run, {well} of "
        f"{CALLS} beside it and {moved} of {WAITING} that waited have their values",
    )
    assert (lost, well, moved) == (CALLS, CALLS, WAITING)


def test_calls_are_cancelled(open_pool: OpenPool, tmp_path: Path) -> None:
    """Those that ran have cleaned up by then; one that was sent may begin before its worker hears of it."""
    file = tmp_path / "runs"
    with _gates.Gate(tmp_path / "gate") as gate, open_pool(2) as pool:
        running = [pool.submit(_jobs.clean_up, gate.path, str(file), number) for number in range(CALLS)]
        for _ in running:
            gate.hear()
        clean: list[bool] = []
        for number, future in enumerate(running):
            future.add_done_callback(functools.partial(note_whether, clean, file, number))
            future.cancel()
        wait_for(running)
        view = pool.options(worker=0)
        blocker = view.submit(_jobs.block, gate.path)
        gate.hear()
        behind = [view.submit(_jobs.note, str(file), CALLS + number) for number in range(CALLS)]
        for called_off in behind:
            called_off.cancel()
        gate.open()
        assert blocker.result(PATIENCE) == "late"
        wait_for(behind)

    begun = written(file) - set(range(CALLS))
    report(
        40,
        f"calls cancelled: {sum(clean)} of {CALLS} that ran had cleaned up by then; behind one that blocks "
        f"{len(begun)} of {CALLS} began before the word was there, and have their results",
    )
    assert all(future.cancelled() for future in running)
    assert sum(clean) == CALLS
    for number, called_off in enumerate(behind, CALLS):
        assert called_off.cancelled() is (number not in begun)


def test_calls_time_out(open_pool: OpenPool) -> None:
    """The error says whether the call still runs: not if it obeys, yes if it does not, or blocks its loop."""
    stages = [Stage() for _ in range(3)]
    jobs = [Stage.stay, Stage.swallow, Stage.block]
    with open_pool(3, timeout_grace=TIMEOUT_GRACE) as pool:
        pool.broadcast(_jobs.pid).result(PATIENCE)
        began = time.monotonic()
        futures = [
            pool.options(worker=index, timeout=TIMEOUT).submit(job, stage)
            for index, (job, stage) in enumerate(zip(jobs, stages, strict=True))
        ]
        errors = [future.exception(PATIENCE) for future in futures]
        late = time.monotonic() - began - TIMEOUT
        for stage in stages:
            stage.released.set()

    is_running = [isinstance(error, DeadlineExceeded) and error.still_running for error in errors]
    report(
        40,
        "calls that obey, swallow cancellation or block their loop, with a timeout: the errors came within "
        f"{late:.2f} s after it, with a grace of {TIMEOUT_GRACE:g} s; the last two were said to run still",
    )
    assert is_running == [False, True, True]


def test_calls_cannot_be_pickled(open_pool: OpenPool) -> None:
    """An argument is refused when it is handed in; a result is its own call's error, and nobody else's."""
    gate = Gate()
    with open_pool(1) as pool:
        bystanders = [pool.submit(gate.passage, number) for number in range(CALLS)]
        gate.wait_started(CALLS)
        with pytest.raises(TypeError, match="cannot be sent"):
            pool.call(_jobs.echo, _misfits.lock())
        error = pool.submit(_jobs.call_it, _misfits.lock).exception(PATIENCE)
        gate.open()
        well = sum(future.result(PATIENCE) == number for number, future in enumerate(bystanders))
        replaced = pool.statistics().workers[0].generation

    report(
        40,
        "an argument and a result that cannot be pickled: both callers told, "
        f"{well} of {CALLS} bystanders well, {replaced} workers replaced",
    )
    assert isinstance(error, TypeError)
    assert (well, replaced) == (CALLS, 0)


def wait_for(futures: Iterable[Future[Any]]) -> None:
    """Wait until all have their outcomes."""
    for future in futures:
        assert future.wait(PATIENCE)


def note_whether(clean: list[bool], file: Path, number: int, _: object) -> None:
    """Note whether a call has cleaned up."""
    clean.append(number in written(file))


def written(file: Path) -> set[int]:
    """The numbers of the calls that have written it down."""
    return {int(line) for line in file.read_text().splitlines()}
