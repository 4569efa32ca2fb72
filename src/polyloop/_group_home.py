"""What a task group knows of its pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from types import FrameType

    from ._future import Future

__all__ = ["Home", "Pool", "Submitter"]


class Submitter(Protocol):
    """What hands in a group's children: a pool, or a view of one."""

    def submit_from(
        self,
        site: FrameType,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        /,
        *,
        is_child: bool,
    ) -> Future[Any]:
        """Hand in one call, made by the frame `site`, whose outcome the calling task waits for or not."""
        ...


class Pool(Submitter, Protocol):
    """What hands in the children."""

    def options(
        self,
        *,
        timeout: float | None = None,
        key: Hashable = None,
        worker: int | None = None,
        resubmits: int = 0,
        name: str | None = None,
    ) -> Submitter:
        """A view that fixes something for them."""
        ...


class Home(Protocol):
    """Where they run."""

    @property
    def is_shut(self) -> bool:
        """Whether the pool cancels its tasks, or has, because it is closed."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether this is one of the pool's own loops."""
        ...
