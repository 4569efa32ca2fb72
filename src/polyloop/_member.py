"""One worker as its pool sees it: where its reports come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ._desks import Desk
from ._errors import PoisonTask, WorkerLost
from ._future import Future
from ._lifecycle import ENDED, Event, Phase, advance
from ._locks import Lock
from ._messages import name_of
from ._seat import Tally
from ._statistics import WorkerStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._dispatch import Dispatch
    from ._link import Leftovers
    from ._local import Worker
    from ._messages import Call

__all__ = ["Member", "Overseer", "convict", "fail_lost", "never_start"]


class Overseer(Protocol):
    """Who decides what a report means for the pool."""

    dispatch: Dispatch

    def give_up(self, member: Member, calls: Sequence[Call], /) -> None:
        """Settle tasks that would not end."""

    def member_came_up(self, /) -> None:
        """A worker is up, or will not be."""

    def member_failed(self, member: Member, error: BaseException, /) -> None:
        """A worker did not come up."""

    def member_lost(self, member: Member, reason: BaseException | None, leftovers: Leftovers, /) -> None:
        """A worker is gone without having been told to."""


class Member(Desk):
    """One worker as its pool sees it; its reports come in here."""

    def __init__(self, overseer: Overseer, worker: Worker) -> None:
        super().__init__(worker.index)
        self.worker = worker
        self.phase = Phase.STARTING
        self.up: Future[None] = Future()
        self.gone: Future[None] = Future()
        self.was_seen_off = False
        """Whether it has left as it was told to, and nobody waits for its place's end any more."""
        self._overseer = overseer
        # Re-entrant, for a signal handler may close the pool in the middle of its closing.
        self._turn = Lock()

    def happen(self, event: Event) -> None:
        """Move on to the phase that follows; by the worker's own thread, and by who closes the pool."""
        with self._turn:
            self.phase = advance(self.phase, event)

    def ready(self) -> None:
        """See `Reports`."""
        self.happen(Event.READY)
        if self.phase is Phase.RUNNING:
            self._overseer.dispatch.open_desk(self)
        self.up.settle_value(None)
        self._overseer.member_came_up()

    def failed(self, error: BaseException) -> None:
        """See `Reports`."""
        self.happen(Event.FAILED)
        self.up.settle_error(error)
        self.gone.settle_value(None)
        self._overseer.member_failed(self, error)
        self._overseer.member_came_up()

    def ended(self) -> None:
        """See `Reports`."""
        self._overseer.dispatch.ended(self)

    def stuck(self, calls: Sequence[Call]) -> None:
        """See `Reports`."""
        self._overseer.give_up(self, calls)

    def left(self, leftovers: Leftovers) -> None:
        """See `Reports`."""
        self.happen(Event.LEFT)
        self._overseer.give_up(self, leftovers.started)
        never_start(leftovers.unstarted)
        self.gone.settle_value(None)
        self._overseer.member_came_up()  # or never will: whoever opens the pool waits to hear of it

    def lost(self, reason: BaseException | None, leftovers: Leftovers) -> None:
        """See `Reports`."""
        self.happen(Event.LOST)
        self._overseer.member_lost(self, reason, leftovers)
        self.gone.settle_value(None)
        self._overseer.member_came_up()

    @property
    def in_flight(self) -> int:
        """How many tasks it has been given and has not ended; none once it is gone."""
        is_at_work = self.is_open or (self.is_spent and self.phase not in ENDED)
        return max(0, self.load) if is_at_work else 0

    def statistics(self, leaving: Sequence[Member], past: Tally, lag: float) -> WorkerStatistics:
        """The place in figures.

        Args:
            leaving: Workers that had the place before and still finish what they were given.
            past: What those have done that had it before, and are gone.
            lag: The greatest of their loops.
        """
        total = Tally()
        for tally in (past, self.tally, *(other.tally for other in leaving)):
            total.add(tally)
        return WorkerStatistics(
            index=self.index,
            generation=self.worker.generation,
            phase=self.phase.value,
            ended=total.ended,
            failed=total.failed,
            cancelled=total.cancelled,
            named=total.named,
            in_flight=sum(one.in_flight for one in (self, *leaving)),
            lag=max(lag, *(one.link.lag for one in (self, *leaving))),
        )


def never_start(calls: Sequence[Call]) -> None:
    """Settle calls that have not started, of a pool that is closed: as when each had been cancelled."""
    for call in calls:
        call.sink.settle_cancelled()


def fail_lost(calls: Sequence[Call], member: Member, reason: BaseException | None) -> None:
    """Settle calls that had started on a worker that is lost, and do not run again."""
    for call in calls:
        error = WorkerLost(
            f"{call.title} was running on {member.worker.name} when that was lost: {reason!r}", member.index
        )
        error.__cause__ = reason
        call.sink.settle_error(error)


def convict(calls: Sequence[Call], member: Member, reason: BaseException | None) -> None:
    """Settle calls that have killed their workers, `member` the last of them."""
    for call in calls:
        killed, end = call.losses + 1, repr(reason)
        name = call.options.name if call.options is not None else None
        error = PoisonTask(
            f"{call.title} kills its workers: {killed} were lost while it ran, the last one, "
            f"{member.worker.name}, when nothing else did: {end}; it is not run again",
            name or name_of(call.fn),
            killed,
            end,
        )
        error.__cause__ = reason
        call.sink.settle_error(error)
