"""Who waits for room is told of it: no call stays in the backlog while a worker could take it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop import _turns
from polyloop._desks import Desk
from polyloop._dispatch import Dispatch
from polyloop._errors import PoolClosed
from polyloop._local import Worker
from polyloop._placement import Roster
from polyloop._runner import Runner
from tests._idle_calls import CountingSink, make_call, silent_roster
from tests._scorecard import report
from tests.model.doubles import ModelLock, ModelLoop, broken
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyloop._messages import Call


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores the pool's side of room: the entrance and the bookkeeping."""
    scheduler = Scheduler(
        "_dispatch.py", "_desks.py", "_admission.py", "_turns.py", "_placement.py", "_elastic.py"
    )
    monkeypatch.setattr(_turns, "Lock", partial(ModelLock, scheduler))
    return scheduler


@pytest.fixture
def with_runner(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores the worker's side of it; the pool's runs in one go."""
    scheduler = Scheduler("_runner.py")
    monkeypatch.setattr(_turns, "Lock", partial(ModelLock, scheduler))
    return scheduler


class ModelDesk(Desk):
    """A place in the pool whose worker is a runner on a model loop."""

    def __init__(self, dispatch: Dispatch, loop: ModelLoop) -> None:
        super().__init__(0)
        self._dispatch = dispatch
        worker = Worker(0, 0, name="model", backend="model", loops=1, home=None)
        # As much of the reports as a worker makes that comes to no end.
        runner = Runner(cast("Any", loop), worker, cast("Any", self), None)
        self.send = lambda command: loop.call_soon(runner.handle, command)
        self.send_calls = self._send_calls

    def _send_calls(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self.send(call)

    def ended(self) -> None:
        """See `Reports`."""
        self._dispatch.ended(self)


class Room:
    """The only worker takes one call at a time and has one; each submitter hands in another."""

    def __init__(self, scheduler: Scheduler, submitters: int) -> None:
        loop = ModelLoop(scheduler)
        self.scheduler = scheduler
        self.dispatch = Dispatch(silent_roster(1), lambda: PoolClosed("not open"))
        self.dispatch.open_desk(ModelDesk(self.dispatch, loop))
        self.dispatch.let_in()
        self.sinks = [CountingSink() for _ in range(submitters + 1)]
        first, *others = [make_call(sink) for sink in self.sinks]
        self.dispatch.accept(first)
        self.threads: list[Callable[[], object]] = [loop.run]
        self.threads += [lambda call=call: self.submit(call) for call in others]  # type: ignore[misc]

    def submit(self, call: Call) -> None:
        """A submitter."""
        self.scheduler.touch()
        self.dispatch.accept(call)

    def check(self) -> None:
        """Everything has run, and the pool knows."""
        assert self.dispatch.backlog == 0, "a call waits while the only worker has nothing to do"
        outcomes = [sink.outcomes for sink in self.sinks]
        assert all(each == ["value"] for each in outcomes), f"settled with {outcomes}"


class GoingIdle:
    """A thread waits for the pool to have nothing to do while its last task ends."""

    def __init__(self, scheduler: Scheduler) -> None:
        room = Room(scheduler, 0)
        self.scheduler = scheduler
        self.dispatch = room.dispatch
        self.told: list[None] = []
        self.threads = [*room.threads, self.wait]
        self.check = room.check

    def wait(self) -> None:
        """The one who waits."""
        self.dispatch.when_idle(lambda: self.told.append(None))
        self.scheduler.wait(lambda: self.told)


def test_no_call_is_forgotten_in_the_backlog(scheduler: Scheduler) -> None:
    """Whatever the order in which tasks end and calls come in, the backlog empties."""
    found = scheduler.explore(lambda: Room(scheduler, 1), preemptions=3)

    assert found.order is None, found
    report(12, f"room against backlog: {found.interleavings} interleavings, 3 preemptions, 0 violations")


def test_no_report_of_room_is_forgotten_by_the_worker(with_runner: Scheduler) -> None:
    """The same from the worker's side: what it counts and whether it reports go together."""
    found = with_runner.explore(lambda: Room(with_runner, 2))

    assert found.order is None, found
    report(12, f"room against report: {found.interleavings} interleavings, 0 violations")


def test_going_idle_is_noticed(scheduler: Scheduler) -> None:
    """Who closes a pool and waits for its last task to end hears of that."""
    found = scheduler.explore(lambda: GoingIdle(scheduler), preemptions=3)

    assert found.order is None, found
    report(12, f"idle against last task: {found.interleavings} interleavings, 3 preemptions, 0 violations")


def test_wanting_after_the_last_look_is_found(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug 4: who asks workers to report only after the last look for room waits for ever."""
    late = broken(
        Roster._last_look,
        ("    self.want(True)\n    seat = self._choose(call)\n",
         "    seat = self._choose(call)\n    self.want(True)\n"),
    )  # fmt: skip
    monkeypatch.setattr(Roster, "_last_look", late)

    found = scheduler.explore(lambda: Room(scheduler, 1))

    assert "a call waits while the only worker has nothing to do" in found.reason
    report(12, f"seeded bug, wanted after the last look: found in interleaving {found.interleavings}")


def test_counting_after_the_look_is_found(with_runner: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that looks whether it is wanted before it counts what has ended is not heard."""
    late = broken(
        Runner._count,
        ("    tally.ended += 1\n", "    is_wanted = self._reports.is_wanted\n    tally.ended += 1\n"),
        ("if self._reports.is_wanted and", "if is_wanted and"),
    )
    monkeypatch.setattr(Runner, "_count", late)

    found = with_runner.explore(lambda: Room(with_runner, 1))

    assert "a call waits while the only worker has nothing to do" in found.reason
    report(12, f"seeded bug, look before counting: found in interleaving {found.interleavings}")
