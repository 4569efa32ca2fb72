"""The pool's entrance: who gets a call is decided under one lock, and sent under it too.

Placement decides, links carry; this keeps the two in step while threads, signal handlers and
finalisers all come in at once.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from ._ancestry import hand_down
from ._coroutines import fail, raised_by
from ._deadlines import Deadlines
from ._errors import BlockingCall, ForkedPool, PoolFull, WorkerLost
from ._local import here
from ._mailbox import MailboxClosed
from ._messages import Cancel
from ._seat import Seat
from ._turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._elastic import ElasticRoster
    from ._link import Link
    from ._local import Worker
    from ._messages import Call, Command

__all__ = ["Desk", "Dispatch"]


class Desk(Seat):
    """A seat with the link to the worker that sits on it."""

    link: Link
    send: Callable[[Command], None]
    send_calls: Callable[[Sequence[Call]], None]


class Dispatch(Turns):
    """Takes calls in, hands them to workers, and moves the rest up as workers report.

    Every change is made under the lock, and so is the sending: outside it, a Cancel could
    overtake its call. Nothing that runs code of the user is done under it.

    A signal handler or a ``__del__`` may come in in the middle of a change, in the same thread: see `Turns`.

    Args:
        roster: Decides where calls go.
        refusal: Makes what a call is told that comes before `let_in`.
        name: The pool's name.
        slots: How many workers there are to be.
        timeout_grace: Seconds that a task has to end once its deadline has passed.
        pack: See `Backend`.

    Attributes:
        slots: How many workers calls can be pinned to. Written by whoever resizes the pool.
    """

    def __init__(
        self,
        roster: ElasticRoster,
        refusal: Callable[[], Exception],
        *,
        name: str = "polyloop",
        slots: int = 1,
        timeout_grace: float = 0.5,
        pack: Callable[[Call], None] | None = None,
    ) -> None:
        self.slots = slots
        self._pack = pack
        self.deadlines = Deadlines(name, timeout_grace, self.cancel, self._check_taking)
        super().__init__()
        self._roster = roster
        self._refusal: Callable[[], Exception] | None = refusal
        self._lets_nested_in = False
        self._opener: Callable[[], object] | None = None
        # A call has come, and workers are brought up for it.
        self._is_opening = False
        self._on_idle: Callable[[], object] | None = None
        # Cancelled before they started: out of the backlog, and to be settled outside the lock.
        self._withdrawn: deque[Call] = deque()
        self._is_bounded = roster.is_bounded
        self.is_forked = False
        # The pool as its user sees it, for code that asks where it runs.
        self.face: Callable[[], object | None] = lambda: None

    # -- calls -------------------------------------------------------------------------------

    def accept(self, call: Call, *, is_awaited: bool = False) -> None:
        """Take a call in. From here on it is settled exactly once, whatever happens.

        Args:
            call: The call.
            is_awaited: Whether the caller waits for it right here: that is back-pressure enough, and a
                bound on the backlog does not apply.

        Raises:
            PoolFull: The backlog is full.
            Exception: Whatever the refusal makes, when the pool is not open.
        """
        if self._pack is not None:
            self._pack(call)
        worker = here.worker
        if worker is not None:
            # Its parent waits, and may hold a place here, so it must not wait for a place itself.
            call.is_nested = self._is_above(call, worker)
        with self._lock:
            if self._refusal is not None or (
                self._is_bounded and not is_awaited and self._roster.is_full_for(call)
            ):
                self._refuse(call.is_nested)
            if self._is_busy:
                self._aside.append((self._place, (call,)))
                return
            self._is_busy = True
            try:
                self._place(call)
            finally:
                self._is_busy = False
                if self._aside:
                    self._do_aside()
        if self._withdrawn:
            self._settle_withdrawn()

    def accept_all(self, calls: Sequence[Call]) -> None:
        """Take several calls in at the price of one hop: all of them, or none.

        A bounded backlog does not apply: who calls this bounds the calls itself.
        """
        if self._pack is not None:
            calls = self._packed(calls, self._pack)
            if not calls:
                return
        worker = here.worker
        if worker is not None:
            for call in calls:
                call.is_nested = self._is_above(call, worker)
        with self._lock:
            if self._refusal is not None:
                self._refuse(calls[0].is_nested)
            self._do(self._place_all, calls)

    def prepare(self, call: Call) -> None:
        """What `accept` does first, for calls that are made under the lock: for `accept_everywhere`.

        Raises:
            Exception: It cannot be sent to a worker.
        """
        if self._pack is not None:
            self._pack(call)

    def accept_everywhere(self, calls: Callable[[int], Sequence[Call]]) -> int:
        """Take one call in for each worker, past the limit; returns how many workers there are.

        Args:
            calls: Makes so many calls; their order is that of the workers.
        """
        with self._lock:
            if self._refusal is not None:
                self._refuse(is_nested=False)
            if self._is_opening:
                # Each for the worker that is to come.
                for pin, call in enumerate(calls(self.slots)):
                    call.pin = pin
                    self._do(self._place, call)
                return self.slots
            # The next worker of a vacant place gets it when it is up.
            desks: dict[int, Desk | None] = dict.fromkeys(self._roster.vacant)
            desks.update((desk.index, desk) for desk in self._desks())
            if not desks:
                raise WorkerLost(
                    "there is no loop to run it on: all are being replaced just now", may_have_run=False
                )
            worker = here.worker
            for index, call in zip(sorted(desks), calls(len(desks)), strict=True):
                if worker is not None:
                    self._is_above(call, worker)
                call.pin = index  # should that worker be lost, its replacement is who gets it
                desk = desks[index]
                if desk is None:
                    self._do(self._place, call)
                else:
                    self._do(self._place_on, desk, call)
        return len(desks)

    def cancel(self, call: Call) -> None:
        """Ask a task to stop; if it has ended already, nothing happens."""
        if self.is_forked:
            return  # and not a word to the parent's loops
        # Whoever is about to start the call sees this and does not.
        call.is_cancelling = True
        with self._lock:
            self._do(self._cancel, call)
        self._settle_withdrawn()

    def check_worker(self, index: int) -> None:
        """Raise ValueError if there is no worker with this index."""
        if index >= self.slots:
            raise ValueError(
                f"worker={index} is out of range: {self.deadlines.name} has {self.slots} loops, from 0 to "
                f"{self.slots - 1}"
            )

    def check_wait(self, title: str) -> None:
        """Raise BlockingCall on one of this pool's own loops, ForkedPool in a forked child."""
        if self.is_forked:
            raise ForkedPool(
                f"{title} belongs to a pool that the parent of this process opened; its result arrives there"
            )
        worker = here.worker
        # A thread beside the loop may wait: nothing runs there but what waits.
        if worker is not None and worker.home is self and here.beside is None:
            raise BlockingCall(
                f"waiting for {title} here would block {worker.name}, one of the pool's own loops, "
                "and sooner or later what it waits for; await it instead"
            )
        if here.carries is self:
            raise BlockingCall(
                f"waiting for {title} in a callback would block the thread that carries such results; use "
                "submit() and a callback of its own"
            )
        if self.deadlines.is_here:
            raise BlockingCall(
                f"waiting for {title} in a callback of a call whose deadline has passed would block the "
                f"watch of {self.deadlines.name}'s deadlines; use submit() and a callback of its own"
            )

    @staticmethod
    def _packed(calls: Sequence[Call], pack: Callable[[Call], None]) -> list[Call]:
        """Those that can be sent; the others are settled: they must not keep their companions from it."""
        packed: list[Call] = []
        for call in calls:
            if call.fn is fail:
                call.sink.settle_error(raised_by(call.args[0]))  # it need not travel, and some cannot
                continue
            try:
                pack(call)
                packed.append(call)
            except Exception as error:  # noqa: BLE001 - it is the call's own
                call.sink.settle_error(error)
        return packed

    def _is_above(self, call: Call, worker: Worker) -> bool:
        """Whether this pool runs the caller of a call that `worker` makes, or one above that."""
        if worker.home is self and here.beside is None:
            return True  # the child inherits the rest
        return hand_down(call.context, worker.home, here.beside, self)

    # -- the entrance ------------------------------------------------------------------------

    def open_with(self, opener: Callable[[], object]) -> None:
        """Let the first call in, which then waits for a worker as those do that come after it.

        Args:
            opener: Called then, to have workers brought up; must not wait for them. When it raises, so does
                that call, and the next one tries again.
        """
        self._opener = opener

    @property
    def is_opening(self) -> bool:
        """Whether a call has come that it is opened for."""
        return self._is_opening

    def let_in(self) -> None:
        """Accept calls from now on."""
        with self._lock:
            self._refusal = self._opener = None
            self._is_opening = False
            self._is_bounded = self._roster.is_bounded

    def shut(self, refusal: Callable[[], Exception], *, but_for_nested: bool = False) -> None:
        """Accept no more calls.

        Args:
            refusal: Makes what they are told.
            but_for_nested: Still let those in that running tasks make, so that these can end.
        """
        with self._lock:
            self._refusal = refusal
            self._opener = None
            self._is_opening = False
            self._lets_nested_in = but_for_nested

    @property
    def is_shut(self) -> bool:
        """Whether it takes no more calls, not even those of running tasks."""
        with self._lock:  # of the two, shut() changes one after the other
            return self._refusal is not None and not self._lets_nested_in

    @property
    def is_here(self) -> bool:
        """Whether this thread is one of its workers'."""
        worker = here.worker
        return worker is not None and worker.home is self

    def fork(self, refusal: Callable[[], Exception]) -> None:
        """This is a forked child: nothing here works any more, and no lock can be trusted."""
        self.is_forked = True
        self._begin_in_child()
        self._refusal = refusal
        self._lets_nested_in = False

    def when_idle(self, tell: Callable[[], object]) -> None:
        """Call `tell` once nothing waits and nothing runs, which may be now; it may be told twice."""
        self._on_idle = tell
        with self._lock:
            self._roster.want(True)
        self._tell_if_idle()

    # -- workers -----------------------------------------------------------------------------

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

    def check_open(self) -> None:
        """Raise what a call that comes now is told if the pool is not open, or not any more."""
        with self._lock:
            if self._refusal is not None:
                raise self._refusal()

    def give_notice(self, index: int) -> None:
        """Have the worker of this place get only what is pinned there, and leave after that."""
        with self._lock:
            self._do(self._roster.give_notice, index)

    def give_up(self, index: int) -> bool:
        """Do without a worker for this place, if it is on notice and none is there or needed.

        Returns:
            Whether it is so.
        """
        given_up: list[bool] = []
        with self._lock:
            self._do(lambda: given_up.append(self._roster.give_up(index)))
        return given_up == [True]

    def take_back(self, index: int) -> bool:
        """Keep the worker of a place that is on notice; whether there is one, or one is on its way."""
        is_there: list[bool] = []
        with self._lock:
            self._do(lambda: is_there.append(self._take_back(index)))
        return is_there == [True]

    def renew(self, index: int) -> None:
        """Let the next worker of a place that was given up take calls."""
        with self._lock:
            self._do(self._roster.renew, index)

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

    def _check_taking(self) -> None:
        """Raise what a call that comes now would be told because the pool is not open."""
        if self._refusal is not None:
            with self._lock:
                self._refuse_if_shut()

    # -- under the lock ----------------------------------------------------------------------

    def _refuse(self, is_nested: bool) -> None:
        if self._opener is not None:
            self._open_for_first()
        elif self._refusal is not None:
            if not (is_nested and self._lets_nested_in):
                raise self._refusal()
        elif not is_nested:
            raise PoolFull(
                f"the backlog holds {self._roster.backlog} calls, as many as backlog= allows; "
                "await run(), which waits for a place, or submit more slowly"
            )

    def _refuse_if_shut(self) -> None:
        # A call that opens the pool is taken. While that is drained nested calls come in, and the watch of
        # deadlines goes on to the end of that.
        if self._refusal is not None and self._opener is None and not self._lets_nested_in:
            raise self._refusal()

    def _open_for_first(self) -> None:
        opener, self._opener = cast("Callable[[], object]", self._opener), None
        refusal, self._refusal = (
            self._refusal,
            None,
        )  # first: a signal handler may submit in the middle of this
        self._is_opening = True
        try:
            opener()
        except BaseException:
            self._opener, self._refusal, self._is_opening = opener, refusal, False
            raise
        # Until there are workers everything has to wait, and that is not the fault of those who submit.
        self._is_bounded = False

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
