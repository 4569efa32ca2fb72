"""The state machine of pools in processes, whose workers are killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from polyloop import WorkerLost
from tests._gate import PATIENCE
from tests._options_machine import OBEDIENT, OptionsMachine
from tests._pool_machine import LOOPS
from tests._records import KINDS, Record, act, whereabouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polyloop import Future
    from tests._records import Place

__all__ = ["KillingMachine"]

VICTIMS = st.sampled_from([(0,), (1,), (0, 1)])
RESUBMITS = st.integers(0, 2)
CALLS = st.lists(st.sampled_from(KINDS), max_size=5)
# What ends by itself. What may run again has to: a suspect has its worker to itself, however long it runs.
ENDING = st.lists(st.sampled_from(["value", "step", "raise", "exit"]), max_size=5)


class KillingMachine(OptionsMachine):
    """The same, and workers are killed: what had begun there is lost with them, and nothing else."""

    def find(self) -> list[tuple[int, Place]]:
        """The processes of the workers, and who is there; what is broadcast finds none of them full."""
        return self.pool.broadcast(whereabouts).result(PATIENCE)

    def hand_in(self, kinds: Iterable[str], resubmits: int = 0) -> None:
        """Submit calls of these kinds."""
        view = self.pool.options(resubmits=resubmits)
        for kind in kinds:
            record = Record(kind, resubmits=resubmits)
            self.tasks.append((view.submit(act, record), record))

    def kill(self, found: list[tuple[int, Place]], victims: Sequence[int], *others: Record) -> None:
        """Kill some workers; whatever is not done by now may have begun there."""
        pending = [record for future, record in self.tasks if not future.done()]
        for index in victims:
            pid, place = found[index]
            for record in (*pending, *others):
                record.dangers.add(place)
            self.killed.add(place)
            os.kill(pid, signal.SIGKILL)

    def at_work(self) -> list[Place]:
        """Who is there and takes calls."""
        workers = self.pool.statistics().workers
        return [(worker.index, worker.generation) for worker in workers if worker.phase == "running"]

    def see_them_replaced(self, found: list[tuple[int, Place]], victims: Sequence[int]) -> None:
        """There are others in their places, and what had begun on them has its outcome."""
        expected = [(index, generation + (index in victims)) for _, (index, generation) in found]
        patience = time.monotonic() + PATIENCE
        while self.at_work() != expected:
            assert time.monotonic() < patience, self.pool.statistics()
            time.sleep(0.001)  # there is no event for it
        assert [place for _, place in self.find()] == expected
        gone = {found[index][1] for index in victims}
        for future, record in self.tasks:
            if gone.intersection(record.places[-1:]):
                assert future.wait(PATIENCE), record

    @precondition(lambda self: self.is_open)
    @rule(victims=VICTIMS, before=CALLS, again=ENDING, after=CALLS, resubmits=RESUBMITS)
    def kill_workers(
        self, victims: Sequence[int], before: list[str], again: list[str], after: list[str], resubmits: int
    ) -> None:
        """In the middle of everything."""
        found = self.find()
        self.hand_in(before)
        self.hand_in(again, resubmits)
        self.kill(found, victims)
        self.hand_in(after)
        self.see_them_replaced(found, victims)

    @precondition(OptionsMachine.has_room)
    @rule(
        victims=VICTIMS,
        count=st.integers(1, 30),
        delivered=st.integers(0, 30),
        options=st.fixed_dictionaries({"window": st.integers(1, 10), "ordered": st.booleans()}),
        resubmits=st.integers(0, 1),
    )
    def kill_workers_of_a_map(
        self, victims: Sequence[int], count: int, delivered: int, options: dict[str, Any], resubmits: int
    ) -> None:
        """Each item has its result, or was lost where it had begun; none is when it may run again."""
        found = self.find()
        records = [Record("step", resubmits=resubmits) for _ in range(count)]
        view = self.pool.options(resubmits=resubmits)
        told: list[Record] = []
        with view.map(act, records, **options, errors="return").pairs() as stream:
            for record, outcome in stream:
                if len(told) == min(delivered, count - 1):
                    self.kill(found, victims, *(other for other in records if other is not record))
                told.append(record)
                if isinstance(outcome, WorkerLost):
                    assert not resubmits, record
                    assert set(record.places) <= record.dangers, record
                else:
                    assert outcome == "step"
                    assert record.has_returned

        assert len(set(told)) == len(told) == count
        assert not options["ordered"] or told == records
        self.see_them_replaced(found, victims)

    @precondition(OptionsMachine.has_room)
    @rule(kinds=st.lists(OBEDIENT, min_size=1, max_size=6))
    def kill_all_workers_of_a_group(self, kinds: list[str]) -> None:
        """Its children fail as lost, or are cancelled for that, and none is left."""
        found = self.find()
        children: list[tuple[Future[str], Record]] = []

        async def main() -> None:
            async with self.pool.task_group() as group:
                children.extend(self.create(group, kinds))
                await asyncio.wait(
                    [asyncio.ensure_future(record.started.wait()) for _, record in children],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                self.kill(found, range(LOOPS), *(record for _, record in children))

        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(asyncio.wait_for(main(), PATIENCE))
        assert caught.value.split(WorkerLost)[1] is None
        self.check_children(children)
        self.see_them_replaced(found, range(LOOPS))

    @precondition(lambda self: self.is_open and len(self.tasks) > 3)
    @rule(victims=VICTIMS, calls=CALLS, drains=st.booleans(), is_async=st.booleans())
    def close_over_a_kill(
        self, victims: Sequence[int], calls: list[str], drains: bool, is_async: bool
    ) -> None:
        """The end of workers does not keep a pool from closing, and every task has its outcome."""
        found = self.find()
        self.hand_in(calls)
        self.kill(found, victims)
        self.close_pool(drains, is_async)

    @invariant()
    def nothing_runs_again_unasked(self) -> None:
        """A task began once; again only if it may, and when the worker that it ran on was killed."""
        for _, record in self.tasks:
            assert len(record.places) <= 1 + record.resubmits, record
            assert set(record.places[:-1]) <= record.dangers, record
