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
from ._lifecycle import Event
from ._local import Worker
from ._locks import Lock
from ._mailbox import MailboxClosed
from ._member import Member, Overseer, never_start
from ._messages import Leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._link import Link, Reports
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

    Args:
        employer: Whose workers these are, and who hears of what becomes of them.
        size: How many there are to be.
        backend: The kind of place, for messages.
        make_link: Makes the link to a worker that is to be: the worker, who hears its reports,
            and the seconds to wait before it starts.
    """

    def __init__(
        self,
        employer: Employer,
        size: int,
        backend: str,
        make_link: Callable[[Worker, Reports, float], Link],
    ) -> None:
        self.size = size
        self.members: list[Member] = []
        # Those that were replaced.
        self.past: list[Member] = []
        self._employer = employer
        self._backend = backend
        self._make_link = make_link
        # Who is hired while the others are dismissed would stay for ever. Re-entrant, for a signal
        # handler may close the pool in the middle of anything.
        self._lock = Lock()
        self._is_leaving = threading.Event()
        # Settled when it is known whether they have come up.
        self._up: Future[None] = Future()

    # -- hiring ------------------------------------------------------------------------------

    def hire(self, index: int, generation: int, delay: float = 0.0) -> None:
        """Start a worker, in the place of the one that has the index; `coming_up` waits for it.

        Raises:
            Dismissed: All have been told to leave.
            Exception: The worker could not be started.
        """
        worker = Worker(
            index,
            generation,
            name=f"{self._employer.name}-{index}",
            backend=self._backend,
            loops=self.size,
            home=self._employer.dispatch,
        )
        member = Member(self._employer, worker)
        with self._lock:
            if self._is_leaving.is_set():
                raise Dismissed
            member.link = self._make_link(worker, member, delay)
            member.send = member.link.send
            member.send_calls = member.link.send_calls
            replaced = self.members[index : index + 1]
            self.members[index : index + 1] = [member]
            try:
                member.link.start()
            except Exception:
                # All that is in the list has to be ended. (After a Ctrl-C it may have been started.)
                self.members[index : index + 1] = replaced
                raise
            self.past += replaced

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
        for member in self.members:
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
        try:
            for member in self.members:
                yield member.gone, max(0.0, deadline - monotonic())
        finally:
            for member in self.members:
                if not member.gone.done():
                    self._abandon(member)
            for member in self.members:
                # Its last report is the last thing it did: this waits for the place's very end.
                if member.gone.done() or member.link.can_be_ended:
                    member.link.join(MARGIN)

    def _abandon(self, member: Member) -> None:
        fate = "ended" if member.link.can_be_ended else "left to itself"
        logger.warning("%s does not answer: its loop is blocked; it is %s", member.worker.name, fate)
        leftovers = member.link.abandon()
        self._employer.give_up(member, leftovers.started)
        never_start(leftovers.unstarted)

    # -- figures -----------------------------------------------------------------------------

    @property
    def ended(self) -> int:
        """How many tasks have ended, on workers that were replaced too."""
        return sum(member.tally.ended for member in [*self.past, *self.members])

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """Each place in figures; those of workers that were replaced are kept."""
        return tuple(
            member.statistics([past for past in self.past if past.index == member.index])
            for member in self.members
        )

    def forked(self) -> None:
        """This is a child: whoever held the lock did not come along."""
        self._lock = Lock()
        for member in self.members:
            member.link.forked()
