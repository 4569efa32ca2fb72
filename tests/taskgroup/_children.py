"""Children for groups: they say what happens to them, across loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

from tests._shared import Flag

if TYPE_CHECKING:
    from polyloop import LoopPool

__all__ = ["Child", "Play", "Scenario", "fail_after", "forever", "kinds", "requests"]

T = TypeVar("T")
Scenario: TypeAlias = "Callable[[LoopPool], Awaitable[T]]"


class Play(Protocol):
    """The fixture `play`."""

    def __call__(self, scenario: Scenario[T], /) -> T:
        """What the scenario returns when it is played on a pool."""
        ...


class Child:
    """A call that stays until it is cancelled, and says what it lives through.

    Args:
        error: Raised by its clean-up, if any.
        clean_up: Waited for in its clean-up, if any.
    """

    def __init__(self, error: BaseException | None = None, clean_up: Flag | None = None) -> None:
        self.started = Flag()
        self.cancelled = Flag()
        self.cleaned = Flag()
        self.ended = Flag()
        self._error = error
        self._clean_up = clean_up

    async def stay(self) -> None:
        """Stay until cancelled, clean up, and raise the error if there is one."""
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            if self._clean_up is not None:
                await self._clean_up.wait()
            self.cleaned.set()
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            self.ended.set()


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def fail_after(signal: Flag | None, error: BaseException) -> None:
    """Wait for the signal, if any, and raise the error."""
    if signal is not None:
        await signal.wait()
    raise error


def kinds(group: BaseExceptionGroup[BaseException]) -> set[type[BaseException]]:
    """The types of a group's own errors."""
    return {type(error) for error in group.exceptions}


def requests() -> int:
    """How many requests to cancel it the running task has not answered for."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()
