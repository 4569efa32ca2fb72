"""Sees workers off that have been given all the calls they are to get, and has others take their places.

Who has been given the last calls is told by `QuotaRoster`, and in a pool that is resized by `ElasticRoster`.
What it means that a worker is lost, or does not come up, is the supervisor's to decide, also of those that
are hired here.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
from time import monotonic
from typing import TYPE_CHECKING, Protocol, cast

from ._crew import MARGIN
from ._elastic import News
from ._lifecycle import Event, Phase
from ._mailbox import MailboxClosed
from ._messages import Leave
from ._resizing import Resizing
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from ._crew import Crew
    from ._dispatch import Dispatch
    from ._member import Member
    from ._resizing import Request
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

    name: str
    crew: Crew
    dispatch: Dispatch

    def replace(self, member: Member, *, at_once: bool) -> None:
        """Hire who is to have the place of `member`."""

    def has_served(self) -> None:
        """A worker has done all that it was for."""


class Recycler:
    """A thread of the pool's, for all that has to be done because of what it is told.

    Not in the thread of who tells: that is whoever submits the last call, which must not wait, and must run
    no code of the user, as a loop factory is.

    Args:
        owner: Whose workers these are.
        grace: Seconds that a worker has for its clean-up.
    """

    def __init__(self, owner: Owner, grace: float) -> None:
        self._owner = owner
        self._grace = grace
        self.resizing = Resizing(owner, self._see_off)
        """What becomes of the pool's size. Its methods are for this thread, but where they say otherwise."""
        # What there is to do. Its put() may come in in the middle of another one, in the same thread. None is
        # the end.
        self._errands: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # By index: those whose time is up or nearly, until they are gone, and the one of them that has nobody
        # to take its place yet.
        self._leaving: dict[int, list[Member]] = {}
        self._due: dict[int, Member] = {}
        # When to look whether they are gone.
        self._looks: dict[Member, float] = {}

    # -- in any thread -----------------------------------------------------------------------

    def tell(self, news: News, seat: Seat) -> None:
        """There is news of a worker: see `News`. Never waits."""
        self._errands.put(functools.partial(self._take, news, seat))

    def resize(self, request: Request) -> None:
        """Bring the pool to another size. Never waits."""
        self.resizing.ask(request)
        self._errands.put(self.resizing.begin)

    def look(self) -> None:
        """Something became of a worker. Never waits."""
        if self.resizing.is_under_way:
            self._errands.put(self.resizing.look)

    def give_up(self, error: Callable[[], BaseException]) -> None:
        """The pool is broken: its size is what it is. Never waits."""
        self._errands.put(functools.partial(self.resizing.end, error))

    def start(self) -> None:
        """Begin, if it has not begun. What was told before is not lost. Not for several threads at once."""
        if self._thread is None:
            self._thread = daemon_thread(self._main, f"{self._owner.name}-recycler")
            start_thread(self._thread)

    def stop(self) -> None:
        """All are told to leave, or are about to be: nobody is replaced any more."""
        self._errands.put(None)

    def join(self) -> None:
        """Wait for the end of the thread, once all have been told to leave."""
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(MARGIN)

    # -- its thread --------------------------------------------------------------------------

    def _main(self) -> None:
        while True:
            try:
                errand = self._errands.get(timeout=self._next_look())
            except queue.Empty:
                self._look()
                continue
            if errand is None:
                self.resizing.end()
                return
            errand()

    def _take(self, news: News, seat: Seat) -> None:
        match news:
            case News.DUE:
                self._expect_end(cast("Member", seat))
            case News.DRAINED:
                self._let_leave(cast("Member", seat))
            case News.NEEDED:
                self._bring_back(seat.index)

    def _expect_end(self, member: Member) -> None:
        if self._watch(member):  # otherwise it was told twice
            self._due[member.index] = member
            self._replace_if_due(member.index)

    def _watch(self, member: Member) -> bool:
        """Hear of its end; whether that is new."""
        leaving = self._leaving.setdefault(member.index, [])
        if member in leaving or member in self._looks:
            return False
        leaving.append(member)
        member.gone.add_done_callback(lambda _: self._errands.put(functools.partial(self._has_gone, member)))
        return True

    def _bring_back(self, index: int) -> None:
        member = self._owner.crew.members[index]
        if member.phase not in {Phase.STARTING, Phase.RUNNING}:  # otherwise it was told twice
            self._owner.replace(member, at_once=True)

    def _replace_if_due(self, index: int) -> None:
        if index in self._due and len(self._leaving[index]) <= MOST_LEAVING:
            self._owner.replace(self._due.pop(index), at_once=True)

    def _let_leave(self, member: Member) -> None:
        if member not in self._looks:  # otherwise it was told twice
            logger.debug("%r has had its calls, and leaves", member.worker)
            self._owner.has_served()
            self._see_off(member)

    def _see_off(self, member: Member) -> None:
        self._watch(member)
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
