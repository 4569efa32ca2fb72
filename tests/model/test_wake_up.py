"""A mailbox, several putters and one loop: nothing is left lying without a wake-up on its way."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from polyloop import _mailbox
from polyloop._mailbox import Mailbox
from tests._scorecard import report
from tests.model.doubles import ModelLoop, broken, explores_mailbox
from tests.model.explorer import Model, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOP = 0


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores mailboxes."""
    return explores_mailbox(monkeypatch)


def wake_up(scheduler: Scheduler, *putters: Sequence[int]) -> Callable[[], Model]:
    """Each putter puts its items, the first one all at once, while the loop takes them."""

    def setup() -> Model:
        loop = ModelLoop(scheduler)
        handled: list[int] = []
        mailbox = Mailbox[int](loop, handled.append)  # type: ignore[arg-type]  # as much of a loop as it needs

        def put_each(items: Sequence[int]) -> None:
            for item in items:
                mailbox.put(item)

        def check() -> None:
            assert sorted(handled) == sorted(chain(*putters)), f"handled {handled}"
            for items in putters:
                assert [item for item in handled if item in items] == list(items), f"out of order: {handled}"

        first, *others = putters
        threads = [lambda items=items: put_each(items) for items in others]
        return Model([loop.run, lambda: mailbox.put_all(first), *threads], check)

    return setup


def test_no_wake_up_is_lost(scheduler: Scheduler) -> None:
    """Whatever the order of puts and passes, all items are handled, once and in each putter's order."""
    found = scheduler.explore(wake_up(scheduler, [1], [2, 3]))

    assert found.order is None, found
    deeper = scheduler.explore(wake_up(scheduler, [1, 2]), preemptions=3)
    assert deeper.order is None, deeper
    report(12, f"wake-up: {found.interleavings + deeper.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_between_bounded_passes(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that stops early always leaves a wake-up behind for the rest."""
    monkeypatch.setattr(_mailbox, "PASS_ITEMS", 1)

    found = scheduler.explore(wake_up(scheduler, [1, 2], [3]))

    assert found.order is None, found
    report(12, f"wake-up, passes of one item: {found.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_on_the_own_loop(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a handler puts into its own mailbox, without waking anybody, is handled too."""

    def setup() -> Model:
        loop = ModelLoop(scheduler)
        handled: list[int] = []

        def handle(item: int) -> None:
            handled.append(item)
            if item == 1:
                mailbox.put(10)

        monkeypatch.setattr(_mailbox, "_get_running_loop", lambda: loop if scheduler.current == LOOP else None)
        mailbox = Mailbox[int](loop, handle)  # type: ignore[arg-type]

        def check() -> None:
            assert sorted(handled) == [1, 2, 10], f"handled {handled}"

        return Model([loop.run, lambda: mailbox.put(1), lambda: mailbox.put(2)], check)

    found = scheduler.explore(setup)

    assert found.order is None, found
    report(12, f"wake-up, put from the own loop: {found.interleavings} interleavings, 0 violations")


def test_no_wake_up_is_lost_from_loop_to_loop(scheduler: Scheduler) -> None:
    """Wake-ups of other loops wait for the end of a pass; whoever relies on one of them is not let down."""

    def setup() -> Model:
        here, there = ModelLoop(scheduler), ModelLoop(scheduler)
        handled: list[int] = []
        far = Mailbox[int](there, handled.append)  # type: ignore[arg-type]
        near = Mailbox[int](here, far.put)  # type: ignore[arg-type]

        def check() -> None:
            assert sorted(handled) == [1, 2], f"handled {handled}"

        return Model([here.run, there.run, lambda: near.put(1), lambda: far.put(2)], check)

    found = scheduler.explore(setup)

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

    found = scheduler.explore(wake_up(scheduler, [1], [2]))

    assert "handled [1]" in found.reason or "handled [2]" in found.reason
    assert found.order is not None
    # A counter-example is replayed exactly, for whoever has to understand it.
    for _ in range(3):
        assert scheduler.replay(wake_up(scheduler, [1], [2]), found.order) == found.reason
    report(12, f"seeded bug, drain before clear: found in interleaving {found.interleavings}")
