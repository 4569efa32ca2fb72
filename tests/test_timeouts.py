"""Deadlines: the task is cancelled on its loop, and the caller hears whether it still runs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from polyloop import DeadlineExceeded, LoopPool
from polyloop._deadline import current_deadline
from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._passing_time import let_pass

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tests._open_pool import OpenPool

SOON = 0.02
"""A deadline that has to pass before the test can go on."""


class Stall:
    """A call that blocks its loop until it is told not to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()

    async def block(self) -> str:
        """Block the loop."""
        self.begun.set()
        assert self.over.wait(PATIENCE)
        return "late"


class Stubborn:
    """A call that takes no notice of being cancelled until it is told to end."""

    def __init__(self, outcome: Callable[[], str] = lambda: "late") -> None:
        self.begun = threading.Event()
        self.gate = Gate()
        self.outcome = outcome

    async def go_on(self) -> str:
        """Go on."""
        try:
            self.begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.gate.passage()
        return self.outcome()

    def reach_deadline(self, pool: LoopPool) -> polyloop.Future[str]:
        """Have it run in `pool` until it is cancelled at its deadline, and goes on."""
        future = pool.options(timeout=PATIENCE).submit(self.go_on)
        assert self.begun.wait(PATIENCE)
        let_pass(pool, PATIENCE)
        self.gate.wait_started()
        return future


def test_the_task_is_cancelled_at_its_deadline(open_pool: OpenPool) -> None:
    """When the deadline passes the task is cancelled, its clean-up runs, and the caller hears of both."""
    begun = threading.Event()
    cleaned: list[str] = []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append(threading.current_thread().name)

    with open_pool(1, name="timed") as pool:
        future = pool.options(timeout=PATIENCE).submit(work)
        assert begun.wait(PATIENCE)
        let_pass(pool, PATIENCE)
        with pytest.raises(DeadlineExceeded) as caught:
            future.result(PATIENCE)

    assert cleaned == ["timed-0"]
    assert (caught.value.still_running, caught.value.worker, caught.value.timeout) == (False, 0, PATIENCE)
    assert "work() had a deadline of 20 s" in str(caught.value)
    assert "was cancelled and has ended" in str(caught.value)


def test_a_task_that_ends_in_time_has_its_result(open_pool: OpenPool) -> None:
    """A deadline that is met changes nothing."""
    with open_pool() as pool:
        view = pool.options(timeout=PATIENCE)
        assert view.call(double, 2) == 4
        assert list(view.map(double, range(3))) == [0, 2, 4]


def test_it_passes_though_the_loop_is_stalled(open_pool: OpenPool) -> None:
    """The caller is told in time of a task that blocks its loop, and that it still runs (B9, F1)."""
    stall = Stall()
    with open_pool(1, timeout_grace=SOON) as pool:
        blocker = pool.submit(stall.block)
        assert stall.begun.wait(PATIENCE)
        behind = pool.options(timeout=SOON).submit(double, 1)
        with pytest.raises(DeadlineExceeded) as unstarted:
            behind.result(PATIENCE)
        stall.over.set()
        assert blocker.result(PATIENCE) == "late"

    assert not unstarted.value.still_running
    assert "did not start, and never will" in str(unstarted.value)


def test_a_task_that_blocks_its_loop_still_runs(open_pool: OpenPool) -> None:
    """The error of a task that was given up says that it still runs, and what it returns later is dropped."""
    stall = Stall()
    with open_pool(1, timeout_grace=SOON, name="stalled") as pool:
        future = pool.options(timeout=PATIENCE).submit(stall.block)
        assert stall.begun.wait(PATIENCE)
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

    def refuse() -> str:
        raise LookupError("while cleaning up")

    stubborn = Stubborn(refuse)
    with open_pool(1, timeout_grace=PATIENCE) as pool:
        future = stubborn.reach_deadline(pool)
        stubborn.gate.open()
        with pytest.raises(LookupError, match="while cleaning up"):
            future.result(PATIENCE)


def test_an_error_after_it_was_given_up_is_logged(
    open_pool: OpenPool, expected_logs: list[logging.LogRecord]
) -> None:
    """What goes wrong in a task that nobody waits for any more is not silent (P11)."""

    def refuse() -> str:
        raise LookupError("too late for anybody")

    stubborn = Stubborn(refuse)
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
    gate, cancellations = Gate(), 0

    async def work() -> None:
        nonlocal cancellations
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancellations += 1
            await gate.passage()
            raise

    with open_pool(1, timeout_grace=PATIENCE) as pool:
        future = pool.options(timeout=PATIENCE).submit(work)
        pool.call(double, 0)  # it has started by now
        future.cancel()
        gate.wait_started()
        let_pass(pool, PATIENCE)
        gate.open()
        with pytest.raises(polyloop.TaskCancelled):
            future.result(PATIENCE)

    assert cancellations == 1


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


def test_an_item_that_is_late_is_an_error_in_its_place(open_pool: OpenPool) -> None:
    """With errors="return" a map goes on behind an item whose deadline passed."""

    async def perhaps(number: int) -> int:
        if number == 1:
            await asyncio.Event().wait()
        return number

    with open_pool(2) as pool:
        results = list(pool.options(timeout=SOON).map(perhaps, range(3), errors="return"))

    assert results[::2] == [0, 2]
    assert isinstance(results[1], DeadlineExceeded)


def test_the_caller_s_own_cancellation_wins(open_pool: OpenPool) -> None:
    """Who is cancelled while a deadline passes is cancelled, and hears nothing of the deadline."""
    stubborn = Stubborn()

    async def main(pool: LoopPool) -> None:
        call = asyncio.create_task(pool.options(timeout=PATIENCE).run(stubborn.go_on))
        assert await asyncio.to_thread(stubborn.begun.wait, PATIENCE)
        let_pass(pool, PATIENCE)
        await asyncio.to_thread(stubborn.gate.wait_started)
        call.cancel()
        let_pass(pool, PATIENCE + 1)
        with pytest.raises(asyncio.CancelledError):
            await call
        stubborn.gate.open()

    with open_pool(1, timeout_grace=SOON) as pool:
        asyncio.run(main(pool))


def test_ten_thousand_deadlines_that_are_met_leave_nothing(open_pool: OpenPool) -> None:
    """Calls that ended long before their deadlines are not kept until then."""
    with open_pool(2) as pool:
        view = pool.options(timeout=1e6)
        for _ in range(3):
            list(view.map(double, range(4_000)))
        deadlines = pool._dispatch.deadlines
        kept = len(deadlines.live) + len(deadlines._heap) + len(deadlines._arrivals)

    assert kept < 9_000
