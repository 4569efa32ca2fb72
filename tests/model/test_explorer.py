"""The search itself: what it leaves out makes no difference."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.model.doubles import explores_mailbox
from tests.model.explorer import Scheduler
from tests.model.steps import ANYTHING, Touch, is_conflict
from tests.model.test_result_against_cancel import Callbacks, explores_futures
from tests.model.test_submit_against_close import RetractAgainstClose
from tests.model.test_wake_up import WakeUp
from tests.model.test_window import Taking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.model.explorer import Model, Order

# A step: who takes it, and what it touches.
Step = tuple[int, Touch]

# What explores it, how it is made, and with how many preemptions: with two, most take too long.
MODELS: dict[str, tuple[Callable[[pytest.MonkeyPatch], Scheduler], Callable[[Scheduler], Model], int]] = {
    "callbacks": (explores_futures, lambda _: Callbacks(removes=True), 1),
    "window": (lambda _: Scheduler("_window.py"), lambda it: Taking(it, is_ordered=True), 1),
    "wake-up": (explores_mailbox, lambda it: WakeUp(it, [1], [2, 3]), 1),
    "retract": (explores_mailbox, RetractAgainstClose, 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_order_is_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that is left out differs from one that is tried only in steps that do not conflict."""
    make, setup, preemptions = MODELS[name]

    tried = kinds_of_orders(make(monkeypatch), setup, preemptions, are_left_out=True)
    all_ = kinds_of_orders(make(monkeypatch), setup, preemptions, are_left_out=False)

    assert tried == all_


def kinds_of_orders(
    scheduler: Scheduler, setup: Callable[[Scheduler], Model], preemptions: int, *, are_left_out: bool
) -> set[frozenset[object]]:
    """What kinds of orders a search tries, with sleeping threads or without."""
    kinds: set[frozenset[object]] = set()
    taken: list[Step] = []
    run, wake_sleepers = scheduler._run, scheduler._wake_sleepers

    def recording_run(model: Model, order: Order) -> str:
        taken.clear()
        reason = run(model, order)
        kinds.add(kind_of(taken))
        return reason

    def recording_wake_sleepers(touch: Touch) -> None:
        assert scheduler.current is not None
        taken.append((scheduler.current, touch))
        wake_sleepers(touch if are_left_out else ANYTHING)

    scheduler._run = recording_run  # type: ignore[method-assign]
    scheduler._wake_sleepers = recording_wake_sleepers  # type: ignore[method-assign]
    scheduler.explore(lambda: setup(scheduler), preemptions)
    return kinds


def kind_of(steps: Sequence[Step]) -> frozenset[object]:
    """What an order has in common with all that only exchange steps which do not conflict.

    It is, for each step, how many steps of each thread have to come before it.
    """
    befores: list[Counter[int]] = []
    for number, (thread, touch) in enumerate(steps):
        before: Counter[int] = Counter()
        for (other, others_touch), others_before in zip(steps[:number], befores, strict=True):
            if other == thread or is_conflict(touch, others_touch):
                before |= others_before
        before[thread] += 1
        befores.append(before)
    return frozenset(
        (step, tuple(sorted(before.items()))) for step, before in zip(steps, befores, strict=True)
    )
