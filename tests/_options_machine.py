"""The state machine of pools with options, deadlines and task groups."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from polyloop import DeadlineExceeded, PoolClosed, TaskGroup
from tests._gate import PATIENCE
from tests._passing_time import UNIT, clock, let_pass
from tests._pool_machine import LIMIT, LOOPS, PoolMachine
from tests._records import KINDS, Record, act
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyloop import Future

__all__ = ["OBEDIENT", "OptionsMachine"]

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
            self.hear_of_starts()
            clock.ahead += UNIT
            let_pass(self.pool, 0)
            for future, record in self.tasks:
                if record.due is not None and record.due + self.patience_with(record) <= clock.units:
                    assert future.wait(PATIENCE), f"{record} outlived its deadline"

    def hear_of_starts(self) -> None:
        """Return when the pool knows what runs: elsewhere a task begins a moment before it does."""
        if self.backend != "thread":
            self.pool.broadcast(nothing).result(PATIENCE)

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
        record = Record(kind)

        assert self.pool.options(timeout=timeout * UNIT, key="one").call(act, record) == kind

    @precondition(PoolMachine.has_room)
    @rule(kind=st.sampled_from(["forever", "tidy", "stubborn"]), timeout=TIMEOUTS)
    def miss_a_deadline(self, kind: str, timeout: int) -> None:
        """Who awaits a call goes on when its deadline has passed and it has ended."""
        record = Record(kind, clock.units + timeout)

        async def main() -> str:
            call = asyncio.ensure_future(self.pool.options(timeout=timeout * UNIT).run(act, record))
            await asyncio.sleep(0)
            await record.started.wait()
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
        record.started.block()

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
        steps = [Record("step") for _ in range(LOOPS * LIMIT)]
        for future in [self.pool.submit(act, record) for record in steps]:
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
        """Calls of one key run on one worker and on those that replace it."""
        workers: dict[str, int] = {}
        for _, record in self.tasks:
            if record.key is not None:
                for index, _ in record.places:
                    assert workers.setdefault(record.key, index) == index, record

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
            assert record.has_ended == record.has_started or self.is_gone(record), record
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

    # Elsewhere a task cannot call the pool that runs it.
    @precondition(lambda self: self.backend == "thread" and self.has_room())
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
        has_created.started.block()
        for _, record in children:
            record.due = due
        self.advance(timeout)
        with pytest.raises(DeadlineExceeded) as caught:
            late.result(PATIENCE)
        assert not caught.value.still_running
        self.check_children(children)
