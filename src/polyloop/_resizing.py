"""A pool on its way to another size: who has to come, who has to leave, and when that is done.

Who leaves first finishes what it was given: see `ElasticRoster`. It belongs to the thread of `Recycler`.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

from ._crew import Dismissed
from ._errors import StartupError
from ._future import Future
from ._lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from ._crew import Crew
    from ._dispatch import Dispatch
    from ._member import Member

__all__ = ["Request", "Resizing"]


class Owner(Protocol):
    """Whose size it is."""

    name: str
    crew: Crew
    dispatch: Dispatch


class Request:
    """One `LoopPool.resize`, and its future.

    Args:
        owner: Whose size is to change.
        loops: To how many.
        site_code: Where it was asked for, as for `Future`.
        site_offset: As for `Future`.
    """

    def __init__(self, owner: Owner, loops: int, site_code: CodeType | None, site_offset: int) -> None:
        self.loops = loops
        self._name = owner.name
        self._dispatch = owner.dispatch
        self.future: Future[int] = Future(self, site_code, site_offset)
        # Who takes it out settles the future.
        self._unsettled = [self.future]

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"the resizing of {self._name} to {self.loops} loops"

    def settle(self, loops: int) -> None:
        """It is done, and the pool has so many."""
        with contextlib.suppress(IndexError):
            self._unsettled.pop().settle_value(loops)

    def fail(self, error: BaseException) -> None:
        """It cannot be done."""
        with contextlib.suppress(IndexError):
            self._unsettled.pop().settle_error(error)

    def cancel_task(self) -> None:
        """See `Owner` of a future: what has begun goes on, and nobody waits for it."""
        with contextlib.suppress(IndexError):
            self._unsettled.pop().settle_cancelled()

    cancel_with_waiter = cancel_task

    @property
    def is_forked(self) -> bool:
        """See `Owner` of a future."""
        return self._dispatch.is_forked

    def check_wait(self) -> None:
        """See `Owner` of a future."""
        self._dispatch.check_wait(self.title)


class Resizing:
    """Brings a pool to the size that was asked for last.

    Keys and `broadcast` count on new workers only when all of them are up, so nothing is pinned to one that
    does not come up. What is not pinned each gets as soon as it is there.

    Args:
        owner: Whose size it is.
        see_off: Tells a worker to leave, and ends it when it is late.
    """

    def __init__(self, owner: Owner, see_off: Callable[[Member], None]) -> None:
        self._owner = owner
        self._see_off = see_off
        self._new: deque[Request] = deque()
        self._requests: list[Request] = []
        # The places that are to be filled, and were not all filled at once yet.
        self._growing: set[int] = set()

    @property
    def is_under_way(self) -> bool:
        """Whether what becomes of workers is of any interest here. In any thread."""
        return bool(self._requests)

    def is_new(self, index: int) -> bool:
        """Whether the worker of this place is one that the pool grows by. In any thread."""
        return index in self._growing

    def ask(self, request: Request) -> None:
        """Ask for a size, of which `begin` does what was asked for last. In any thread."""
        self._new.append(request)

    def begin(self) -> None:
        """Do what was asked for since, instead of what was asked for before."""
        if not self._take_new():
            return  # it was done with what was asked for before it
        self._aim_at(self._requests[-1].loops)
        try:
            self._grow()
        except Exception as error:  # noqa: BLE001 - a worker could not even be started
            self._fail(error)
            return
        self.look()

    def look(self) -> None:
        """A worker came up, or did not, or is gone: is it done?"""
        if not self._requests:
            return
        crew, dispatch = self._owner.crew, self._owner.dispatch
        new = [crew.members[index] for index in self._growing]
        have_answered = all(member.up.done() for member in new)  # first: who has failed says that before
        failed = [member for member in new if member.phase is Phase.FAILED]
        if failed:
            self._fail(failed[0].up.exception())
            return
        if have_answered:
            dispatch.slots = crew.size
            self._growing.clear()
        others = [member for member in crew.everybody if member.index >= crew.size]
        are_gone = all(member.gone.done() for member in others)
        if have_answered and are_gone and all(dispatch.give_up(member.index) for member in others):
            self._end(lambda request: request.settle(crew.size))

    def end(self, error: Callable[[], BaseException] | None = None) -> None:
        """Nothing comes of it any more: the pool is closed, or it is broken, which `error` says."""
        self._take_new()
        self._growing.clear()
        self._end(lambda request: request.cancel_task() if error is None else request.fail(error()))

    def _take_new(self) -> bool:
        before = len(self._requests)
        while self._new:
            self._requests.append(self._new.popleft())
        return len(self._requests) > before

    def _end(self, settle: Callable[[Request], None]) -> None:
        requests, self._requests = self._requests, []
        for request in requests:
            settle(request)

    def _aim_at(self, loops: int) -> None:
        crew, dispatch = self._owner.crew, self._owner.dispatch
        crew.size = loops
        dispatch.slots = min(dispatch.slots, loops)
        for member in crew.members[loops:]:
            self._growing.discard(member.index)
            dispatch.give_notice(member.index)
            # With nothing to do there, it need not come up before it leaves.
            if dispatch.give_up(member.index) and member.phase is Phase.STARTING:
                member.is_spent = True
                self._see_off(member)

    def _grow(self) -> None:
        crew, dispatch = self._owner.crew, self._owner.dispatch
        for index in range(dispatch.slots, crew.size):
            if index not in self._growing:
                self._growing.add(index)
                if not dispatch.take_back(index):
                    dispatch.renew(index)
                    crew.hire(index)

    def _fail(self, error: BaseException | None) -> None:
        """One of the new workers does not come up: the pool does without all of them."""
        owner, target = self._owner, self._owner.crew.size
        self._growing.clear()
        self._aim_at(owner.dispatch.slots)
        if isinstance(error, Dismissed):
            return  # the pool is being closed, and says so
        message = (
            f"{owner.name} could not grow to {target} loops, and has {owner.crew.size}: one of the new "
            f"workers did not come up: {type(error).__name__}: {error}"
        )

        def fail(request: Request) -> None:
            failure = StartupError(message)
            failure.__cause__ = error
            request.fail(failure)

        self._end(fail)
