"""What a map has under way: pulled from the source, and not delivered to the consumer yet.

What keys mean is the business of `KeyedWindow`. Owned by the consumer, which submits, takes and waits.
Only `Item.settle_*` is called from elsewhere.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from ._coroutines import fail
from ._messages import Call, name_of
from ._terms import drop_terms, inherited_deadline, set_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._bells import Bell
    from ._deadlines import Deadlines
    from ._lanes import Place
    from ._options import Options

__all__ = [
    "CANCELLED",
    "ERROR",
    "PENDING",
    "VALUE",
    "Item",
    "Target",
    "Window",
]


# How an item has come out, or that it has not.
PENDING, VALUE, ERROR, CANCELLED = range(4)

# One for all calls, for it is only ever unpacked.
_NO_KEYWORDS: dict[str, Any] = {}


class Target(Protocol):
    """What a map needs of its pool."""

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which no task will ever report."""
        ...

    @property
    def deadlines(self) -> Deadlines:
        """Who watches the deadlines of its calls."""
        ...

    @property
    def slots(self) -> int:
        """How many workers it has."""
        ...

    def accept_all(self, calls: Sequence[Call], /) -> None:
        """Take calls in, all or none; all of them pinned, or none."""

    def cancel(self, call: Call, /) -> None:
        """Ask a task to stop."""

    def check_wait(self, title: str, /) -> None:
        """Raise if a synchronous wait in this thread could never end."""


class Item:
    """One item of the source, and the sink of its call."""

    __slots__ = ("_window", "call", "kind", "outcome", "place", "value")

    call: Call
    # Where a key may have so many under way; elsewhere nobody sets it or looks at it.
    place: Place[Item]

    def __init__(self, window: Window, value: Any) -> None:
        self._window = window
        self.value = value
        self.kind = PENDING
        self.outcome: Any = None

    def started(self) -> None:
        """Nobody can see it."""

    def settle_value(self, value: Any, /) -> None:
        """The call returned."""
        self.outcome = value
        self.kind = VALUE
        self._window.settled(self)

    def settle_error(self, error: BaseException, /) -> None:
        """The call raised."""
        self.outcome = error
        self.kind = ERROR
        self._window.has_failed = True
        self._window.settled(self)

    def settle_cancelled(self) -> None:
        """The call was cancelled and has ended."""
        self.kind = CANCELLED
        self._window.settled(self)


class Window:
    """Items under way, at most `size` of them.

    Args:
        target: Runs the calls.
        fn: Called with each item, or with each item's parts if `unpacks`.
        size: Most items under way.
        is_ordered: Whether items are taken in the order they were submitted in, or as they settle.
        unpacks: Whether an item is a tuple of arguments.
    """

    def __init__(
        self, target: Target, fn: Callable[..., Any], *, size: int, is_ordered: bool, unpacks: bool
    ) -> None:
        self.bell: Bell | None = None
        self.options: Options | None = None
        """What is fixed for all its calls."""
        self.has_failed = False
        self._target = target
        self._fn = fn
        self._size = size
        self._unpacks = unpacks
        # Ordered: all items under way, oldest first. Unordered: those that have settled.
        self._queue: deque[Item] = deque()
        # Unordered: all items under way.
        self._open: set[Item] | None = None if is_ordered else set()
        # Set by the consumer before its last look at what has settled; looked at by workers after
        # they settled an item. So one of them sees the other.
        self._awaited: Item | bool = False

    @property
    def title(self) -> str:
        """What to call the function in messages."""
        return name_of(self._fn)

    @property
    def free(self) -> int:
        """How many more items fit."""
        return self._size - len(self)

    def __len__(self) -> int:
        """How many items are under way."""
        return len(self._queue if self._open is None else self._open)

    @property
    def has_next(self) -> bool:
        """Whether `take` has something to give."""
        queue = self._queue
        return bool(queue) and (self._open is not None or queue[0].kind != PENDING)

    def submit(self, values: Sequence[Any]) -> None:
        """Send these on their way, for one hop."""
        items, calls = self._make(values)
        self._enter(items)
        try:
            self._target.accept_all(calls)
        except BaseException:
            for item in items:
                self._forget(item)
            raise

    def _make(self, values: Sequence[Any]) -> tuple[list[Item], list[Call]]:
        items: list[Item] = []
        calls: list[Call] = []
        options, source = self.options, inherited_deadline()
        for value in values:
            call = Call(self._target, self._fn, (value,), {}, copy_context())
            if self._unpacks:
                try:
                    call.args = tuple(value)
                except Exception as error:  # noqa: BLE001 - of this item, and no reason to lose the others
                    call.fn, call.args = fail, (error,)
            call.sink = item = Item(self, value)
            item.call = call
            if options is not None or source is not None:
                set_terms(call, options, self._target, source)
            items.append(item)
            calls.append(call)
        return items, calls

    def _enter(self, items: Sequence[Item]) -> None:
        """To be done before they are sent: one that settles before accept_all() returns must be found."""
        if self._open is None:
            self._queue.extend(items)
        else:
            self._open.update(items)

    def take(self) -> Item | None:
        """The next item that has settled; it is under way no longer."""
        if self._open is None:
            if self._queue and self._queue[0].kind != PENDING:
                return self._queue.popleft()
            return None
        try:
            item = self._queue.popleft()
        except IndexError:
            return None
        self._open.discard(item)
        return item

    def expect(self, is_ending: bool = False) -> bool:
        """Have the bell rung when there is something to take; False if there is already.

        Args:
            is_ending: Whether nothing is taken any more, and it is to be rung until all have settled.
        """
        if self._open is None and not is_ending:
            self._awaited = self._queue[0] if self._queue else True
        else:
            self._awaited = True
        # What nobody takes is no reason not to wait: the consumer's loop has to go on meanwhile.
        if self.is_settled if is_ending else self.has_next:
            self._awaited = False
            return False
        return True

    def settled(self, item: Item) -> None:
        """For the items: this one has its outcome."""
        if self._open is not None:
            self._queue.append(item)
        if self._awaited is item or self._awaited is True:
            self._awaited = False
            if self.bell is not None:
                self.bell.ring()

    def cancel_all(self) -> None:
        """Ask everything under way to stop."""
        for item in list(self._queue if self._open is None else self._open):
            # Only once: a second time would interrupt its clean-up, and breaking off is often
            # followed by leaving a block.
            if item.kind == PENDING and not item.call.is_cancelling:
                self._target.cancel(item.call)

    @property
    def is_settled(self) -> bool:
        """Whether every item under way has its outcome."""
        return all(item.kind != PENDING for item in (self._queue if self._open is None else self._open))

    def clear(self) -> list[Item]:
        """Forget all items; returns them."""
        items = list(self._queue if self._open is None else self._open)
        self._queue.clear()
        if self._open is not None:
            self._open.clear()
        return items

    def _forget(self, item: Item) -> None:
        drop_terms(item.call)
        if self._open is None:
            self._queue.remove(item)
        else:
            self._open.discard(item)
