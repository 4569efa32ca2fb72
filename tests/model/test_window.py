"""A map's consumer and the workers that settle its items: the bell rings when there is something to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from polyloop._window import Window
from tests._scorecard import report
from tests.model.doubles import broken
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyloop._messages import Call


class Target:
    """Takes a map's calls and leaves them to the workers of the model."""

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
