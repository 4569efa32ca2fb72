"""Handing something in while the place closes: it is taken or refused, and always answered for."""

from __future__ import annotations

from collections import Counter
from contextvars import Context
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import _dispatch
from polyloop._dispatch import Desk, Dispatch
from polyloop._errors import PoolClosed
from polyloop._mailbox import Mailbox, MailboxClosed
from polyloop._messages import Call
from tests._scorecard import report
from tests.model.doubles import ModelLoop, ModelThreading, broken, explores_mailbox
from tests.model.explorer import Model, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable


def put_against_close(scheduler: Scheduler, *, is_given_up: bool = False) -> Callable[[], Model]:
    """Two putters, and the loop's own thread, which ends at some time.

    Args:
        scheduler: The one to use.
        is_given_up: Whether the mailbox is closed by another thread, too, as that of a blocked worker is.
    """

    def setup() -> Model:
        loop = ModelLoop(scheduler)
        answers: Counter[int] = Counter()
        mailbox = Mailbox[int](loop, lambda item: answers.update([item]))  # type: ignore[arg-type]

        def put() -> None:
            try:
                mailbox.put(1)
            except MailboxClosed:
                answers[1] += 1

        def put_all() -> None:
            try:
                mailbox.put_all([2])
            except MailboxClosed as error:
                answers.update(error.args[0])

        def close() -> None:
            answers.update(mailbox.close())

        def live_and_end() -> None:
            loop.turn()
            close()
            loop.close()

        def check() -> None:
            left = mailbox.close()
            assert not left, f"{left} came in after the mailbox was closed"
            expected = {1: 1} if is_given_up else {1: 1, 2: 1}
            assert answers == expected, f"handled, returned or refused: {dict(answers)}"

        return Model([put, close if is_given_up else put_all, live_and_end], check)

    return setup


def retract_against_close(scheduler: Scheduler) -> Callable[[], Model]:
    """One thread puts an item and wants it back, while the loop takes it and another thread closes."""

    def setup() -> Model:
        loop = ModelLoop(scheduler)
        answers: list[str] = []
        mailbox = Mailbox[int](loop, lambda _: answers.append("handled"))  # type: ignore[arg-type]

        def put_and_retract() -> None:
            try:
                mailbox.put(1)
            except MailboxClosed:
                answers.append("refused")
                return
            if mailbox.retract(1):
                answers.append("retracted")

        def close() -> None:
            answers.extend("returned" for _ in mailbox.close())

        def check() -> None:
            assert len(answers) == 1, f"answers {answers}"

        return Model([put_and_retract, close, loop.run], check)

    return setup


class CountingSink:
    """Counts how often a call was settled."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def started(self) -> None:
        """Nothing to count."""

    def settle_value(self, value: Any, /) -> None:
        """Count."""
        self.outcomes.append("value")

    def settle_error(self, error: BaseException, /) -> None:
        """Count."""
        self.outcomes.append("error")

    def settle_cancelled(self) -> None:
        """Count."""
        self.outcomes.append("cancelled")


def accept_against_shut(scheduler: Scheduler) -> Callable[[], Model]:
    """The only place is taken; a call is handed in and cancelled while the place comes free and the pool is shut."""

    def setup() -> Model:
        dispatch = Dispatch(limit=1, backlog=None, refusal=lambda: PoolClosed("not open"))
        desk = Desk(0)
        sent: list[object] = []
        desk.send = sent.append
        desk.send_calls = sent.extend
        dispatch.open_desk(desk)
        dispatch.let_in()
        first, second = (Call(dispatch, check_nothing, (), {}, Context()) for _ in range(2))
        second.sink = sink = CountingSink()
        dispatch.accept(first)
        refused: list[Call] = []
        withdrawn: list[Call] = []

        def submit_and_cancel() -> None:
            try:
                dispatch.accept(second)
            except PoolClosed:
                refused.append(second)
            dispatch.cancel(second)

        def end_first() -> None:
            desk.tally.ended += 1
            if desk.is_wanted:
                dispatch.ended(desk)

        def shut() -> None:
            dispatch.shut(lambda: PoolClosed("closed"))
            withdrawn.extend(dispatch.withdraw_all())

        def check() -> None:
            assert dispatch.backlog == 0, "a call is left in the backlog"
            places = [*[place for place in (refused, withdrawn, sent) if second in place], *sink.outcomes]
            assert len(places) == 1, f"the call is in {places}"

        return Model([submit_and_cancel, end_first, shut], check)

    return setup


async def check_nothing() -> None:
    """Is never run."""


@pytest.fixture
def mailboxes(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores mailboxes."""
    return explores_mailbox(monkeypatch)


@pytest.fixture
def dispatches(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores the pool's entrance and its bookkeeping."""
    scheduler = Scheduler("_dispatch.py", "_placement.py")
    monkeypatch.setattr(_dispatch, "threading", ModelThreading(scheduler))
    return scheduler


def test_a_mailbox_answers_for_every_item(mailboxes: Scheduler) -> None:
    """Each item is handled, returned by close() or refused: never two of these, never none."""
    found = mailboxes.explore(put_against_close(mailboxes))

    assert found.order is None, found
    report(12, f"put against close: {found.interleavings} interleavings, 0 violations")


def test_a_mailbox_that_is_closed_twice_answers_for_every_item(mailboxes: Scheduler) -> None:
    """The same when its worker is given up by the pool while its loop comes to an end."""
    found = mailboxes.explore(put_against_close(mailboxes, is_given_up=True), preemptions=3)

    assert found.order is None, found
    report(12, f"put against two closes: {found.interleavings} interleavings, 0 violations")


def test_what_was_retracted_is_nowhere_else(mailboxes: Scheduler) -> None:
    """An item is retracted, handled, returned or refused: one of these only."""
    found = mailboxes.explore(retract_against_close(mailboxes))

    assert found.order is None, found
    report(12, f"retract against close: {found.interleavings} interleavings, 0 violations")


def test_an_accepted_call_is_in_one_place(dispatches: Scheduler) -> None:
    """Each call is refused, sent, withdrawn by who shuts the pool, or cancelled before it was sent."""
    found = dispatches.explore(accept_against_shut(dispatches))

    assert found.order is None, found
    report(12, f"accept against shut: {found.interleavings} interleavings, 0 violations")


def test_looking_before_putting_is_found(mailboxes: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug 2: a put that looks whether the mailbox is closed, and then appends, loses the item."""
    early = broken(
        Mailbox.put,
        ("    self._items.append(item)\n    if self._is_closed:\n        self._take_back(item)",
         "    if self._is_closed:\n        raise MailboxClosed\n    self._items.append(item)\n    if False:\n        pass"),
    )  # fmt: skip
    monkeypatch.setattr(Mailbox, "put", early)

    found = mailboxes.explore(put_against_close(mailboxes))

    assert "came in after the mailbox was closed" in found.reason or "handled, returned" in found.reason
    report(12, f"seeded bug, look before append: found in interleaving {found.interleavings}")
