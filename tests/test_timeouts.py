"""Deadlines: the task is cancelled on its loop, and the caller hears whether it still runs."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from polyloop import DeadlineExceeded, LoopPool, TaskCancelled
from polyloop._batching import MOST_SECONDS
from polyloop._deadline import current_deadline
from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._late_calls import Stall, Stubborn, until_running
from tests._passing_time import let_pass
from tests._shared import Flag, Notes, Tally
from tests._stage import Stage, nothing

if TYPE_CHECKING:
    import logging

    from polyloop import Future
    from tests._open_pool import OpenPool

SOON = 0.02
"""A deadline that has to pass before the test can go on."""


def test_the_task_is_cancelled_at_its_deadline(open_pool: OpenPool) -> None:
    """When the deadline passes the task is cancelled, its clean-up runs, and the caller hears of both."""
    stage = Stage()
    with open_pool(1) as pool:
        future = pool.options(timeout=PATIENCE).submit(stage.stay)
        until_running(future)
        let_pass(pool, PATIENCE)
        with pytest.raises(DeadlineExceeded) as caught:
            future.result(PATIENCE)
        assert stage.cleaned.is_set()

    assert (caught.value.still_running, caught.value.worker, caught.value.timeout) == (False, 0, PATIENCE)
    assert "stay() had a deadline of 20 s" in str(caught.value)
    assert "was cancelled and has ended" in str(caught.value)


def test_a_task_that_ends_in_time_has_its_result(steady_pool: LoopPool) -> None:
    """A deadline that is met changes nothing."""
    view = steady_pool.options(timeout=PATIENCE)

    assert view.call(double, 2) == 4
    assert list(view.map(double, range(3))) == [0, 2, 4]


def test_it_passes_though_the_loop_is_stalled(open_pool: OpenPool, backend: str) -> None:
    """The caller is told in time of a task that blocks its loop, and that it still runs (B9, F1)."""
    stall = Stall()
    with open_pool(1, timeout_grace=SOON) as pool:
        blocker = pool.submit(stall.block)
        stall.begun.block()
        until_running(blocker)
        behind = pool.options(timeout=SOON).submit(double, 1)
        with pytest.raises(DeadlineExceeded) as unstarted:
            behind.result(PATIENCE)
        stall.over.set()
        assert blocker.result(PATIENCE) == "late"

    # What was sent to a node of a cluster may begin before it hears that it must not.
    assert unstarted.value.still_running is (backend == "ray")
    fate = "it may run on polyloop-0" if backend == "ray" else "did not start, and never will"
    assert fate in str(unstarted.value)


def test_what_was_said_never_to_start_never_does(open_pool: OpenPool) -> None:
    """Calls whose deadline passed behind one that blocks their loop do not start when that goes on."""
    first, second, started = Stall(), Stall(), Notes[int]()

    async def start(number: int) -> None:
        started.append(number)

    with open_pool(1, timeout_grace=SOON) as pool:
        blockers = [pool.submit(first.block)]
        first.begun.block()
        view = pool.options(timeout=PATIENCE)
        behind: list[Future[None]] = []
        # Sent at once, and alone: what comes after it arrives together.
        filler = pool.submit(nothing)
        for number in range(10):
            blockers.append(pool.submit(second.block))
            behind.append(view.submit(start, number))
        first.over.set()
        until_running(blockers[1])
        let_pass(pool, PATIENCE)
        let_pass(pool, PATIENCE + 1)
        errors = [future.exception(PATIENCE) for future in behind]
        time.sleep(2 * MOST_SECONDS)  # so long do the shortest of graces and a loop that blocks last, too
        second.over.set()
        for blocker in blockers:
            assert blocker.result(PATIENCE) == "late"
        filler.result(PATIENCE)

    for number, error in enumerate(errors):
        assert isinstance(error, DeadlineExceeded)
        assert error.still_running or number not in started


def test_a_task_that_blocks_its_loop_still_runs(open_pool: OpenPool) -> None:
    """The error of a task that was given up says that it still runs, and what it returns later is dropped."""
    stall = Stall()
    with open_pool(1, timeout_grace=SOON, name="stalled") as pool:
        future = pool.options(timeout=PATIENCE).submit(stall.block)
        until_running(future)
        let_pass(pool, PATIENCE)
        let_pass(pool, PATIENCE + 1)
        with pytest.raises(DeadlineExceeded) as caught:
            future.result(PATIENCE)
        stall.over.set()
        assert pool.call(double, 1) == 2  # that loop goes on

    assert caught.value.still_running
    assert "it still runs on stalled-0" in str(caught.value)


def test_a_call_that_waits_for_its_turn_never_starts(open_pool: OpenPool) -> None:
    """The time in the backlog counts; a call whose deadline passes there is withdrawn."""
    gate = Gate()
    with open_pool(1, limit=1) as pool:
        _ = pool.submit(gate.passage)
        gate.wait_started()
        waiting = pool.options(timeout=SOON).submit(gate.passage)
        with pytest.raises(DeadlineExceeded, match="did not start") as caught:
            waiting.result(PATIENCE)
        gate.open()

    assert gate.entered == 1
    assert caught.value.worker is None


def test_a_task_that_swallows_its_cancellation_delivers_its_result(open_pool: OpenPool) -> None:
    """A task that ends within the grace, with a value after all, delivers that (P3)."""
    stubborn = Stubborn()
    with open_pool(1, timeout_grace=PATIENCE) as pool:
        future = stubborn.reach_deadline(pool)
        stubborn.gate.open()

        assert future.result(PATIENCE) == "late"


def test_an_error_of_the_clean_up_is_the_outcome(open_pool: OpenPool) -> None:
    """A task that fails while it cleans up at its deadline fails with that."""
    stubborn = Stubborn(LookupError("while cleaning up"))
    with open_pool(1, timeout_grace=PATIENCE) as pool:
        future = stubborn.reach_deadline(pool)
        stubborn.gate.open()
        with pytest.raises(LookupError, match="while cleaning up"):
            future.result(PATIENCE)


def test_an_error_after_it_was_given_up_is_logged(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """What goes wrong in a task that nobody waits for any more is not silent (P11)."""
    stubborn = Stubborn(LookupError("too late for anybody"))
    with open_pool(1, timeout_grace=SOON) as pool:
        future = stubborn.reach_deadline(pool)
        let_pass(pool, PATIENCE + 1)
        with pytest.raises(DeadlineExceeded):
            future.result(PATIENCE)
        stubborn.gate.open()

    [record] = expected_logs
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_a_task_that_was_cancelled_before_is_not_cancelled_again(open_pool: OpenPool) -> None:
    """A deadline that passes while a cancelled task cleans up does not tear that down."""
    gate, cancellations = Gate(), Tally()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancellations.add()
            await gate.passage()
            raise

    with open_pool(1, timeout_grace=PATIENCE) as pool:
        future = pool.options(timeout=PATIENCE).submit(work)
        until_running(future)
        future.cancel()
        gate.wait_started()
        let_pass(pool, PATIENCE)
        gate.open()
        with pytest.raises(TaskCancelled):
            future.result(PATIENCE)

    assert cancellations.count() == 1


@pytest.mark.backends("thread", why="elsewhere the deadline stays with the pool, and no call can look at it")
def test_each_call_of_a_view_has_a_deadline_of_its_own(open_pool: OpenPool) -> None:
    """The time begins with each call, and in a map with the pulling of each item."""

    async def deadline(_: object = None) -> float:
        own = current_deadline.get()
        assert own is not None
        return own.when

    with open_pool(1) as pool:
        view = pool.options(timeout=PATIENCE)
        deadlines = [view.call(deadline), view.call(deadline), *view.map(deadline, range(3), window=1)]

    assert deadlines == sorted(set(deadlines))


def test_an_item_that_is_late_is_an_error_in_its_place(steady_pool: LoopPool) -> None:
    """With errors="return" a map goes on behind an item whose deadline passed."""
    begun, ended = Flag(), Flag()

    async def perhaps(number: int) -> int:
        if number == 1:
            begun.set()
            await asyncio.Event().wait()
        if number == 2:
            ended.set()
        return number

    def pass_time() -> None:
        begun.block()
        ended.block()
        let_pass(steady_pool, PATIENCE)

    passing = threading.Thread(target=pass_time)
    passing.start()
    results = list(steady_pool.options(timeout=PATIENCE).map(perhaps, range(3), errors="return"))
    passing.join()

    assert results[::2] == [0, 2]
    assert isinstance(results[1], DeadlineExceeded)


def test_the_caller_s_own_cancellation_wins(open_pool: OpenPool) -> None:
    """Who is cancelled while a deadline passes is cancelled, and hears nothing of the deadline."""
    stubborn = Stubborn()

    async def main(pool: LoopPool) -> None:
        call = asyncio.create_task(pool.options(timeout=PATIENCE).run(stubborn.go_on))
        await stubborn.begun.wait()
        await pool.broadcast(nothing)  # by then the pool has heard of it
        let_pass(pool, PATIENCE)
        await asyncio.to_thread(stubborn.gate.wait_started)
        call.cancel()
        let_pass(pool, PATIENCE + 1)
        with pytest.raises(asyncio.CancelledError):
            await call
        stubborn.gate.open()

    with open_pool(1, timeout_grace=SOON) as pool:
        asyncio.run(main(pool))


def test_ten_thousand_deadlines_that_are_met_leave_nothing(steady_pool: LoopPool) -> None:
    """Calls that ended long before their deadlines are not kept until then."""
    view = steady_pool.options(timeout=1e6)
    for _ in range(3):
        list(view.map(double, range(4_000)))
    deadlines = steady_pool._dispatch.deadlines
    kept = len(deadlines.live) + len(deadlines._heap) + len(deadlines._arrivals)

    assert kept < 9_000
