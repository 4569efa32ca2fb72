"""Deadlines against their watch, and calls' ends against deadlines: none slept through, none told twice."""

from __future__ import annotations

from math import inf
from queue import Empty
from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop import _deadlines
from polyloop._deadline import Deadline
from polyloop._deadlines import Deadlines
from tests._idle_calls import CountingSink, make_call
from tests._scorecard import report
from tests.model.doubles import broken
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyloop._messages import Call

GRACE = 1.0


# -- handing over -------------------------------------------------------------------------------


class HandOver:
    """Threads give calls deadlines while the watch sleeps, wakes or goes to sleep; time passes when all rest.

    Args:
        scheduler: The one to use.
        monkeypatch: The one to use.
        moments: For each call: when it comes, and after how many seconds its deadline passes.
    """

    def __init__(
        self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, *moments: tuple[float, float]
    ) -> None:
        self.scheduler = scheduler
        self.now = 0.0
        self.rings = 0
        self.due: dict[Call, float] = {}
        self.passed: dict[Call, float] = {}
        monkeypatch.setattr(_deadlines, "monotonic", lambda: self.now)
        self.deadlines = Deadlines("model", GRACE, self.cancel)
        self.deadlines._starter.clear()  # the model runs it
        self.deadlines._bell = cast("Any", self)
        # One that was met long before: the watch wakes for it, and finds nothing to do.
        met = make_call()
        self.deadlines.watch(met, 10, None)
        met.sink.settle_value(None)
        self.deadlines._heap.append((10.0, -1, self.deadlines._arrivals.pop()))
        self.threads: list[Callable[[], object]] = [self.deadlines._main]
        self.threads += [lambda moment=moment: self.call(*moment) for moment in moments]  # type: ignore[misc]

    def call(self, comes: float, timeout: float) -> None:
        """What one thread does."""
        self.scheduler.wait(lambda: self.now >= comes)
        call = make_call()
        self.due[call] = self.now + timeout
        self.deadlines.watch(call, timeout, None)

    def cancel(self, call: Call) -> None:
        """What the watch asks for: the task ends at once."""
        self.passed[call] = self.now
        call.sink.settle_cancelled()

    # -- the bell ----------------------------------------------------------------------------

    def put(self, _: None) -> None:
        """See `SimpleQueue`."""
        self.rings += 1

    def get(self, timeout: float | None) -> None:
        """See `SimpleQueue`; where nothing else can happen, the time passes."""
        if not self.scheduler.wait(lambda: self.rings, is_rest=True):
            if timeout is not None:
                self.now += timeout
                raise Empty
            self.deadlines._is_closed = True
            return
        self.rings -= 1

    def check(self) -> None:
        """Each passed when it was due."""
        assert list(self.passed.values()) == [self.due[call] for call in self.passed]
        assert self.passed.keys() == self.due.keys(), f"{len(self.due) - len(self.passed)} slept through"


@pytest.fixture
def watches() -> Scheduler:
    """Explores the watch; what only its own thread uses is no step."""
    return Scheduler(
        "_deadlines.py", private={"_heap", "_watcher", "_duty", "when", "has_passed", "is_cause"}
    )


@pytest.mark.parametrize(
    ("moments", "preemptions"),
    [([(10, 40)], 2), ([(0, 50), (0, 5)], 1)],
    ids=["as it wakes", "as it begins"],
)
def test_no_deadline_is_slept_through(
    watches: Scheduler, monkeypatch: pytest.MonkeyPatch, moments: list[tuple[float, float]], preemptions: int
) -> None:
    """Whenever a deadline comes, the watch is awake when it passes."""
    found = watches.explore(lambda: HandOver(watches, monkeypatch, *moments), preemptions)

    assert found.order is None, found
    report(12, f"deadlines against their watch: {found.interleavings} interleavings, 0 violations")


def test_saying_too_late_that_it_looks_is_found(watches: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug: a watch that takes what has come, and then says that it is awake, sleeps through one."""
    late = broken(
        Deadlines._main,
        ("    self._wakes_at = inf\n", "    pass\n"),
        ("    self._take_arrivals()\n", "    self._take_arrivals()\n        self._wakes_at = inf\n"),
    )
    monkeypatch.setattr(Deadlines, "_main", late)

    found = watches.explore(lambda: HandOver(watches, monkeypatch, (10, 40)))

    assert "slept through" in found.reason
    report(12, f"seeded bug, look before saying so: found in interleaving {found.interleavings}")


# -- giving up ----------------------------------------------------------------------------------


class Watching:
    """As much of a watch as a deadline uses."""

    name = "model"
    grace = GRACE

    def __init__(self) -> None:
        self.live: dict[Deadline, bool] = {}


class GiveUp:
    """A call's task ends in some way while its deadline gives it up, and its worker is lost."""

    def __init__(self, end: Callable[[Deadline], object]) -> None:
        self.sink = CountingSink()
        watch = Watching()
        deadline = Deadline(watch, make_call(self.sink), inf, inf)
        deadline.has_passed = deadline.is_cause = True
        watch.live[deadline] = True
        self.threads = [
            deadline.give_up,
            lambda: end(deadline),
            lambda: deadline.settle_error(RuntimeError("lost")),
        ]

    def check(self) -> None:
        """It has one outcome."""
        assert len(self.sink.outcomes) == 1, f"settled with {self.sink.outcomes}"


ENDS: dict[str, Callable[[Deadline], object]] = {
    "value": lambda deadline: deadline.settle_value(1),
    "cancelled": Deadline.settle_cancelled,
}


@pytest.mark.parametrize("end", ENDS)
def test_what_is_given_up_is_settled_once(end: str, expected_logs: object) -> None:
    """Its end, its deadline and the loss of its worker settle a call once between them."""
    found = Scheduler("_deadline.py").explore(
        lambda: GiveUp(ENDS[end]), preemptions=2 if end == "value" else 1
    )

    assert found.order is None, found
    report(12, f"end against deadline and loss: {found.interleavings} interleavings, 0 violations")


def test_giving_up_without_the_claim_is_found(monkeypatch: pytest.MonkeyPatch, expected_logs: object) -> None:
    """Seeded bug: who looks whether the call has its outcome, and does not take it, settles it again."""
    claimless = broken(Deadline._release, ("self._watch.live.pop(self, False)", "self._watch.live.get(self)"))
    monkeypatch.setattr(Deadline, "_release", claimless)

    found = Scheduler("_deadline.py").explore(lambda: GiveUp(ENDS["value"]))

    # Twice to the same sink, or once more when the sink was let go.
    assert "settled with" in found.reason or "no attribute 'settle" in found.reason
    report(12, f"seeded bug, give up without the claim: found in interleaving {found.interleavings}")
