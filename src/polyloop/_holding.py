"""One value of a loop-local on one loop, and the task that owns it.

The owner task enters the value, holds it and leaves it, so that cancel scopes and task groups inside work.
It starts with an empty context: whoever asked first leaves no context variable and no deadline behind.

It knows neither the other values of its loop nor their order; its keeper does.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gc
import inspect
import logging
import sys
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from ._errors import TaskCancelled
from ._recipe import Recipe, enter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Holding", "Keeper", "Phase", "current_holding", "holding_of"]

logger = logging.getLogger("polyloop")

# Whose opening, holding or closing the code belongs to; inherited by the tasks that it starts.
_current: ContextVar[Holding] = ContextVar("polyloop_holding")


class Phase(enum.Enum):
    """What an owner does."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    GONE = "gone"


class Keeper(Protocol):
    """Who knows all the values of a loop."""

    def opened(self, holding: Holding, /) -> None:
        """Its value is there."""

    def gone(self, holding: Holding, /) -> None:
        """Its value is closed, or was never there."""

    async def see_users_out(self, holding: Holding, /) -> None:
        """Return when those have ended that may still use its value, and are cancelled as its owner is."""


class Holding:
    """One value on one loop. Owned by that loop: everything is called there.

    Args:
        keeper: Who is told what becomes of it.
        key: What the keeper knows it by.
        recipe: How the value is made and closed.

    Attributes:
        phase: What its owner does at the moment.
        value: What users get; it is there while it is open, and while it is being closed.
        failure: Why it was not opened.
        waits_for: The holdings that its opening or closing waits for.
        task: The owner.
    """

    task: asyncio.Task[None]
    _exit: Callable[[], object]

    def __init__(self, keeper: Keeper, key: object, recipe: Recipe) -> None:
        self.keeper = keeper
        self.key = key
        self.name = recipe.name
        self.phase = Phase.OPENING
        self.value: Any = None
        self.failure: Failure | None = None
        self.waits_for: list[Holding] = []
        self._recipe = recipe
        self._closing_failure: Failure | None = None
        self._listeners = 0
        self._is_cancelled = False
        loop = asyncio.get_running_loop()
        self._is_opened: asyncio.Future[None] = loop.create_future()
        self._is_gone: asyncio.Future[None] = loop.create_future()
        self._is_unwanted: asyncio.Future[None] = loop.create_future()

    def begin(self) -> None:
        """Start the owner."""
        _hide_generators()
        context = Context()
        context.run(_current.set, self)
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self._live(), name=f"loop-local {self.name}", context=context)

    async def turn(self) -> None:
        """Wait for its next phase but one: until it is open, or gone.

        Cancellation: only ends the waiting.
        """
        await asyncio.wait([self._is_opened if self.phase is Phase.OPENING else self._is_gone])

    def close(self) -> None:
        """Have the owner leave the value; nothing happens if it does already."""
        if not self._is_unwanted.done():
            self._is_unwanted.set_result(None)

    async def closed(self) -> None:
        """Close the value, wait for it, and raise what that raised.

        Cancellation: only ends the waiting.
        """
        self.close()
        self._listeners += 1
        try:
            await asyncio.wait([self._is_gone])
        finally:
            self._listeners -= 1
        if self._closing_failure is not None:
            self._closing_failure.throw()

    @property
    def is_ending(self) -> bool:
        """Whether its owner is about to leave the value, or does so."""
        return self._is_cancelled or self.phase is Phase.CLOSING or bool(self.task.cancelling())

    # -- the owner ---------------------------------------------------------------------------

    async def _live(self) -> None:
        # A loop with an eager task factory runs this before begin() has the task.
        self.task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            if await self._open():
                await self._hold()
                await self._leave()
        finally:
            # When the coroutine is closed, too: its loop ended without it.
            self.phase = Phase.GONE
            self.value = None
            self._exit = _nothing
            self.keeper.gone(self)
            for future in (self._is_opened, self._is_gone):
                if not (future.done() or future.get_loop().is_closed()):
                    future.set_result(None)

    async def _open(self) -> bool:
        try:
            self.value, self._exit = await enter(self._recipe)
        except BaseException as error:  # noqa: BLE001 - it belongs to those who wait
            self.failure = Failure(f"the opening of the loop-local {self.name}", error)
            return False
        self.phase = Phase.OPEN
        self.keeper.opened(self)
        self._is_opened.set_result(None)
        return True

    async def _hold(self) -> None:
        """Wait until the value is not wanted any more."""
        try:
            await self._is_unwanted
        except asyncio.CancelledError:
            # Either the loop ends, and asyncio.run() has cancelled everything; or something that the value
            # has entered, as a task group, cancels the task that it was entered in. The cancellation has
            # reached its end here: what is left must be able to wait.
            self._is_cancelled = True
            _uncancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.keeper.see_users_out(self)
            _uncancel()

    async def _leave(self) -> None:
        self.phase = Phase.CLOSING
        try:
            result = self._exit()
            if inspect.isawaitable(result):
                await result
        except BaseException as error:
            self._closing_failure = Failure(f"the closing of the loop-local {self.name}", error)
            if not self._listeners:
                logger.exception("closing the loop-local %s raised", self.name)


class Failure:
    """An error on its way from an owner to those who wait, of whom there may be many."""

    def __init__(self, what: str, error: BaseException) -> None:
        self._what = what
        self._error = error
        # Without the owner's own frame, which tells nobody anything and leads back to this.
        self._traceback = error.__traceback__.tb_next if error.__traceback__ is not None else None
        # Not by assignment, which the class may refuse: that of a frozen dataclass does.
        BaseException.with_traceback(error, self._traceback)

    def throw(self) -> NoReturn:
        """Raise the error in one of those who wait."""
        try:
            if isinstance(self._error, asyncio.CancelledError):
                # Not theirs: they were not cancelled, and a task group would take it for that.
                raise TaskCancelled(f"{self._what} was cancelled") from self._error
            # The traceback as it was: otherwise it would grow with each of them.
            raise self._error.with_traceback(self._traceback)
        finally:
            del self  # the traceback refers to this frame: a cycle with the error in it


def current_holding() -> Holding | None:
    """Whose opening, holding or closing the calling code belongs to, on whatever loop that is."""
    return _current.get(None)


if sys.version_info >= (3, 12):

    def _context_of(task: asyncio.Task[Any]) -> Context | None:
        return task.get_context()

else:

    def _context_of(task: asyncio.Task[Any]) -> Context | None:
        # There is no other way on 3.11; the collector has to know what a task refers to.
        return next((thing for thing in gc.get_referents(task) if isinstance(thing, Context)), None)


def holding_of(task: asyncio.Task[Any]) -> Holding | None:
    """Whose owner `task` is, or which owner it was started by."""
    context = _context_of(task)
    return context.get(_current) if context is not None else None


def _hide_generators() -> None:
    """Keep the async generators that owners begin from the running loop.

    Most context managers are one. At its end a loop closes all that it has seen begin, at once: behind the
    owners' backs, in no order, and with GeneratorExit instead of letting them go on after their ``yield``.
    """
    first, last = sys.get_asyncgen_hooks()
    # They are set anew each time that the loop begins to run.
    if not isinstance(first, _Seen):
        sys.set_asyncgen_hooks(_Seen(first), last)


class _Seen:
    """The hook for generators that begin, but for those which an owner begins in its own task."""

    def __init__(self, first: Callable[[AsyncGenerator[Any, Any]], None] | None) -> None:
        self._first = first

    def __call__(self, generator: AsyncGenerator[Any, Any]) -> None:
        holding = _current.get(None)
        if self._first is not None and (holding is None or holding.task is not asyncio.current_task()):
            self._first(generator)


def _uncancel() -> None:
    task = cast("asyncio.Task[Any]", asyncio.current_task())
    while task.uncancel():
        pass


def _nothing() -> None:
    """How a value is closed that needs no closing."""
