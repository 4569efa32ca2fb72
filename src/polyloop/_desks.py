"""The pool's workers as calls are sent to them: what is decided under its lock is sent under it too.

Placement decides, links carry; this keeps the two in step while threads, signal handlers and finalisers all
come in at once.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from ._admission import Admission
from ._mailbox import MailboxClosed
from ._messages import Cancel
from ._seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._elastic import ElasticRoster
    from ._link import Link
    from ._messages import Call, Command

__all__ = ["Desk", "Desks"]


class Desk(Seat):
    """A seat with the link to the worker that sits on it."""

    link: Link
    send: Callable[[Command], None]
    send_calls: Callable[[Sequence[Call]], None]


class Desks(Admission):
    """Sends calls to workers, and moves the rest up as these report.

    Every change is made under the lock, and so is the sending: outside it, a Cancel could
    overtake its call. Nothing that runs code of the user is done under it.

    A signal handler or a ``__del__`` may come in in the middle of a change, in the same thread: see `Turns`.

    Args:
        roster: Decides where calls go.
        refusal: As for `Admission`.
    """

    def __init__(self, roster: ElasticRoster, refusal: Callable[[], Exception]) -> None:
        super().__init__(roster, refusal)
        self._on_idle: Callable[[], object] | None = None
        # Cancelled before they started: out of the backlog, and to be settled outside the lock.
        self._withdrawn: deque[Call] = deque()

    def when_idle(self, tell: Callable[[], object]) -> None:
        """Call `tell` once nothing waits and nothing runs, which may be now; it may be told twice."""
        self._on_idle = tell
        with self._lock:
            self._roster.want(True)
        self._tell_if_idle()

    def open_desk(self, desk: Desk) -> None:
        """A worker is up: let it have calls."""
        with self._lock:
            self._do(self._open, desk)

    def close_desk(self, desk: Desk) -> None:
        """Give a worker nothing more."""
        with self._lock:
            self._do(self._roster.close, desk)

    def ended(self, desk: Desk) -> None:
        """Tasks have ended on this worker, and something waits for that."""
        with self._lock:
            self._do(self._refill, desk)
        if self._on_idle is not None:
            self._tell_if_idle()

    def retire(self, index: int) -> None:
        """Let the worker that has this place make room for an empty one, if there are quotas."""
        with self._lock:
            self._do(self._roster.retire, index)

    def release(self, desk: Desk) -> None:
        """A worker is gone, and what it had is settled or was moved: nothing need wait for that any more."""
        with self._lock:
            self._do(self._roster.release, desk)
        self.ended(desk)

    def move(self, calls: Sequence[Call]) -> None:
        """Calls that never started on a worker that is gone: first in line for the others."""
        with self._lock:
            # Each goes to the front, so the first of them has to be the last one put there.
            for call in reversed(calls):
                self._do(self._place_again, call)

    def withdraw_all(self) -> list[Call]:
        """Take everything out of the backlog; the caller settles it."""
        calls: list[Call] = []
        with self._lock:
            self._do(lambda: calls.extend(self._roster.withdraw_all()))
        return calls

    @property
    def backlog(self) -> int:
        """How many calls wait for a worker."""
        return self._roster.backlog

    # -- fewer workers, or more --------------------------------------------------------------

    def give_notice(self, index: int) -> None:
        """Have the worker of this place get only what is pinned there, and leave after that."""
        with self._lock:
            self._do(self._roster.give_notice, index)

    def give_up(self, index: int) -> bool:
        """Do without a worker for this place, if it is on notice and none is there or needed.

        Returns:
            Whether it is so.
        """
        return self._ask(self._roster.give_up, index) == [True]

    def take_back(self, index: int) -> bool:
        """Keep the worker of a place that is on notice; whether there is one, or one is on its way."""
        return self._ask(self._take_back, index) == [True]

    def renew(self, index: int) -> None:
        """Let the next worker of a place that was given up take calls."""
        with self._lock:
            self._do(self._roster.renew, index)

    def _ask(self, change: Callable[[int], bool], index: int) -> list[bool]:
        """What a change answers; nothing when it had to be left to somebody else."""
        answers: list[bool] = []
        with self._lock:
            self._do(lambda: answers.append(change(index)))
        return answers

    # -- outside the lock --------------------------------------------------------------------

    def _settle_withdrawn(self) -> None:
        while self._withdrawn:
            try:
                call = self._withdrawn.popleft()
            except IndexError:
                return  # another thread took the last one
            call.sink.settle_cancelled()
        if self._on_idle is not None:
            self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        with self._lock:
            is_idle = self._roster.is_idle
        if is_idle and self._on_idle is not None:
            self._on_idle()

    # -- under the lock ----------------------------------------------------------------------

    def _put_aside_again(self, change: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """Ctrl-C has landed in the middle of a change whose maker has gone on, and counts on it."""
        if change == self._cancel:
            self._aside.append((change, arguments))
        elif change == self._place and arguments[0].seat is None:
            # It was not begun, or was called off before it had a seat. Its future is in somebody's hands.
            self._aside.append((change, arguments))

    def _place(self, call: Call) -> None:
        desk: Any = None
        try:
            desk = self._roster.admit(call)
            if desk is not None:
                desk.send(call)
        except MailboxClosed:
            # The worker has ended, and its report of that is on its way.
            self._roster.close(cast("Seat", desk))
            self._place_again(call)
        except BaseException:
            self._call_off(call)
            raise

    def _place_all(self, calls: Sequence[Call]) -> None:
        try:
            for seat, share in self._roster.admit_all(calls):
                self._send_all(cast("Desk", seat), share)
        except BaseException:
            for call in calls:
                self._call_off(call)
            raise

    def _call_off(self, call: Call) -> None:
        """Ctrl-C has landed in the middle of placing a call, as it can on any line of the main thread.

        Its submit() raises, so nobody holds the future, and the call must not start. It may or may not
        be on its way: sent once more it surely is, and the worker takes it, and counts it, only once.
        """
        call.is_cancelling = True
        self._roster.withdraw(call)
        if call.seat is not None:
            with contextlib.suppress(MailboxClosed):
                cast("Desk", call.seat).send(call)

    def _place_on(self, desk: Desk, call: Call) -> None:
        self._roster.give(call, desk)
        self._send_all(desk, [call])

    def _place_again(self, call: Call) -> None:
        seat = self._roster.readmit(call)
        if seat is not None:
            self._send_all(cast("Desk", seat), [call])

    def _send_all(self, desk: Desk, calls: Sequence[Call]) -> None:
        try:
            desk.send_calls(calls)
        except MailboxClosed as error:
            self._roster.close(desk)
            for call in reversed(error.args[0]):
                self._place_again(call)

    def _cancel(self, call: Call) -> None:
        if self._roster.withdraw(call):
            self._withdrawn.append(call)
        elif call.seat is not None:
            # If the worker has ended, what becomes of the call is being reported.
            with contextlib.suppress(MailboxClosed):
                cast("Desk", call.seat).send(Cancel(call))

    def _open(self, desk: Desk) -> None:
        calls = self._roster.open(desk)
        if self._on_idle is not None:
            self._roster.want(True)
        if calls:
            self._send_all(desk, calls)

    def _take_back(self, index: int) -> bool:
        try:
            desk = self._roster.take_back(index)
        except KeyError:
            return False
        if desk is not None:
            self._refill(cast("Desk", desk))
        return True

    def _refill(self, desk: Desk) -> None:
        calls = self._roster.refill(desk)
        if self._on_idle is not None:
            self._roster.want(True)
        if calls:
            # Not to this one, perhaps: where it leaves, the next one has room for them.
            self._send_all(cast("Desk", calls[0].seat), calls)

    def _desks(self) -> list[Desk]:
        return cast("list[Desk]", self._roster.seats)
