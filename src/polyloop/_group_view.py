"""A task group as seen through fixed options."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar

from ._staying import refuse_to_move

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from ._future import Future
    from ._group_home import Submitter

__all__ = ["GroupView", "Taker"]

P = ParamSpec("P")
T = TypeVar("T")


class Taker(Protocol):
    """A group, as its views know it."""

    def take_in(
        self,
        submitter: Submitter,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        site: FrameType,
        /,
    ) -> Future[Any]:
        """Hand in one call as a part of the group."""
        ...


class GroupView:
    """A task group with something fixed for the tasks created through it: made by `TaskGroup.options`."""

    __slots__ = ("_group", "_submitter")

    def __reduce__(self) -> NoReturn:
        refuse_to_move(self, "create its tasks there, or enter another group in the worker")

    def __init__(self, group: Taker, submitter: Submitter) -> None:
        self._group = group
        self._submitter = submitter

    def create_task(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As `TaskGroup.create_task`. A task whose deadline passes fails, and so does the group."""
        site = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and in every CPython
        return self._group.take_in(self._submitter, fn, args, kwargs, site)
