"""Sees workers off that have been given all the calls they are to get, and has others take their places.

Who has been given the last calls is told by `QuotaRoster`. What it means that a worker is lost, or does not
come up, is the supervisor's to decide, also of those that are hired here.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from ._crew import MARGIN
from ._lifecycle import Event
from ._mailbox import MailboxClosed
from ._messages import Leave
from ._quota import News
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from ._crew import Crew
    from ._member import Member
    from ._seat import Seat

__all__ = ["MOST_LEAVING", "Recycler"]

logger = logging.getLogger("polyloop")

# So many workers of one place may be about to leave, with tasks that have not ended, while the next one takes
# calls. A guess: enough for a few tasks that run for hours, and not a process for each call where the quota
# is far below the limit.
MOST_LEAVING = 4
# When a worker that has left is gone for certain, in seconds: see `Place.end`.
LAST_SECONDS = 1.5


class Owner(Protocol):
    """Whose workers these are."""

    crew: Crew

    def replace(self, member: Member, *, at_once: bool) -> None:
        """Hire who is to have the place of `member`."""

    def has_served(self) -> None:
        """A worker has done all that it was for."""


class Recycler:
    """A thread of the pool's, in which everything happens but `tell`, `start` and `stop`.

    Not in the thread of who tells: that is whoever submits the last call, which must not wait, and must run
    no code of the user, as a loop factory is.

    Args:
        name: The pool's name.
        owner: Whose workers these are.
        grace: Seconds that a worker has for its clean-up.
    """

    def __init__(self, name: str, owner: Owner, grace: float) -> None:
        self._owner = owner
        self._grace = grace
        # Its put() may come in in the middle of another one, in the same thread. None is the end.
        self._news: queue.SimpleQueue[tuple[News, Member] | Member | None] = queue.SimpleQueue()
        self._thread = daemon_thread(self._main, f"{name}-recycler")
        # By index: those whose time is up or nearly, until they are gone, and the one of them that has nobody
        # to take its place yet.
        self._leaving: dict[int, list[Member]] = {}
        self._due: dict[int, Member] = {}
        # When to look whether they are gone.
        self._looks: dict[Member, float] = {}

    # -- in any thread -----------------------------------------------------------------------

    def tell(self, news: News, seat: Seat) -> None:
        """There is news of a worker: see `QuotaRoster`. Never waits."""
        self._news.put((news, cast("Member", seat)))

    def start(self) -> None:
        """Begin. What was told before is not lost."""
        start_thread(self._thread)

    def stop(self) -> None:
        """All are told to leave, or are about to be: nobody is replaced any more."""
        self._news.put(None)

    def join(self) -> None:
        """Wait for the end of the thread, once all have been told to leave."""
        if self._thread.ident is not None:
            self._thread.join(MARGIN)

    # -- its thread --------------------------------------------------------------------------

    def _main(self) -> None:
        while True:
            try:
                news = self._news.get(timeout=self._next_look())
            except queue.Empty:
                self._look()
                continue
            match news:
                case None:
                    return
                case (News.DUE, member):
                    self._expect_end(member)
                case (_, member):
                    self._let_leave(member)
                case member:
                    self._has_gone(member)

    def _expect_end(self, member: Member) -> None:
        leaving = self._leaving.setdefault(member.index, [])
        if member not in leaving:  # otherwise it was told twice
            leaving.append(member)
            self._due[member.index] = member
            self._replace_if_due(member.index)
            member.gone.add_done_callback(lambda _: self._news.put(member))

    def _replace_if_due(self, index: int) -> None:
        if index in self._due and len(self._leaving[index]) <= MOST_LEAVING:
            self._owner.replace(self._due.pop(index), at_once=True)

    def _let_leave(self, member: Member) -> None:
        if member in self._leaving[member.index] and member not in self._looks:
            logger.debug("%r has had its calls, and leaves", member.worker)
            self._owner.has_served()
            self._looks[member] = monotonic() + self._grace + MARGIN
            member.happen(Event.LEAVE)
            with contextlib.suppress(MailboxClosed):  # it is lost meanwhile
                member.send(Leave(self._grace))

    def _has_gone(self, member: Member) -> None:
        self._leaving[member.index].remove(member)
        self._looks[member] = monotonic() + LAST_SECONDS
        self._replace_if_due(member.index)

    def _next_look(self) -> float | None:
        return max(0.0, min(self._looks.values()) - monotonic()) if self._looks else None

    def _look(self) -> None:
        now = monotonic()
        for member in [member for member, when in self._looks.items() if when <= now]:
            del self._looks[member]
            if member.gone.done():
                self._owner.crew.forget(member)
            else:
                self._owner.crew.abandon(member)
