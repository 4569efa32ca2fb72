"""Anything a program can do with a pool, in any order: what was accepted is settled, and truthfully."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from polyloop import DeadlineExceeded, PoolClosed, TaskGroup, _deadlines
from tests._gate import PATIENCE
from tests._passing_time import UNIT, clock, let_pass
from tests._pool_machine import LIMIT, LOOPS, PoolMachine
from tests._records import KINDS, Record, act
from tests._scorecard import report

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from polyloop import Future

EXAMPLES = 300 if os.environ.get("POLYLOOP_NIGHTLY") else 50
STEPS = 30
# In units of the clock, so that they pass when the machine says so.
TIMEOUTS = st.sampled_from([1, 2, 3])
# What ends when it is cancelled.
OBEDIENT = st.sampled_from(["forever", "tidy"])
CHILDREN = st.lists(st.sampled_from([kind for kind in KINDS if kind != "deaf"]), max_size=4)


class OptionsMachine(PoolMachine):
    """The same with options, deadlines and task groups. Time stands still but for `advance`."""

    def advance(self, units: int = 1) -> None:
        """Let time pass; what is due then ends, unless it is deaf."""
        for _ in range(units):
            clock.ahead += UNIT
            let_pass(self.pool, 0)
            for future, record in self.tasks:
                if record.due is not None and record.due + self.patience_with(record) <= clock.units:
                    assert future.wait(PATIENCE), f"{record} outlived its deadline"

    def patience_with(self, record: Record) -> int:
        """Units until a task whose deadline passed is given up, if it has to be."""
        return int(record.kind == "deaf")

    # -- options -----------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(KINDS),
        timeout=st.none() | TIMEOUTS,
        key=st.sampled_from([None, "one", "other", "third"]),
    )
    def submit_through_options(self, kind: str, timeout: int | None, key: str | None) -> None:
        """A call through a view is accepted if and only if the pool is open."""
        record = Record(kind, None if timeout is None else clock.units + timeout, key)
        view = self.pool.options(timeout=None if timeout is None else timeout * UNIT, key=key)
        if self.is_open:
            self.tasks.append((view.submit(act, record), record))
        else:
            with pytest.raises(PoolClosed):
                _ = view.submit(act, record)
            assert not record.has_started

    @precondition(PoolMachine.has_room_everywhere)
    @rule(kind=st.sampled_from(["value", "step", "nested"]), timeout=TIMEOUTS)
    def meet_a_deadline(self, kind: str, timeout: int) -> None:
        """A deadline that does not pass changes nothing."""
        assert self.pool.options(timeout=timeout * UNIT, key="one").call(act, Record(kind)) == kind

    @precondition(PoolMachine.has_room)
    @rule(kind=st.sampled_from(["forever", "tidy", "stubborn"]), timeout=TIMEOUTS)
    def miss_a_deadline(self, kind: str, timeout: int) -> None:
        """Who awaits a call goes on when its deadline has passed and it has ended."""
        record = Record(kind, clock.units + timeout)

        async def main() -> str:
            call = asyncio.ensure_future(self.pool.options(timeout=timeout * UNIT).run(act, record))
            await asyncio.sleep(0)
            await asyncio.to_thread(record.started.wait, PATIENCE)
            await asyncio.to_thread(self.advance, timeout)
            return await call

        if kind == "stubborn":
            assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == kind
        else:
            with pytest.raises(DeadlineExceeded) as caught:
                asyncio.run(asyncio.wait_for(main(), PATIENCE))
            assert not caught.value.still_running
        assert record.has_ended
        assert not record.is_torn

    @precondition(PoolMachine.has_room_everywhere)
    @rule(timeout=TIMEOUTS)
    def give_up(self, timeout: int) -> None:
        """Who waits for a task that takes no notice of its deadline hears that it still runs."""
        record = Record("deaf", clock.units + timeout)
        future = self.pool.options(timeout=timeout * UNIT).submit(act, record)
        self.tasks.append((future, record))
        assert record.started.wait(PATIENCE)

        self.advance(timeout + 1)

        error = future.exception(PATIENCE)
        assert isinstance(error, DeadlineExceeded)
        assert error.still_running
        assert not record.has_ended

    @precondition(PoolMachine.has_room_everywhere)
    @rule(behind=st.integers(1, 3))
    def fill_a_worker(self, behind: int) -> None:
        """Calls of one key wait for their worker while the other goes on."""
        view = self.pool.options(key="one")
        for kind in ["forever"] * LIMIT + ["step"] * behind:
            record = Record(kind, key="one")
            self.tasks.append((view.submit(act, record), record))
        for future in [self.pool.submit(act, Record("step")) for _ in range(LOOPS * LIMIT)]:
            assert future.result(PATIENCE) == "step"

    @precondition(lambda self: self.is_open)
    @rule(units=TIMEOUTS)
    def let_time_pass(self, units: int) -> None:
        """No deadline is slept through."""
        self.advance(units)

    @rule()
    def open_the_gates(self) -> None:
        """Those that were given up may end."""
        self.open_gates()

    @invariant()
    def a_key_has_one_worker(self) -> None:
        """Calls of one key never ran on two workers of one generation."""
        workers: dict[tuple[str, int], int] = {}
        for _, record in self.tasks:
            if record.key is not None and record.worker is not None:
                index, generation = record.worker
                assert workers.setdefault((record.key, generation), index) == index, record

    # -- groups ------------------------------------------------------------------------------

    def create(
        self, group: TaskGroup, kinds: Sequence[str], timeout: int | None = None
    ) -> list[tuple[Future[str], Record]]:
        """Children of these kinds."""
        due = None if timeout is None else clock.units + timeout
        records = [Record(kind, due) for kind in kinds]
        view = group.options(timeout=None if timeout is None else timeout * UNIT)
        return [(view.create_task(act, record), record) for record in records]

    def check_children(self, children: list[tuple[Future[str], Record]]) -> None:
        """None outlived its block, and none was hurt by the end of the others."""
        for future, record in children:
            assert future.done(), record
            assert record.has_ended == record.has_started, record
            record.is_over = True
        self.tasks += children

    @precondition(PoolMachine.has_room)
    @rule(kinds=st.lists(st.sampled_from(["value", "step", "nested"]), max_size=4))
    def group_that_ends(self, kinds: list[str]) -> None:
        """A group gives all values."""
        children: list[tuple[Future[str], Record]] = []

        async def main() -> None:
            async with self.pool.task_group() as group:
                children.extend(self.create(group, kinds))
            assert [future.result() for future, _ in children] == kinds

        asyncio.run(asyncio.wait_for(main(), PATIENCE))
        self.check_children(children)

    @precondition(PoolMachine.has_room)
    @rule(kinds=CHILDREN, is_cancelled=st.booleans())
    def group_that_is_torn_down(self, kinds: list[str], is_cancelled: bool) -> None:
        """A child that fails, or a cancellation from outside, ends the block when all children have ended."""
        children: list[tuple[Future[str], Record]] = []

        async def main() -> None:
            async with self.pool.task_group() as group:
                children.extend(self.create(group, [*([] if is_cancelled else ["raise"]), *kinds]))
                if is_cancelled:
                    # In the middle of whatever they do by then.
                    asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
                    await asyncio.sleep(0)

        async def outside() -> None:
            # SystemExit, which a group raises as it is, would end the loop.
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup, SystemExit):
                await main()
                pytest.fail("a group that was torn down raised nothing")

        asyncio.run(asyncio.wait_for(outside(), PATIENCE))
        self.check_children(children)

    @precondition(PoolMachine.has_room)
    @rule(kinds=st.lists(OBEDIENT, min_size=1, max_size=4), timeout=TIMEOUTS)
    def group_that_is_late(self, kinds: list[str], timeout: int) -> None:
        """Children whose deadlines pass fail their group."""
        children: list[tuple[Future[str], Record]] = []

        async def main() -> None:
            async with self.pool.task_group() as group:
                children.extend(self.create(group, kinds, timeout))
                await asyncio.to_thread(self.advance, timeout)

        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(asyncio.wait_for(main(), PATIENCE))
        assert caught.value.split(DeadlineExceeded)[1] is None
        self.check_children(children)

    @precondition(PoolMachine.has_room)
    @rule(kinds=st.lists(OBEDIENT, min_size=1, max_size=4), timeout=TIMEOUTS)
    def group_in_a_task_that_is_late(self, kinds: list[str], timeout: int) -> None:
        """A task whose deadline passes takes its children along, and they are cancelled once."""
        children: list[tuple[Future[str], Record]] = []
        has_created = Record("parent")

        async def parent() -> None:
            async with self.pool.task_group() as group:
                children.extend(self.create(group, kinds))
                has_created.started.set()

        late = self.pool.options(timeout=timeout * UNIT).submit(parent)
        due = clock.units + timeout
        assert has_created.started.wait(PATIENCE)
        for _, record in children:
            record.due = due
        self.advance(timeout)
        with pytest.raises(DeadlineExceeded) as caught:
            late.result(PATIENCE)
        assert not caught.value.still_running
        self.check_children(children)


@pytest.mark.timeout(600)
def test_any_program_gets_true_outcomes(
    expected_logs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done with a pool, in whatever order, no promise of it is broken."""
    monkeypatch.setattr(_deadlines, "monotonic", clock)

    run_state_machine_as_test(
        OptionsMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    messages = [entry.getMessage() for entry in expected_logs]
    expected = ("nobody collected", "ends with SystemExit('exit') and leaves this error out")
    assert not [message for message in messages if not any(text in message for text in expected)]
    report(13, f"thread backend: {EXAMPLES} examples x {STEPS} steps, 0 violations")
