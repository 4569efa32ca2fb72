"""What becomes of a pool and its calls when workers are lost, or others do not come up in their places."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ._crew import Crew, Dismissed
from ._dispatch import Dispatch
from ._elastic import ElasticRoster
from ._errors import PoolClosed
from ._link import NoRoom
from ._locks import Lock
from ._member import convict, fail_lost, never_start
from ._patience import Patience
from ._quota import QuotaRoster
from ._recycler import Recycler
from ._refusals import Refusals
from ._suspicion import is_suspect, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._elastic import News
    from ._link import Backend, Leftovers
    from ._member import Member
    from ._messages import Call
    from ._plan import Plan
    from ._seat import Seat

__all__ = ["Succession"]

logger = logging.getLogger("polyloop")


class Succession:
    """Has the workers of one pool replaced, and settles or moves what they had.

    Args:
        backend: Makes them.
        plan: What else the pool is to be.
    """

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self.name = plan.name
        self._backend, self._plan = backend, plan
        self._recycler = Recycler(self, plan.grace)
        self._refusals = Refusals(plan.name)
        self.dispatch = Dispatch(
            _make_roster(plan, self._recycler.tell),
            self._refusals.not_open,
            name=plan.name,
            slots=plan.loops,
            timeout_grace=plan.timeout_grace,
            pack=backend.pack,
        )
        self.crew = Crew(self, plan.loops, backend)
        self._patience = Patience()
        # Guards the patience, and the flags of the pool's life. Re-entrant, for a signal handler may close
        # the pool in the middle of anything.
        self._lock = Lock()
        self.is_open = False

    def give_up(self, member: Member, calls: Sequence[Call]) -> None:
        """Settle tasks that would not end with an error that names them."""
        fate = "ends with its process" if member.link.can_be_ended else "may still be running there"
        for call in calls:
            error = PoolClosed(
                f"{call.title} did not end within the grace when {self.name} was closed; it was given up on "
                f"{member.worker.name} and {fate}"
            )
            logger.warning("%s", error)
            call.sink.settle_error(error)

    def member_came_up(self) -> None:
        """See `Overseer`."""
        self.crew.look_whether_up()
        self._recycler.look()

    def member_failed(self, member: Member, error: BaseException) -> None:
        """A replacement did not come up: try again, a few times."""
        if self._recycler.resizing.is_new(member.index):
            return  # the pool does without it
        if member.worker.generation > 0 and self.is_open:
            logger.error("the replacement of %s did not come up", member.worker.name, exc_info=error)
            if not isinstance(error, NoRoom):
                with self._lock:
                    self._patience.failed()
            self.replace(member)

    def member_lost(self, member: Member, reason: BaseException | None, leftovers: Leftovers) -> None:
        """A worker is gone: fail what had started on it and may not run again, move the rest, replace it."""
        self.dispatch.close_desk(member)
        logger.error("%s was lost", member.worker.name, exc_info=reason)
        goes_on = self.is_open and not self.crew.is_leaving
        verdict = judge(leftovers.started, goes_on=goes_on)
        fail_lost(verdict.lost, member, reason)
        convict(verdict.poison, member, reason)
        if not goes_on:
            never_start(leftovers.unstarted)
            return
        for call in verdict.again:
            call.losses += 1
            call.is_taken = False
        self.dispatch.move([*verdict.again, *leftovers.unstarted])
        with self._lock:
            self._patience.lost(
                ended_there=member.tally.ended,
                ended=self.crew.ended,
                had_started=bool(leftovers.started),
                has_culprit=bool(verdict.poison),
            )
        self.replace(member)
        if any(map(is_suspect, verdict.again)):
            # They need a worker that comes up, and where this one was replaced before, none does.
            self.dispatch.retire(member.index)
        # Those who wait for the last task to end may have waited for one of these.
        self.dispatch.release(member)

    def has_served(self) -> None:
        """See `Owner`."""
        with self._lock:
            self._patience.served()

    def replace(self, member: Member, *, at_once: bool = False) -> None:
        """Hire who is to have the place of `member`, if nobody has it yet.

        Args:
            member: Who had it last.
            at_once: Whether there is nothing wrong that it might be better to wait for.
        """
        if self.dispatch.give_up(member.index):
            return  # there are to be fewer, and nothing is left to do there
        while not self._patience.is_over:
            delay, at_once = 0.0 if at_once else self._patience.delay, False
            try:
                self.crew.replace(member, delay)
                return
            except Dismissed:
                # What was moved just now may have come too late for whoever closes the pool.
                never_start(self.dispatch.withdraw_all())
                return
            except Exception:
                with self._lock:
                    self._patience.failed()
                logger.exception("%s could not be replaced", member.worker.name)
                # Of whatever there is no more, there may be again. This thread has nothing else to do.
                self.crew.wait_for_leaving(delay)
        self._break()

    def _break(self) -> None:
        self.dispatch.shut(self._refusals.broken)
        logger.error("%s is broken: %s", self.name, self._refusals.broken())
        self._recycler.give_up(self._refusals.broken)
        for call in self.dispatch.withdraw_all():
            call.sink.settle_error(self._refusals.broken())


def _make_roster(plan: Plan, tell: Callable[[News, Seat], object]) -> ElasticRoster:
    if plan.quota is None:
        return ElasticRoster(plan.limit, plan.backlog, tell)
    return QuotaRoster(plan.limit, plan.backlog, plan.quota, tell)
