"""Anything a program can do with a pool, in any order: what was accepted is settled, and truthfully."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from polyloop import LoopPool, PoolClosed, TaskCancelled, current_pool
from tests._scorecard import report

if TYPE_CHECKING:
    import logging

    from polyloop import Future

EXAMPLES = 300 if os.environ.get("POLYLOOP_NIGHTLY") else 50
STEPS = 30
LOOPS = 2
LIMIT = 3
# Far more than anything here takes, in seconds: a hang shows as a failure.
PATIENCE = 20.0

# The first two wait until they are cancelled; the second ignores that once and returns.
ENDLESS = ("forever", "stubborn")
ERRORS: dict[str, tuple[type[BaseException], ...]] = {
    "raise": (LookupError,),
    "exit": (SystemExit,),
    "nested": (PoolClosed, TaskCancelled),
}
KINDS = (*ENDLESS, "value", "step", "raise", "exit", "nested")


@dataclass(eq=False)
class Record:
    """What a task did, by its own account."""

    kind: str
    has_started: bool = False
    has_returned: bool = False
    # Its `finally` block has run.
    has_ended: bool = False


async def act(record: Record) -> str:
    """Do what the record says, and keep account of it there."""
    record.has_started = True
    try:
        await behave(record.kind)
        record.has_returned = True
        return record.kind
    finally:
        record.has_ended = True


async def behave(kind: str) -> None:
    """Wait, raise, call or do nothing."""
    match kind:
        case "forever":
            await asyncio.Event().wait()
        case "stubborn":
            with pytest.raises(asyncio.CancelledError):
                await asyncio.Event().wait()
        case "step":
            await asyncio.sleep(0)
        case "raise":
            raise LookupError(kind)
        case "exit":
            raise SystemExit(kind)
        case "nested":
            await current_pool().run(act, Record("step"))


class PoolMachine(RuleBasedStateMachine):
    """One pool and everything that was handed to it."""

    @initialize(backlog=st.sampled_from([None, 1000]))
    def open_pool(self, backlog: int | None) -> None:
        """A small pool, so that calls wait and limits matter."""
        self.threads_before = set(threading.enumerate())
        self.is_open = True
        self.pool = LoopPool(LOOPS, limit=LIMIT, backlog=backlog, grace=PATIENCE)
        self.pool.open()
        self.tasks: list[tuple[Future[str], Record]] = []
        self.ended_before = 0

    def has_room(self) -> bool:
        """Whether some worker has room for a call that ends."""
        endless = [record for future, record in self.tasks if record.kind in ENDLESS and not future.done()]
        return self.is_open and len(endless) < LOOPS * LIMIT

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
        assert self.pool.call(act, Record(kind)) == kind

    @precondition(has_room)
    @rule(count=st.integers(1, 5))
    def run(self, count: int) -> None:
        """A loop that awaits several gets all values, and errors as they are."""

        async def main() -> None:
            calls = [self.pool.run(act, Record("step")) for _ in range(count)]
            assert await asyncio.gather(*calls) == ["step"] * count
            with pytest.raises(LookupError):
                await self.pool.run(act, Record("raise"))

        asyncio.run(asyncio.wait_for(main(), PATIENCE))

    @precondition(has_room)
    @rule(kind=st.sampled_from(ENDLESS), is_started=st.booleans())
    def run_and_cancel(self, kind: str, is_started: bool) -> None:
        """Who cancels the awaiting goes on when the task has ended, or knows that it never starts."""
        record = Record(kind)

        async def main() -> None:
            started = threading.Event()

            async def act_and_tell() -> str:
                started.set()
                return await act(record)

            waiting = asyncio.ensure_future(self.pool.run(act_and_tell))
            await asyncio.sleep(0)
            if is_started:
                assert await asyncio.to_thread(started.wait, PATIENCE)
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
        assert self.pool.broadcast(act, Record("value")).result(PATIENCE) == ["value"] * LOOPS

    # -- asking and cancelling ---------------------------------------------------------------

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancelling says False only for a task that has ended."""
        future, _ = data.draw(st.sampled_from(self.tasks))
        was_done = future.done()

        sent = future.cancel()

        assert future.done() if not sent else not was_done

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def result(self, data: st.DataObject) -> None:
        """Asking for a result gives the task's outcome or says that there is none yet."""
        future, record = data.draw(st.sampled_from(self.tasks))
        try:
            value = future.result(timeout=0)
        except TimeoutError:
            return
        except (LookupError, SystemExit, TaskCancelled, PoolClosed):
            assert future.done()
        else:
            assert value == record.kind

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel_and_wait(self, data: st.DataObject) -> None:
        """What was cancelled ends, and says whether by that."""
        future, record = data.draw(st.sampled_from(self.tasks))

        was_cancelled = asyncio.run(asyncio.wait_for(future.cancel_and_wait(), PATIENCE))

        assert future.done()
        assert was_cancelled == future.cancelled()
        assert not was_cancelled or not record.has_returned

    # -- closing -----------------------------------------------------------------------------

    @precondition(lambda self: len(self.tasks) > 3)
    @rule(drains=st.booleans(), is_async=st.booleans())
    def close(self, drains: bool, is_async: bool) -> None:
        """Closing, once or again, returns when every task has its outcome."""
        if drains:
            for future, record in self.tasks:
                if record.kind in ENDLESS:
                    future.cancel()
        drain = None if drains else 0
        if is_async:
            asyncio.run(asyncio.wait_for(self.pool.aclose(drain=drain), PATIENCE))
        else:
            self.pool.close(drain=drain)
        self.is_open = False
        self.check_outcomes()

    def check_outcomes(self) -> None:
        """Every task has the outcome that fits its own account."""
        for future, record in self.tasks:
            assert future.done(), f"{record} is pending after close()"
            assert record.has_ended == record.has_started, record
            if future.cancelled():
                assert not record.has_returned, record
                continue
            error = future.exception(timeout=0)
            if error is None:
                assert record.has_returned, record
            else:
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
                assert record.has_ended, record

    def teardown(self) -> None:
        """The pool closes, and its threads are gone."""
        if not hasattr(self, "pool"):
            return
        self.pool.close(drain=0)
        self.check_outcomes()
        concurrent.futures.wait([future for future, _ in self.tasks], timeout=0)
        left = {thread for thread in threading.enumerate() if thread.name.startswith("polyloop")}
        assert not left - self.threads_before, f"threads {left} are left"


@pytest.mark.timeout(600)
def test_any_program_gets_true_outcomes(expected_logs: list[logging.LogRecord]) -> None:
    """Whatever is done with a pool, in whatever order, no promise of it is broken."""
    run_state_machine_as_test(
        PoolMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    unexpected = [
        entry.getMessage() for entry in expected_logs if "nobody collected" not in entry.getMessage()
    ]
    assert not unexpected
    report(13, f"thread backend: {EXAMPLES} examples x {STEPS} steps, 0 violations")
