"""Handing something in while the place closes: it is taken or refused, and always answered for."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from polyloop import _turns
from polyloop._desks import Desk
from polyloop._dispatch import Dispatch
from polyloop._errors import PoolClosed
from polyloop._mailbox import Mailbox, MailboxClosed
from tests._idle_calls import CountingSink, make_call, silent_roster
from tests._scorecard import report
from tests.model.doubles import ModelLock, ModelLoop, broken, explores_mailbox
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from polyloop._messages import Call


@pytest.fixture
def mailboxes(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores mailboxes."""
    return explores_mailbox(monkeypatch)


@pytest.fixture
def dispatches(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """Explores the pool's entrance. Its bookkeeping runs in one go: all of it is under the lock here."""
    scheduler = Scheduler("_dispatch.py", "_desks.py", "_admission.py", "_turns.py")
    monkeypatch.setattr(_turns, "Lock", partial(ModelLock, scheduler))
    return scheduler


# -- mailboxes ----------------------------------------------------------------------------------


class PutAgainstClose:
    """Putters, and the loop's own thread, which takes what is there and ends.

    Args:
        scheduler: The one to use.
        is_given_up: Whether the mailbox is closed by another thread, too, as that of a blocked worker is.
    """

    def __init__(self, scheduler: Scheduler, *, is_given_up: bool = False) -> None:
        self.loop = ModelLoop(scheduler)
        # How often each item was handled, returned or refused.
        self.answers: Counter[int] = Counter()
        self.mailbox = Mailbox[int](
            cast("asyncio.AbstractEventLoop", self.loop), lambda item: self.answers.update([item])
        )
        self.expected = {1: 1} if is_given_up else {1: 1, 2: 1}
        self.threads: list[Callable[[], object]] = [
            self.put,
            self.close if is_given_up else self.put_all,
            self.live_and_end,
        ]

    def put(self) -> None:
        """One putter."""
        try:
            self.mailbox.put(1)
        except MailboxClosed:
            self.answers[1] += 1

    def put_all(self) -> None:
        """The other one."""
        try:
            self.mailbox.put_all([2])
        except MailboxClosed as error:
            self.answers.update(error.args[0])

    def close(self) -> None:
        """Close the mailbox and answer for what was in it."""
        self.answers.update(self.mailbox.close())

    def live_and_end(self) -> None:
        """One turn of the loop, which may have nothing to do, and its end."""
        self.loop.turn()
        self.close()
        self.loop.close()

    def check(self) -> None:
        """Each item was answered for once."""
        left = self.mailbox.close()
        assert not left, f"{left} came in after the mailbox was closed"
        assert self.answers == self.expected, f"handled, returned or refused: {dict(self.answers)}"


class RetractAgainstClose:
    """One thread puts an item and wants it back, while the loop takes it and another thread closes."""

    def __init__(self, scheduler: Scheduler) -> None:
        loop = ModelLoop(scheduler)
        self.answers: list[str] = []
        self.mailbox = Mailbox[int](
            cast("asyncio.AbstractEventLoop", loop), lambda _: self.answers.append("handled")
        )
        self.threads = [self.put_and_retract, self.close, loop.run]

    def put_and_retract(self) -> None:
        """The one who wants it back."""
        try:
            self.mailbox.put(1)
        except MailboxClosed:
            self.answers.append("refused")
            return
        if self.mailbox.retract(1):
            self.answers.append("retracted")

    def close(self) -> None:
        """The one who closes."""
        self.answers.extend("returned" for _ in self.mailbox.close())

    def check(self) -> None:
        """The item had one end."""
        assert len(self.answers) == 1, f"answers {self.answers}"


def test_a_mailbox_answers_for_every_item(mailboxes: Scheduler) -> None:
    """Each item is handled, returned by close() or refused: never two of these, never none."""
    found = mailboxes.explore(lambda: PutAgainstClose(mailboxes))

    assert found.order is None, found
    report(12, f"put against close: {found.interleavings} interleavings, 0 violations")


def test_a_mailbox_that_is_closed_twice_answers_for_every_item(mailboxes: Scheduler) -> None:
    """The same when its worker is given up by the pool while its loop comes to an end."""
    found = mailboxes.explore(lambda: PutAgainstClose(mailboxes, is_given_up=True), preemptions=3)

    assert found.order is None, found
    report(12, f"put against two closes: {found.interleavings} interleavings, 3 preemptions, 0 violations")


def test_what_was_retracted_is_nowhere_else(mailboxes: Scheduler) -> None:
    """An item is retracted, handled, returned or refused: one of these only."""
    found = mailboxes.explore(lambda: RetractAgainstClose(mailboxes))

    assert found.order is None, found
    report(12, f"retract against close: {found.interleavings} interleavings, 0 violations")


def test_looking_before_putting_is_found(mailboxes: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug 2: a put that looks whether the mailbox is closed, and then appends, loses the item."""
    early = broken(
        Mailbox.put,
        ("    self._items.append(item)\n    if self._is_closed:\n        self._take_back(item)\n    elif",
         "    if self._is_closed:\n        raise MailboxClosed\n    self._items.append(item)\n    if"),
    )  # fmt: skip
    monkeypatch.setattr(Mailbox, "put", early)

    found = mailboxes.explore(lambda: PutAgainstClose(mailboxes))

    assert "came in after the mailbox was closed" in found.reason
    report(12, f"seeded bug, look before append: found in interleaving {found.interleavings}")


# -- the pool's entrance ------------------------------------------------------------------------


class AcceptAgainstShut:
    """The only place is taken; a call is handed in while the pool is shut and emptied.

    Args:
        scheduler: The one to use.
        is_cancelled: Whether the call is cancelled. If not, the place comes free meanwhile.
    """

    def __init__(self, scheduler: Scheduler, *, is_cancelled: bool) -> None:
        self.scheduler = scheduler
        self.dispatch = Dispatch(silent_roster(1), lambda: PoolClosed("not open"))
        self.desk = Desk(0)
        self.sent: list[object] = []
        self.desk.send = self.sent.append
        self.desk.send_calls = self.sent.extend
        self.dispatch.open_desk(self.desk)
        self.dispatch.let_in()
        self.dispatch.accept(make_call())
        self.sink = CountingSink()
        self.call = make_call(self.sink)
        self.refused: list[Call] = []
        self.withdrawn: list[Call] = []
        self.is_cancelled = is_cancelled
        self.threads = [self.submit, self.shut, *([] if is_cancelled else [self.end_first])]

    def submit(self) -> None:
        """Hand the call in, and cancel it if it is to be."""
        try:
            self.dispatch.accept(self.call)
        except PoolClosed:
            self.refused.append(self.call)
        if self.is_cancelled:
            self.dispatch.cancel(self.call)

    def shut(self) -> None:
        """Accept nothing more, and take what waits."""
        self.dispatch.shut(lambda: PoolClosed("closed"))
        self.withdrawn.extend(self.dispatch.withdraw_all())

    def end_first(self) -> None:
        """The call that has the place ends."""
        self.scheduler.touch()
        self.desk.tally.ended += 1
        if self.desk.is_wanted:
            self.dispatch.ended(self.desk)

    def check(self) -> None:
        """The call is in one place."""
        assert self.dispatch.backlog == 0, "a call is left in the backlog"
        places = [place for place in (self.refused, self.withdrawn, self.sent) if self.call in place]
        assert len(places) + len(self.sink.outcomes) == 1, f"{places}, settled: {self.sink.outcomes}"


def test_an_accepted_call_is_in_one_place(dispatches: Scheduler) -> None:
    """Each call is refused, sent, withdrawn by who shuts the pool, or cancelled before it was sent."""
    ends = dispatches.explore(lambda: AcceptAgainstShut(dispatches, is_cancelled=False))
    cancels = dispatches.explore(lambda: AcceptAgainstShut(dispatches, is_cancelled=True))

    assert ends.order is None, ends
    assert cancels.order is None, cancels
    count = ends.interleavings + cancels.interleavings
    report(12, f"accept against shut: {count} interleavings, 0 violations")
