"""The workers of one pool, hired and dismissed together.

What a loss means is not decided here: that is the supervisor's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import InvalidStateError
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from ._errors import StartupError, WorkerLost
from ._future import Future
from ._lifecycle import Event, Phase
from ._local import Worker
from ._locks import Lock
from ._mailbox import MailboxClosed
from ._member import Member, Overseer, never_start
from ._messages import Leave
from ._seat import Tally

if TYPE_CHECKING:
    from ._link import Backend
    from ._statistics import WorkerStatistics
    from ._steps import Steps

__all__ = ["MARGIN", "Crew", "Dismissed"]

logger = logging.getLogger("polyloop")

# What a worker may take beyond the grace to be gone: its last clean-up, and the machine's noise.
MARGIN = 0.3


class Dismissed(Exception):
    """Nobody is hired any more: all have been told to leave."""


class Employer(Overseer, Protocol):
    """Whose workers these are."""

    name: str


class Crew:
    """Hires workers one by one and dismisses them all at once; after that nobody is hired.

    Attributes:
        size: How many there are to be; written by whoever resizes the pool.
        members: Who has each place, or had it last.

    Args:
        employer: Whose workers these are, and who hears of what becomes of them.
        size: How many there are to be, to begin with.
        backend: Makes them.
    """

    def __init__(self, employer: Employer, size: int, backend: Backend) -> None:
        self.size = size
        self.members: list[Member] = []
        # Those whose place another one has by now, and that are not gone.
        self.leaving: list[Member] = []
        # What those have done that were replaced and are gone, and their loops' greatest lag, by index.
        self._past: dict[int, tuple[Tally, float]] = {}
        self._employer = employer
        self._backend = backend
        # Who is hired while the others are dismissed would stay for ever. Re-entrant, for a signal
        # handler may close the pool in the middle of anything.
        self._lock = Lock()
        self._is_leaving = threading.Event()
        # Settled when it is known whether they have come up.
        self._up: Future[None] = Future()

    # -- hiring ------------------------------------------------------------------------------

    def hire(self, index: int) -> None:
        """Start a worker for a place that nobody has, or nobody but one that leaves.

        Raises:
            Dismissed: All have been told to leave.
            Exception: The worker could not be started.
        """
        self._hire(index, 0.0)

    def replace(self, member: Member, delay: float) -> None:
        """Hire who is to have the place of `member`, if that has it still.

        Raises:
            Dismissed: As for `hire`.
            Exception: As for `hire`.
        """
        with self._lock:
            if self.members[member.index] is member:
                self._hire(member.index, delay)

    def _hire(self, index: int, delay: float) -> None:
        with self._lock:
            if self._is_leaving.is_set():
                raise Dismissed
            replaced = self.members[index : index + 1]
            worker = Worker(
                index,
                replaced[0].worker.generation + 1 if replaced else 0,
                name=f"{self._employer.name}-{index}",
                backend=self._backend.name,
                loops=self.size,
                home=self._employer.dispatch,
            )
            member = Member(self._employer, worker)
            member.link = self._backend.make_link(worker, member, delay)
            member.send = member.link.send
            member.send_calls = member.link.send_calls
            self.members[index : index + 1] = [member]
            try:
                member.link.start()
            except Exception:
                # All that is in the list has to be ended. (After a Ctrl-C it may have been started.)
                self.members[index : index + 1] = replaced
                raise
            for other in replaced:
                if other.phase in {Phase.LOST, Phase.FAILED} or other.was_seen_off:
                    self._keep(other)
                else:
                    self.leaving.append(other)

    def forget(self, member: Member) -> None:
        """A worker that was told to leave is gone: if it was replaced, only its figures are kept."""
        with self._lock:
            member.was_seen_off = True
            if member in self.leaving:
                self.leaving.remove(member)
                self._keep(member)

    def _keep(self, member: Member) -> None:
        # Not the worker itself: there may be thousands in a pool's life.
        tally, lag = self._past.setdefault(member.index, (Tally(), 0.0))
        tally.add(member.tally)
        self._past[member.index] = tally, max(lag, member.link.lag)

    def coming_up(self) -> Steps:
        """Wait until all are up, or one will not be.

        Raises:
            StartupError: One did not come up.
            WorkerLost: One was lost while others came up.
        """
        self.look_whether_up()
        # Not for one after the other: while one hangs, another may have failed.
        yield self._up, None
        for member in self.members:
            error = member.up.exception(0) if member.up.done() else None
            if error is not None:
                # Not raised as it is: a SystemExit of a worker's lifespan is none of the opener's.
                raise StartupError(f"{member.worker.name} did not come up") from error
            if member.gone.done():
                raise WorkerLost(f"{member.worker.name} was lost while others came up", member.index)

    def look_whether_up(self) -> None:
        """Go on with `coming_up` if all are up or one will not be; called by whoever came up, or did not."""
        members = list(self.members)
        all_up = len(members) == self.size and all(member.up.done() for member in members)
        if all_up or any(member.gone.done() for member in members):
            with contextlib.suppress(InvalidStateError):  # another one was quicker
                self._up.settle_value(None)

    # -- dismissing --------------------------------------------------------------------------

    @property
    def everybody(self) -> list[Member]:
        """Those that leave already, too."""
        with self._lock:
            return [*self.leaving, *self.members]

    @property
    def is_leaving(self) -> bool:
        """Whether all have been told to leave."""
        return self._is_leaving.is_set()

    def wait_for_leaving(self, timeout: float) -> None:
        """Block for `timeout` seconds, or until all have been told to leave."""
        self._is_leaving.wait(timeout)

    def tell_to_leave(self, grace: float) -> None:
        """Tell all to leave within `grace` seconds; from here on nobody is hired."""
        with self._lock:
            self._is_leaving.set()
        for member in self.everybody:
            member.happen(Event.LEAVE)
            with contextlib.suppress(MailboxClosed):  # it has ended by itself
                member.send(Leave(grace))

    def dismissing(self, grace: float, margin: float = MARGIN) -> Steps:
        """Tell all to leave and wait for them, for one shared grace; abandon the rest.

        Args:
            grace: Seconds for the clean-up of what runs.
            margin: Seconds beyond that until a worker is given up.
        """
        deadline = monotonic() + grace + margin
        self.tell_to_leave(grace)
        members = self.everybody
        try:
            for member in members:
                yield member.gone, max(0.0, deadline - monotonic())
        finally:
            for member in members:
                if not member.gone.done():
                    self.abandon(member)
            for member in members:
                # Its last report is the last thing it did: this waits for the place's very end.
                if member.gone.done() or member.link.can_be_ended:
                    member.link.join(MARGIN)

    def abandon(self, member: Member) -> None:
        """Give up a worker that was told to leave and is late."""
        is_up, can_be_ended = member.up.done(), member.link.can_be_ended
        # One that still comes up has nothing that could be lost: to end it harms nobody, nor does it that the
        # replacement of one that did its work came too late.
        if is_up or not (can_be_ended or member.worker.generation):
            why = "its loop is blocked" if is_up else "it was still coming up"
            fate = "ended" if can_be_ended else "left to itself"
            logger.warning("%s does not answer: %s; it is %s", member.worker.name, why, fate)
        leftovers = member.link.abandon()
        self._employer.give_up(member, leftovers.started)
        never_start(leftovers.unstarted)

    # -- figures -----------------------------------------------------------------------------

    @property
    def ended(self) -> int:
        """How many tasks have ended, on workers that were replaced too."""
        with self._lock:
            past = sum(tally.ended for tally, _ in self._past.values())
            return past + sum(member.tally.ended for member in self.everybody)

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Each place in figures; those of workers that were replaced are kept."""
        with self._lock:
            return tuple(
                member.statistics(
                    [other for other in self.leaving if other.index == member.index],
                    *self._past.get(member.index, (Tally(), 0.0)),
                )
                for member in self.members
            )

    def forked(self) -> None:
        """This is a child: whoever held the lock did not come along."""
        self._lock = Lock()
        for member in self.everybody:
            member.link.forked()
