"""The windows of maps whose items have keys: each on its key's worker, and so many of one key at a time.

Owned by the consumer like any window; only what is settled comes from elsewhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ._coroutines import fail
from ._lanes import Lanes, Place
from ._options import slot_of
from ._window import ERROR, PENDING, Item, Target, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from ._messages import Call

__all__ = ["CappedWindow", "KeyedWindow"]


class KeyedWindow(Window):
    """A window whose calls are pinned: same key, same worker.

    Args:
        target: Runs the calls.
        fn: Called with each item.
        size: As in `Window`.
        is_ordered: As in `Window`.
        unpacks: As in `Window`.
        key: Called with each item, as it came out of the source, where it is pulled.
    """

    def __init__(
        self,
        target: Target,
        fn: Callable[..., Any],
        *,
        size: int,
        is_ordered: bool,
        unpacks: bool,
        key: Callable[[Any], Hashable],
    ) -> None:
        super().__init__(target, fn, size=size, is_ordered=is_ordered, unpacks=unpacks)
        self._key = key

    def _make(self, values: Sequence[Any]) -> tuple[list[Item], list[Call]]:
        items, calls = super()._make(values)
        for item in items:
            try:
                self._pin(item)
            except Exception as error:  # noqa: BLE001 - of this item, and no reason to lose the others
                _fail(item, error)
        return items, calls

    def _pin(self, item: Item) -> Hashable:
        """Have an item run where its key belongs; returns the key."""
        key = self._key(item.value)
        item.call.pin = slot_of(key, self._target.slots)
        return key


class CappedWindow(KeyedWindow):
    """One in which at most `per_key` calls of one key are under way; what is above that is set aside.

    What is set aside has no place in the window, so other keys go on; but there are at most as many of
    those as places. It goes when a call of its key has ended and the consumer asks for a result.

    Args:
        target: Runs the calls.
        fn: Called with each item.
        size: Most items that were sent, and most that are set aside.
        is_ordered: As in `Window`.
        unpacks: As in `Window`.
        key: As in `KeyedWindow`.
        per_key: Most calls of one key that are under way.
        ends_with_errors: Whether the first error is the end, and nothing behind it need begin any more.
    """

    def __init__(
        self,
        target: Target,
        fn: Callable[..., Any],
        *,
        size: int,
        is_ordered: bool,
        unpacks: bool,
        key: Callable[[Any], Hashable],
        per_key: int,
        ends_with_errors: bool,
    ) -> None:
        super().__init__(target, fn, size=size, is_ordered=is_ordered, unpacks=unpacks, key=key)
        self._lanes: Lanes[Item] = Lanes(per_key)
        self._pulled = 0
        # Those the pool has not been given: nobody but this window settles them, and their deadlines.
        self._unsent: set[Item] = set()
        # Settled by workers, and not yet told to the lanes, which are the consumer's.
        self._settled: deque[Item] = deque()
        self._ends_with_errors = ends_with_errors
        # Of the first that failed, where that ends the stream.
        self._end_number: int | None = None
        self._is_ending = False

    @property
    def free(self) -> int:
        """How many more items fit, whatever their keys."""
        aside = len(self._lanes)
        return self._size - max(aside, len(self) - aside)

    def submit(self, values: Sequence[Any]) -> None:
        """Send those on their way whose keys allow it, and set the others aside."""
        items, _ = self._make(values)
        self._unsent.update(items)
        self._enter(items)
        may_go: list[Item] = []
        try:
            if self._is_ending:
                self.cancel_all()
            else:
                may_go.extend(item for item in items if self._may_go(item))
                self._send(may_go)
        except Exception:
            for item in may_go:
                self._forget(item)
            raise
        except BaseException:
            self.cancel_all()  # as in _release()
            raise

    def take(self) -> Item | None:
        """The next item that has settled; what may go because of that goes."""
        item = super().take()
        if item is not None:
            # It may be here before it is in `_settled`. Its place is free now, and belongs to the first
            # that waited for it: in order, somebody behind that one would keep it for ever.
            self._note_end(item)
        if self._settled or self._lanes:
            self._release()
        return item

    def expect(self, is_ending: bool = False) -> bool:
        """As in `Window`; the bell is rung for each item, for another of its key may go then."""
        if is_ending:
            return super().expect(is_ending)
        self._awaited = True
        if self.has_next or self._settled:
            self._awaited = False
            return False
        return True

    def settled(self, item: Item) -> None:
        """For the items: this one has its outcome."""
        self._settled.append(item)  # before the look at who waits: see `expect`
        super().settled(item)

    def cancel_all(self) -> None:
        """Ask everything under way to stop; what is set aside never starts."""
        self._is_ending = True
        while self._unsent:
            item = self._unsent.pop()
            if item.kind == PENDING:
                item.call.is_cancelling = True
                item.call.sink.settle_cancelled()
        super().cancel_all()

    def _pin(self, item: Item) -> Hashable:
        self._pulled += 1
        item.place = place = Place(self._pulled, item)
        place.key = super()._pin(item)
        return place.key

    def _may_go(self, item: Item) -> bool:
        if item.call.fn is fail:
            return True  # and it takes nobody's turn
        try:
            self._lanes.enter(item.place)
        except Exception as error:  # noqa: BLE001 - as in _make(): keys are compared by code of the user
            _fail(item, error)
            return True
        return item.place.is_under_way

    def _release(self) -> None:
        while self._settled:
            self._note_end(self._settled.popleft())
        if self._is_ending:
            return
        try:
            items = self._lanes.release(self._size - (len(self) - len(self._lanes)), before=self._end_number)
            self._send_each(items)
        except BaseException:
            # Ctrl-C: nobody can say how much of this was done, so nothing may wait for it.
            self.cancel_all()
            raise

    def _note_end(self, item: Item) -> None:
        self._lanes.end(item.place)
        self._unsent.discard(item)  # its deadline may have passed while it was set aside
        if item.kind == ERROR and self._ends_with_errors:
            # Those before it are delivered before it, so they have to run; those behind it need not. As
            # results come, it is delivered before all that has not begun.
            number = item.place.number if self._open is None else 0
            self._end_number = number if self._end_number is None else min(self._end_number, number)

    def _send_each(self, items: Sequence[Item]) -> None:
        """Send what was set aside. If the pool takes nothing any more, that is how each of them comes out."""
        try:
            self._send(items)
        except Exception:  # noqa: BLE001 - whatever a pool that is closed says, each item is told anew
            self._unsent.update(items)
            for item in items:
                try:
                    self._send([item])
                except Exception as error:  # noqa: BLE001 - see above
                    item.call.sink.settle_error(error)

    def _send(self, items: Sequence[Item]) -> None:
        if not items:
            return
        try:
            self._unsent.difference_update(items)
            self._target.accept_all([item.call for item in items])
        except Exception:
            raise
        except BaseException:
            for item in items:  # the pool has called them off
                self._forget(item)
            raise

    def _forget(self, item: Item) -> None:
        self._lanes.end(item.place)
        super()._forget(item)


def _fail(item: Item, error: Exception) -> None:
    """Have an item's call raise what its key has raised."""
    # Without our own frames: they refer to the item, which refers to the error.
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__package__") == __package__:
        traceback = traceback.tb_next
    # Not by assignment, which the class may refuse: that of a frozen dataclass does.
    BaseException.with_traceback(error, traceback)
    item.call.fn, item.call.args = fail, (error,)
    # In a batch all calls are pinned or none, and it fails as well there as anywhere.
    item.call.pin = 0
