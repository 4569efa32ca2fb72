"""A mailbox, several putters and one loop: nothing is left lying without a wake-up on its way."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, cast

import pytest

from polyloop import _mailbox
from polyloop._mailbox import Mailbox
from tests._scorecard import report
from tests.model.doubles import ModelLoop, broken, explores_mailbox
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores mailboxes."""
    return explores_mailbox(monkeypatch)


def mailbox_on(loop: ModelLoop, handle: Callable[[int], object]) -> Mailbox[int]:
    """A mailbox on a model loop, which is as much of a loop as it needs."""
    return Mailbox[int](cast("asyncio.AbstractEventLoop", loop), handle)


class WakeUp:
    """Each putter puts its items, the first one all at once, while the loop takes them."""

    def __init__(self, scheduler: Scheduler, *putters: Sequence[int]) -> None:
        loop = ModelLoop(scheduler)
        self.putters = putters
        self.handled: list[int] = []
        self.mailbox = mailbox_on(loop, self.handled.append)
        first, *others = putters
        self.threads: list[Callable[[], object]] = [loop.run, lambda: self.mailbox.put_all(first)]
        self.threads += [lambda items=items: self.put_each(items) for items in others]  # type: ignore[misc]

    def put_each(self, items: Sequence[int]) -> None:
        """A putter that puts one by one."""
        for item in items:
            self.mailbox.put(item)

    def check(self) -> None:
        """All items were handled, once and in order."""
        assert sorted(self.handled) == sorted(chain(*self.putters)), f"handled {self.handled}"
        for items in self.putters:
            order = [item for item in self.handled if item in items]
            assert order == list(items), f"out of order: {self.handled}"


class OwnLoop:
    """The handler of an item puts another into the same mailbox, while a thread puts one, too."""

    def __init__(self, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = ModelLoop(scheduler)
        monkeypatch.setattr(_mailbox, "_get_running_loop", lambda: None if scheduler.current else loop)
        self.handled: list[int] = []
        self.mailbox = mailbox_on(loop, self.handle)
        self.threads = [loop.run, lambda: self.mailbox.put(1), lambda: self.mailbox.put(2)]

    def handle(self, item: int) -> None:
        """What the loop does with an item."""
        self.handled.append(item)
        if item == 1:
            self.mailbox.put(10)

    def check(self) -> None:
        """All three were handled."""
        assert sorted(self.handled) == [1, 2, 10], f"handled {self.handled}"


class LoopToLoop:
    """A loop's pass puts an item into the mailbox of another loop, and so does a thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        here, there = ModelLoop(scheduler), ModelLoop(scheduler)
        self.handled: list[int] = []
        far = mailbox_on(there, self.handled.append)
        mailbox_on(here, far.put).put(1)
        self.threads = [here.run, there.run, lambda: far.put(2)]

    def check(self) -> None:
        """Both were handled."""
        assert sorted(self.handled) == [1, 2], f"handled {self.handled}"


def test_no_wake_up_is_lost(scheduler: Scheduler) -> None:
    """Whatever the order of puts and passes, all items are handled, once and in each putter's order."""
    found = scheduler.explore(lambda: WakeUp(scheduler, [1], [2, 3]))

    assert found.order is None, found
    deeper = scheduler.explore(lambda: WakeUp(scheduler, [1, 2]), preemptions=3)
    assert deeper.order is None, deeper
    report(12, f"wake-up: {found.interleavings + deeper.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_between_bounded_passes(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that stops early always leaves a wake-up behind for the rest."""
    monkeypatch.setattr(_mailbox, "PASS_ITEMS", 1)

    found = scheduler.explore(lambda: WakeUp(scheduler, [1, 2], [3]))

    assert found.order is None, found
    report(12, f"wake-up, passes of one item: {found.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_on_the_own_loop(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler puts into its own mailbox, without waking anybody, is handled too."""
    found = scheduler.explore(lambda: OwnLoop(scheduler, monkeypatch))

    assert found.order is None, found
    report(12, f"wake-up, put from the own loop: {found.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_from_loop_to_loop(scheduler: Scheduler) -> None:
    """Wake-ups of other loops wait for the end of a pass; whoever relies on one of them is not let down."""
    found = scheduler.explore(lambda: LoopToLoop(scheduler))

    assert found.order is None, found
    report(12, f"wake-up, loop to loop: {found.interleavings} interleavings, 0 violations")


def test_clearing_the_flag_after_the_last_look_is_found(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeded bug 1: a pass that drains, finds nothing left, and only then clears the flag loses items."""
    late = broken(
        Mailbox._drain,
        ("    self._is_awake = False\n", ""),
        ("if items and not self._is_awake:\n            self._wake()",
         "if items:\n            self._wake()\n        else:\n            self._is_awake = False"),
    )  # fmt: skip
    monkeypatch.setattr(Mailbox, "_drain", late)

    found = scheduler.explore(lambda: WakeUp(scheduler, [1], [2]))

    assert "handled [1]" in found.reason or "handled [2]" in found.reason
    assert found.order is not None
    # A counter-example is replayed exactly, for whoever has to understand it.
    for _ in range(3):
        assert scheduler.replay(lambda: WakeUp(scheduler, [1], [2]), found.order) == found.reason
    report(12, f"seeded bug, drain before clear: found in interleaving {found.interleavings}")
