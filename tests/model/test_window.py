"""A map's consumer and the workers that settle its items: the bell rings when there is something to take."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop._keyed_window import CappedWindow
from polyloop._window import Window
from tests._scorecard import report
from tests.model.doubles import broken
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyloop._messages import Call


class Target:
    """Takes a map's calls and leaves them to the workers of the model."""

    slots = 1

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def accept_all(self, calls: Sequence[Call]) -> None:
        """See `Dispatch`."""
        self.calls.extend(calls)


class ModelBell:
    """A bell that the consumer waits for in the scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_rung = False

    def ring(self) -> None:
        """See `Bell`."""
        self._is_rung = True

    def wait(self) -> None:
        """See `Bell`."""
        self._scheduler.wait(lambda: self._is_rung)
        self._is_rung = False


async def nothing(_: int) -> None:
    """Is never run."""


class Taking:
    """The consumer takes two items, and each settles in a thread of its own."""

    def __init__(self, scheduler: Scheduler, *, is_ordered: bool) -> None:
        target = Target()
        self.window = Window(cast("Any", target), nothing, size=2, is_ordered=is_ordered, unpacks=False)
        self.window.bell = self.bell = ModelBell(scheduler)
        self.window.submit([0, 1])
        self.is_ordered = is_ordered
        self.taken: list[int] = []
        first, second = (call.sink for call in target.calls)
        self.threads = [
            self.consume,
            lambda: first.settle_value(None),
            lambda: second.settle_value(None),
        ]

    def consume(self) -> None:
        """The consumer."""
        while len(self.taken) < 2:
            item = self.window.take()
            if item is not None:
                self.taken.append(item.value)
            elif self.window.expect():
                self.bell.wait()

    def check(self) -> None:
        """It has both, in order if there is one."""
        assert (self.taken if self.is_ordered else sorted(self.taken)) == [0, 1], f"taken {self.taken}"
        assert not len(self.window)


@pytest.mark.parametrize("is_ordered", [True, False], ids=["ordered", "unordered"])
def test_the_consumer_of_a_map_is_always_woken(is_ordered: bool) -> None:
    """Whenever items settle, the consumer gets all of them, each once."""
    scheduler = Scheduler("_window.py")

    found = scheduler.explore(lambda: Taking(scheduler, is_ordered=is_ordered))

    assert found.order is None, found
    report(12, f"settled items against the consumer: {found.interleavings} interleavings, 0 violations")


def test_expecting_after_the_last_look_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that says what it waits for only after its last look sleeps on."""
    scheduler = Scheduler("_window.py")
    late = broken(
        Window.expect,
        ("    if self._open is None", "    has_next = self.has_next\n    if self._open is None"),
        ("is_ending else self.has_next:", "is_ending else has_next:"),
    )
    monkeypatch.setattr(Window, "expect", late)

    found = scheduler.explore(lambda: Taking(scheduler, is_ordered=False))

    assert "deadlock" in found.reason
    report(12, f"seeded bug, expecting after the last look: found in interleaving {found.interleavings}")


class Capping:
    """A consumer of items with keys, one of each at a time, that pulls whenever there is room.

    The worker ends what it was sent as it is told to: an item that was not sent it waits for.
    """

    def __init__(self, scheduler: Scheduler, keys: str, ends: str, *, size: int, is_ordered: bool) -> None:
        self.target = Target()
        self.window = CappedWindow(
            cast("Any", self.target),
            nothing,
            size=size,
            is_ordered=is_ordered,
            unpacks=False,
            key=keys.__getitem__,
            per_key=1,
            ends_with_errors=True,
        )
        self.window.bell = self.bell = ModelBell(scheduler)
        self.is_ordered = is_ordered
        self.source = list(range(len(keys)))
        self.ends = [int(item) for item in ends]
        self.taken: list[int] = []
        self._scheduler = scheduler
        self.threads = [self.consume, self.work]
        while self.source and self.window.free:
            self.window.submit([self.source.pop(0)])

    def work(self) -> None:
        """The worker."""
        for value in self.ends:
            self._scheduler.wait(functools.partial(self.call_of, value))
            cast("Call", self.call_of(value)).sink.settle_value(None)

    def call_of(self, value: int) -> Call | None:
        """The call of this item, if it was sent."""
        return next((call for call in self.target.calls if call.args == (value,)), None)

    def consume(self) -> None:
        """The consumer."""
        while len(self.taken) < len(self.ends):
            item = self.window.take()
            if item is not None:
                self.taken.append(item.value)
            if self.source and self.window.free:
                self.window.submit([self.source.pop(0)])
            elif item is None and self.window.expect():
                self.bell.wait()

    def check(self) -> None:
        """It has all, in order if there is one."""
        assert (self.taken if self.is_ordered else sorted(self.taken)) == sorted(self.ends)
        assert not len(self.window)


@pytest.mark.parametrize("is_ordered", [True, False], ids=["ordered", "unordered"])
def test_the_next_of_a_key_always_follows(is_ordered: bool) -> None:
    """Whenever an item settles, the next of its key is sent, though one before it takes longer."""
    scheduler = Scheduler("_keyed_window.py")

    found = scheduler.explore(lambda: Capping(scheduler, "abb", "120", size=3, is_ordered=is_ordered))

    assert found.order is None, found
    report(12, f"the next of a key against the consumer: {found.interleavings} interleavings, 0 violations")


def test_a_worker_that_looks_before_it_reports_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that sees who waits before it says that a key has room lets the next item wait for ever."""
    scheduler = Scheduler("_keyed_window.py")
    early = broken(
        CappedWindow.settled,
        ("self._settled.append(item)", "Window.settled(self, item)"),
        ("super().settled(item)", "self._settled.append(item)"),
    )
    monkeypatch.setattr(CappedWindow, "settled", early)

    found = scheduler.explore(lambda: Capping(scheduler, "abb", "120", size=3, is_ordered=True))

    assert "deadlock" in found.reason
    report(12, f"seeded bug, looking before reporting: found in interleaving {found.interleavings}")


def test_nobody_takes_the_place_of_who_waited_for_it() -> None:
    """An item that is delivered before its worker has reported leaves its place to the next of its key."""
    scheduler = Scheduler("_keyed_window.py")

    found = scheduler.explore(
        lambda: Capping(scheduler, "aabc", "0123", size=2, is_ordered=True), preemptions=1
    )

    assert found.order is None, found
    report(12, f"a place that comes free in a capped map: {found.interleavings} interleavings, 0 violations")


def test_counting_on_the_workers_report_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that takes an item and gives its place away before the worker's report is stuck."""
    scheduler = Scheduler("_keyed_window.py")
    counting = broken(
        CappedWindow.take, ("super().take()", "Window.take(self)"), ("self._note_end(item)", "pass")
    )
    monkeypatch.setattr(CappedWindow, "take", counting)

    found = scheduler.explore(
        lambda: Capping(scheduler, "aabc", "0123", size=2, is_ordered=True), preemptions=1
    )

    assert "deadlock" in found.reason
    report(12, f"seeded bug, counting on the report: found in interleaving {found.interleavings}")
