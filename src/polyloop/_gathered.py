"""One call made on every loop, and the one future of all its results."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._future import Future
from ._locks import Lock
from ._messages import Call, name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import CodeType

    from ._messages import Home

__all__ = ["Gathered"]

T = TypeVar("T")


class Gathered(Generic[T]):
    """Owns the future of a broadcast; settles it when the last of the calls has its outcome.

    Args:
        fn: What is called on every loop.
        site_code: Where the broadcast was made, as for `Future`.
        site_offset: As for `Future`.
    """

    def __init__(self, fn: Callable[..., Awaitable[T]], site_code: CodeType, site_offset: int) -> None:
        self._fn = fn
        self._calls: list[Call] = []
        self._parts: list[_Part] = []
        self._left = 0
        self._lock = Lock()
        self.future: Future[list[T]] = Future(self, site_code, site_offset)

    def calls(self, home: Home, count: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Call]:
        """So many calls, in the order of the results."""
        self._left = count
        for _ in range(count):
            call = Call(home, self._fn, args, kwargs, copy_context())
            call.sink = part = _Part(self)
            self._calls.append(call)
            self._parts.append(part)
        return self._calls

    @property
    def title(self) -> str:
        """What to call it in messages."""
        return f"the broadcast of {name_of(self._fn)}()"

    def cancel_task(self) -> None:
        """Ask every call's task to stop."""
        for call in self._calls:
            call.cancel_task()

    def cancel_with_waiter(self) -> None:
        """As `cancel_task`, because somebody who waits for it has to stop."""
        for call in self._calls:
            call.cancel_with_waiter()

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which no task will ever report."""
        return any(call.is_forked for call in self._calls[:1])

    def check_wait(self) -> None:
        """Raise if a synchronous wait for it, here, could never end."""
        for call in self._calls[:1]:
            call.home.check_wait(self.title)

    def part_settled(self) -> None:
        """One more call has its outcome; the last one settles the future."""
        with self._lock:
            self._left -= 1
            if self._left:
                return
        errors = [part.error for part in self._parts if part.error is not None]
        if errors:
            self.future.settle_error(
                BaseExceptionGroup(f"{self.title} failed on {len(errors)} loops", errors)
            )
        elif any(part.is_cancelled for part in self._parts):
            self.future.settle_cancelled()
        else:
            self.future.settle_value([part.value for part in self._parts])


class _Part:
    """The sink of the call on one loop."""

    __slots__ = ("_whole", "error", "is_cancelled", "value")

    def __init__(self, whole: Gathered[Any]) -> None:
        self._whole = whole
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_cancelled = False

    def started(self) -> None:
        """Nobody can see it."""

    def settle_value(self, value: Any, /) -> None:
        """The call returned."""
        self.value = value
        self._whole.part_settled()

    def settle_error(self, error: BaseException, /) -> None:
        """The call raised."""
        self.error = error
        self._whole.part_settled()

    def settle_cancelled(self) -> None:
        """The call was cancelled."""
        self.is_cancelled = True
        self._whole.part_settled()
