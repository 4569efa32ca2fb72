"""A mailbox, many putters and one loop: nothing put is left lying without a wake-up on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from polyloop import _mailbox
from polyloop._mailbox import Mailbox
from tests._scorecard import report
from tests.model.doubles import ModelLoop, broken
from tests.model.explorer import Model, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores `_mailbox`, with time standing still and every wake-up seen."""
    scheduler = Scheduler("_mailbox.py")
    monkeypatch.setattr(_mailbox, "make_waker", lambda loop, answer: loop.waker(answer))
    monkeypatch.setattr(_mailbox, "_get_running_loop", lambda: None)
    monkeypatch.setattr(_mailbox, "perf_counter", lambda: 0.0)
    return scheduler


def wake_up(scheduler: Scheduler, *putters: list[int]) -> Callable[[], Model]:
    """Each putter puts its items, one by one, while the loop takes them."""

    def setup() -> Model:
        loop = ModelLoop(scheduler)
        handled: list[int] = []
        mailbox = Mailbox[int](loop, handled.append)  # type: ignore[arg-type]  # as much of a loop as it needs

        def putter(items: list[int]) -> Callable[[], None]:
            return lambda: [mailbox.put(item) for item in items] and None

        def check() -> None:
            assert sorted(handled) == sorted(sum(putters, [])), f"handled {handled}"
            for items in putters:
                assert [item for item in handled if item in items] == items, f"order {handled}"

        return Model([loop.run, *map(putter, putters)], check)

    return setup


def test_no_wake_up_is_lost(scheduler: Scheduler) -> None:
    """Whatever the order of puts and passes, all items are handled, once and in each putter's order."""
    found = scheduler.explore(wake_up(scheduler, [1, 2], [3]), preemptions=2)

    assert found.order is None, found
    report(12, f"wake-up: {found.interleavings} interleavings, 2 preemptions, 0 violations")
