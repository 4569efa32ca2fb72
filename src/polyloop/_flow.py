"""What turns a source into results: pulls items, submits them, and says what has come of them.

What is under way is the business of `Window`. Who takes the results, and whether by blocking or by
awaiting, is that of `MapStream`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Iterator
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from ._bells import LoopBell, ThreadBell
from ._errors import DeadlineExceeded, TaskCancelled
from ._keyed_window import CappedWindow, KeyedWindow
from ._window import ERROR, VALUE, Item, Target, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

    from ._options import Options

__all__ = ["Flow"]

logger = logging.getLogger("polyloop")

# Items are handed over in batches, for one hop costs the same as many. A batch is what the source
# yields in this time, so a slow source is never waited for. A guess: well above a hop's cost.
BATCH_SECONDS = 0.001


class Flow:
    """One map from its source to its last result; owned by the thread or loop that consumes it.

    Args:
        target: The pool.
        fn: Called with each item.
        source: A sync or async iterable.
        is_ordered: Whether results come in the order of the items.
        size: Most items pulled and not delivered.
        returns_errors: Whether an error takes its item's place, or ends the stream.
        unpacks: Whether each item is a tuple of arguments.
        options: What is fixed for all calls.
        key: A function of the item: same key, same worker.
        per_key: Most calls of one key under way; None is no limit.
    """

    def __init__(
        self,
        target: Target,
        fn: Callable[..., Awaitable[Any]],
        source: Iterable[Any] | AsyncIterable[Any],
        *,
        is_ordered: bool,
        size: int,
        returns_errors: bool,
        unpacks: bool,
        key: Callable[[Any], Hashable] | None = None,
        per_key: int | None = None,
        options: Options | None = None,
    ) -> None:
        self.source = source
        self._target = target
        self._window: Window
        if key is None:
            self._window = Window(target, fn, size=size, is_ordered=is_ordered, unpacks=unpacks)
        elif per_key is None:
            self._window = KeyedWindow(target, fn, size=size, is_ordered=is_ordered, unpacks=unpacks, key=key)
        else:
            self._window = CappedWindow(
                target,
                fn,
                size=size,
                is_ordered=is_ordered,
                unpacks=unpacks,
                key=key,
                per_key=per_key,
                ends_with_errors=not returns_errors,
            )
        self._window.options = options
        self._returns_errors = returns_errors
        # While results are plentiful, so many places are let come free before the source is pulled.
        self._plenty = max(1, size // 4)
        self._taken = 0
        self._iterator: Iterator[Any] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None
        self._source_error: BaseException | None = None
        self._is_exhausted = False

    # -- beginning ---------------------------------------------------------------------------

    def check_wait(self) -> None:
        """Raise BlockingCall on one of the pool's own loops."""
        self._target.check_wait("a map's results")

    def begin(self) -> None:
        """Get ready for a consumer that blocks."""
        self._window.bell = ThreadBell()
        self._iterator = iter(cast("Iterable[Any]", self.source))

    def begin_on_loop(self) -> None:
        """Get ready for a consumer that awaits on the running loop."""
        self._window.bell = LoopBell()
        if isinstance(self.source, AsyncIterable):
            self._room = asyncio.Event()
            self._pump = asyncio.get_running_loop().create_task(self._pull_async(self.source))
        else:
            self._iterator = iter(self.source)

    # -- going on ----------------------------------------------------------------------------

    def advance(self) -> Item | None:
        """Pull what there is room for; the next item that has settled, None if none has."""
        item = self._window.take()
        if self._room is not None and self._window.free:
            self._room.set()
        if item is not None:
            self._taken += 1
            if self._taken < self._plenty:
                return item
        if self._iterator is not None and not self._is_exhausted:
            self._taken = 0
            self._pull(self._iterator, 0 if item is None else 1)
        return item if item is not None else self._window.take()

    @property
    def is_over(self) -> bool:
        """Whether everything was pulled and delivered.

        Raises:
            Exception: It was, and the source had raised this.
        """
        if len(self._window) or not (self._is_exhausted or self._has_to_end):
            return False
        if self._pump is not None and self._is_exhausted and not self._pump.done():
            return False  # it closes the source, and rings when it has
        if self._source_error is not None:
            raise self._source_error
        return True

    def wait(self) -> None:
        """Block until `advance` may have something."""
        if self._window.expect():
            cast("ThreadBell", self._window.bell).wait()

    async def await_next(self) -> None:
        """Return when `advance` may have something. Cancellation: stops the waiting only."""
        if self._window.expect():
            await cast("LoopBell", self._window.bell).wait()

    def error_of(self, item: Item) -> BaseException | None:
        """The error that `item` came out with, if any."""
        if item.kind == VALUE:
            return None
        if item.kind == ERROR:
            return cast("BaseException", item.outcome)
        return TaskCancelled(f"{item.call.title} was cancelled for the item {item.value!r:.200}")

    def ends_with(self, error: BaseException | None) -> bool:
        """Whether an item that came out so is the end of the stream."""
        return error is not None and not self._returns_errors

    # -- ending ------------------------------------------------------------------------------

    def stop(self) -> None:
        """Pull nothing more."""
        self._is_exhausted = True
        if self._pump is not None:
            self._pump.cancel()

    def request_end(self) -> None:
        """Pull nothing more, and ask everything under way to stop."""
        self.stop()
        self._window.cancel_all()

    def end(self) -> None:
        """As `request_end`, and block until it has come about."""
        self.request_end()
        bell = self._window.bell
        if not isinstance(bell, ThreadBell):
            bell = self._window.bell = ThreadBell()
        while not self._window.is_settled:
            if self._window.expect(is_ending=True):
                bell.wait()
        self._discard()

    async def aend(self) -> None:
        """As `end`, on the running loop. Cancellation: stops the waiting only."""
        self.request_end()
        if self._pump is not None:
            await asyncio.wait([self._pump])
        bell = self._window.bell
        if not isinstance(bell, LoopBell):
            bell = self._window.bell = LoopBell()
        while not self._window.is_settled:
            if self._window.expect(is_ending=True):
                await bell.wait()
        self._discard()

    def _discard(self) -> None:
        """Forget what nobody will take; errors among it are not passed over in silence."""
        # What a deadline has ended had been told to end, as everything else that is left here.
        errors = [
            item.outcome
            for item in self._window.clear()
            if item.kind == ERROR and not isinstance(item.outcome, DeadlineExceeded)
        ]
        if errors:
            logger.error(
                "a map over %s() was left, and %d more of its items had failed; the first of them: %r",
                self._window.title,
                len(errors),
                errors[0],
                exc_info=errors[0],
            )

    # -- pulling -----------------------------------------------------------------------------

    @property
    def _has_to_end(self) -> bool:
        """Whether an error is on its way that will end the stream: nothing more need be begun."""
        return self._window.has_failed and not self._returns_errors

    def _pull(self, iterator: Iterator[Any], in_hand: int) -> None:
        """Fill the window, unless results come in meanwhile.

        Args:
            iterator: The source.
            in_hand: How many were taken that are not delivered yet, and so still have their places.
        """
        # Asked anew each time: where keys are capped, a batch that was set aside has used up nothing.
        while not self._is_exhausted and not self._has_to_end:
            free = self._window.free - in_hand
            if free <= 0:
                return
            batch = self._next_batch(iterator, free)
            if batch:
                self._window.submit(batch)
            if self._window.has_next:
                return

    def _next_batch(self, iterator: Iterator[Any], most: int) -> list[Any]:
        """What the source yields in a moment, at most so much and at least one item."""
        batch: list[Any] = []
        end = perf_counter() + BATCH_SECONDS
        # In pieces that double, so that the clock costs nothing when the source is fast, and a slow
        # one is not asked for much more than the moment allows.
        piece = 1
        try:
            while len(batch) < most and perf_counter() < end:
                wanted = min(len(batch) + piece, most)
                batch.extend(islice(iterator, wanted - len(batch)))
                if len(batch) < wanted:
                    self._is_exhausted = True
                    break
                piece *= 2
        except Exception as error:  # noqa: BLE001 - the source is the user's; raised after the last result
            # What extend() had taken before that is in the batch.
            self._source_error = error
            self._is_exhausted = True
        return batch

    async def _pull_async(self, source: AsyncIterable[Any]) -> None:
        """Pull an async source for as long as there is room; a task of its own."""
        try:
            async for item in source:
                self._window.submit([item])
                await self._wait_for_room()
                if self._is_exhausted or self._has_to_end:
                    break
        except asyncio.CancelledError:
            pass  # by stop(), or because the consumer has gone
        except Exception as error:  # noqa: BLE001 - the source is the user's; raised after the last result
            self._source_error = error
        finally:
            self._is_exhausted = True
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()
            cast("LoopBell", self._window.bell).ring()

    async def _wait_for_room(self) -> None:
        room = cast("asyncio.Event", self._room)
        while not self._window.free:
            room.clear()
            await room.wait()
