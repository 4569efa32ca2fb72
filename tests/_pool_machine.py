"""A pool and what a program can do with it in any order, as a state machine; without options and groups.

Those are in `tests._options_machine`, the end of workers is in `tests._killing_machine`, and
`tests.test_state_machine` runs them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from polyloop import DeadlineExceeded, LoopPool, PoisonTask, PoolClosed, TaskCancelled, WorkerLost
from tests._gate import PATIENCE
from tests._passing_time import UNIT, clock
from tests._records import ENDLESS, KINDS, Record, act

if TYPE_CHECKING:
    from polyloop import Future
    from tests._records import Place

__all__ = ["LIMIT", "LOOPS", "PoolMachine"]

LOOPS = 2
LIMIT = 3

ERRORS: dict[str, tuple[type[BaseException], ...]] = {
    "raise": (LookupError,),
    "exit": (SystemExit,),
    "nested": (PoolClosed, TaskCancelled),
}
TOLD_APART = (DeadlineExceeded, WorkerLost, PoisonTask)


class PoolMachine(RuleBasedStateMachine):
    """One pool and everything that was handed to it."""

    backend: ClassVar[Any]

    @initialize(backlog=st.sampled_from([None, 1000]))
    def open_pool(self, backlog: int | None) -> None:
        """A small pool, so that calls wait and limits matter."""
        self.threads_before = set(threading.enumerate())
        self.is_open = True
        self.pool = LoopPool(
            LOOPS,
            backend=self.backend,
            limit=LIMIT,
            backlog=backlog,
            grace=PATIENCE,
            timeout_grace=UNIT / 2,
        )
        self.pool.open()
        self.tasks: list[tuple[Future[str], Record]] = []
        self.ended_before = 0
        # So many loops take calls for certain.
        self.fewest = LOOPS
        self.killed: set[Place] = set()

    def has_room(self) -> bool:
        """Whether some worker has room for a call that ends."""
        return self.is_open and self.count_endless() < self.fewest * LIMIT

    def has_room_everywhere(self) -> bool:
        """Whether each worker has, however the endless ones are spread."""
        return self.is_open and self.count_endless() < LIMIT

    def count_endless(self) -> int:
        """How many calls will not end by themselves, and have a place or wait for one."""
        return sum(record.is_endless for _, record in self.tasks)

    # -- handing in --------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS))
    def submit(self, kind: str) -> None:
        """A call is accepted if and only if the pool is open."""
        record = Record(kind)
        if self.is_open:
            self.tasks.append((self.pool.submit(act, record), record))
        else:
            with pytest.raises(PoolClosed):
                _ = self.pool.submit(act, record)
            assert not record.has_started

    @precondition(has_room)
    @rule(kind=st.sampled_from(["value", "step", "nested"]))
    def call(self, kind: str) -> None:
        """A thread that waits gets the value."""
        record = Record(kind)

        assert self.pool.call(act, record) == kind

    @precondition(has_room)
    @rule(count=st.integers(1, 5))
    def run(self, count: int) -> None:
        """A loop that awaits several gets all values, and errors as they are."""

        async def main() -> None:
            steps = [Record("step") for _ in range(count)]
            calls = [self.pool.run(act, record) for record in steps]
            assert await asyncio.gather(*calls) == ["step"] * count
            failing = Record("raise")
            with pytest.raises(LookupError):
                await self.pool.run(act, failing)

        asyncio.run(asyncio.wait_for(main(), PATIENCE))

    @precondition(has_room)
    @rule(kind=st.sampled_from(["forever", "stubborn", "tidy"]), is_started=st.booleans())
    def run_and_cancel(self, kind: str, is_started: bool) -> None:
        """Who cancels the awaiting goes on when the task has ended, or knows that it never starts."""
        record = Record(kind)

        async def main() -> None:
            waiting = asyncio.ensure_future(self.pool.run(act, record))
            await asyncio.sleep(0)
            if is_started:
                await record.started.wait()
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()

        asyncio.run(asyncio.wait_for(main(), PATIENCE))
        assert record.has_ended == record.has_started
        assert not is_started or record.has_started

    @precondition(has_room)
    @rule(
        count=st.integers(0, 30),
        wanted=st.integers(0, 30),
        window=st.integers(1, 10),
        ordered=st.booleans(),
        is_async=st.booleans(),
    )
    def map(self, count: int, wanted: int, window: int, ordered: bool, is_async: bool) -> None:
        """A map delivers each item's result once; leaving it early ends what is under way."""
        records = [Record("step") for _ in range(count)]
        delivered: list[Record] = []

        def consume() -> None:
            with self.pool.map(act, records, window=window, ordered=ordered).pairs() as stream:
                for record, _ in stream:
                    delivered.append(record)
                    if len(delivered) >= wanted:
                        break

        async def aconsume() -> None:
            async with self.pool.map(act, records, window=window, ordered=ordered).pairs() as stream:
                async for record, _ in stream:
                    delivered.append(record)
                    if len(delivered) >= wanted:
                        break

        if is_async:
            asyncio.run(asyncio.wait_for(aconsume(), PATIENCE))
        else:
            consume()

        assert len(set(delivered)) == len(delivered)
        assert len(delivered) == min(count, max(1, wanted))
        assert not ordered or delivered == records[: len(delivered)]
        assert all(record.has_ended == record.has_started for record in records)

    @precondition(lambda self: self.is_open)
    @rule()
    def broadcast(self) -> None:
        """One call on each loop, however full they are."""
        record = Record("value")

        assert self.pool.broadcast(act, record).result(PATIENCE) == ["value"] * LOOPS
        workers = self.pool.statistics().workers
        assert sorted(record.places) == [(worker.index, worker.generation) for worker in workers]

    # -- asking and cancelling ---------------------------------------------------------------

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancelling says False only for a task that has ended."""
        future, record = data.draw(st.sampled_from(self.tasks))
        was_done = future.done()
        record.requests += 1

        sent = future.cancel()

        assert future.done() if not sent else not was_done

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def result(self, data: st.DataObject) -> None:
        """Asking for a result gives the task's outcome or says that there is none yet."""
        future, record = data.draw(st.sampled_from(self.tasks))
        try:
            value = future.result(timeout=0)
        except (LookupError, SystemExit, TaskCancelled, PoolClosed, *TOLD_APART):
            assert future.done()
        except TimeoutError:
            return
        else:
            assert value == record.kind

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel_and_wait(self, data: st.DataObject) -> None:
        """What was cancelled ends, and says whether by that."""
        future, record = data.draw(st.sampled_from(self.tasks))
        record.requests += 1
        record.open_gate()

        was_cancelled = asyncio.run(asyncio.wait_for(future.cancel_and_wait(), PATIENCE))

        assert future.done()
        assert was_cancelled == future.cancelled()
        assert not was_cancelled or not record.has_returned

    # -- closing -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.tasks) > 3)
    @rule(drains=st.booleans(), is_async=st.booleans())
    def close(self, drains: bool, is_async: bool) -> None:
        """Closing, once or again, returns when every task has its outcome."""
        self.close_pool(drains, is_async)

    def close_pool(self, drains: bool, is_async: bool) -> None:
        """Close it, and see what has become of everything."""
        self.open_gates()
        if drains:
            for future, record in self.tasks:
                if record.kind in ENDLESS:
                    record.requests += 1
                    future.cancel()
        drain = None if drains else 0
        if is_async:
            asyncio.run(asyncio.wait_for(self.pool.aclose(drain=drain), PATIENCE))
        else:
            self.pool.close(drain=drain)
        self.is_open = False
        self.check_outcomes()
        statistics = self.pool.statistics()
        assert (statistics.in_flight, statistics.backlog) == (0, 0)
        assert not self.pool._dispatch.deadlines.live

    def open_gates(self) -> None:
        """Let those end that listen to nothing else."""
        for _, record in self.tasks:
            record.open_gate()

    def is_gone(self, record: Record) -> bool:
        """Whether a task has begun on a worker that was killed, and ended with it."""
        return bool(record.places) and record.places[-1] in self.killed

    def check_outcomes(self) -> None:
        """Every task has the outcome that fits its own account."""
        for future, record in self.tasks:
            assert future.done(), f"{record} is pending after close()"
            if future.cancelled():
                assert record.has_ended == record.has_started, record
                assert not record.has_returned, record
                continue
            error = future.exception(timeout=0)
            assert record.has_ended == record.has_started or self.is_gone(record), record
            if error is None:
                assert record.has_returned, record
            elif not isinstance(error, TOLD_APART):  # about which see what_is_done_is_true()
                assert isinstance(error, ERRORS[record.kind]), (record, error)

    @invariant()
    def counters_only_grow(self) -> None:
        """Nothing that the statistics count is ever taken back, and no load is negative."""
        statistics = self.pool.statistics()
        assert statistics.ended >= self.ended_before
        assert statistics.in_flight >= 0
        self.ended_before = statistics.ended

    @invariant()
    def what_is_done_is_true(self) -> None:
        """At any time: cancelled() means that it ended or never started, a value that it returned."""
        for future, record in self.tasks:
            if future.cancelled():
                assert record.has_ended == record.has_started, record
                assert not record.has_returned, record
            elif future.done():
                error = future.exception()
                if isinstance(error, DeadlineExceeded):
                    check_deadline(record, error)
                elif isinstance(error, WorkerLost | PoisonTask):
                    check_loss(record, error)
                else:
                    assert record.has_ended, record

    @invariant()
    def nobody_is_hurt_by_the_end_of_others(self) -> None:
        """A task that nobody else asked to stop is cancelled once, whoever else ends."""
        for _, record in self.tasks:
            assert record.requests or not record.is_torn, record

    def teardown(self) -> None:
        """The pool closes, and its threads are gone."""
        if not hasattr(self, "pool"):
            return
        self.open_gates()
        self.pool.close(drain=0)
        self.check_outcomes()
        concurrent.futures.wait([future for future, _ in self.tasks], timeout=0)
        left = {thread for thread in threading.enumerate() if thread.name.startswith("polyloop")}
        left -= self.threads_before
        for thread in left:
            # These have been told, and end by themselves. A busy machine may take longer to end an
            # interpreter than close() waits for it.
            if thread.name.endswith("-deadlines") or self.backend == "interpreter":
                thread.join(PATIENCE)
        left = {thread for thread in left if thread.is_alive()}
        assert not left, f"threads {left} are left"


def check_deadline(record: Record, error: DeadlineExceeded) -> None:
    """A deadline passes when it is due, and its error tells the truth about the task."""
    assert record.due is not None, record
    assert record.due <= clock.units, (record, clock.units)
    assert not record.has_returned or error.still_running, (record, error)
    if error.still_running:
        assert record.kind == "deaf", (record, error)
        assert error.worker == record.places[-1][0], (record, error)
    else:
        assert record.has_ended == record.has_started, (record, error)


def check_loss(record: Record, error: WorkerLost | PoisonTask) -> None:
    """Only what had begun on a worker that was killed is lost with it, and so often as it says."""
    assert len(record.dangers) > record.resubmits, (record, error)
    # Of a call that was about to begin nothing is known here.
    assert set(record.places) <= record.dangers, (record, error)
    if isinstance(error, WorkerLost):
        assert error.may_have_run, (record, error)
        assert error.worker in {index for index, _ in record.dangers}, (record, error)
    else:
        assert record.resubmits, (record, error)
