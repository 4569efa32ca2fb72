"""One function over many items, on all loops of a pool, with a bound on what is under way.

What is under way is the business of `Window`; this pulls the source into it and delivers what comes
out, for a consumer that blocks and for one that awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from ._errors import TaskCancelled
from ._window import Item, Kind, LoopBell, Target, ThreadBell, Window

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

__all__ = ["MapStream"]

I = TypeVar("I")  # noqa: E741 - the item, as the contract names it
T = TypeVar("T")

logger = logging.getLogger("polyloop")

# Items are handed over in batches, for one hop costs the same as many. A batch is what the source
# yields in this time, so a slow source is never waited for. A guess: well above a hop's cost.
BATCH_SECONDS = 0.001


class MapStream(Generic[I, T]):
    """The results of one function over many items, as they come.

    Iterate it with ``for`` or ``async for``, once, or await it for a list. At most `window` items are
    pulled from the source and not delivered, however long the source is. Nothing is pulled before the
    first result is asked for, and nothing while nobody asks.

    As a context manager, of either kind, it cancels on leaving what is still under way and waits for
    that to end. A bare ``break`` only requests it.

    In order, an item that takes long holds up the results behind it, and once the window is full of
    those, the source too. Unordered, it holds up nobody.

    Made by `LoopPool.map`; owned by the thread or loop that iterates it.
    """

    def __init__(
        self,
        target: Target,
        fn: Callable[..., Awaitable[Any]],
        source: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool,
        window: int,
        returns_errors: bool,
        unpacks: bool = False,
    ) -> None:
        self._target = target
        self._source = source
        self._window = Window(target, fn, size=window, is_ordered=ordered, unpacks=unpacks)
        self._returns_errors = returns_errors
        self._has_pairs = False
        # While results are plentiful, so many places are let come free before the source is pulled.
        self._plenty = max(1, window // 16)
        self._iterator: Iterator[I] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._room: asyncio.Event | None = None
        self._source_error: BaseException | None = None
        self._is_exhausted = False
        self._is_begun = False

    # -- the public face ---------------------------------------------------------------------

    def pairs(self) -> MapStream[I, tuple[I, T]]:
        """The same stream, delivering ``(item, result)``; to be called before it is iterated."""
        self._check_fresh("pairs() has to be called")
        self._has_pairs = True
        return cast("MapStream[I, tuple[I, T]]", self)

    def stop(self) -> None:
        """Pull nothing more from the source; what was pulled is finished and delivered."""
        self._is_exhausted = True
        if self._pump is not None:
            self._pump.cancel()

    def __iter__(self) -> Iterator[T]:
        """Iterate in this thread.

        Raises:
            BlockingCall: This is one of the pool's own loops.
        """
        self._target.check_wait("the next result of a map")
        self._begin()
        if isinstance(self._source, AsyncIterable):
            return _PrivateLoopIteration(self)
        self._window.bell = ThreadBell()
        return _Iteration(self)

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate on the running loop.

        Cancellation: ends the iteration and requests the end of everything under way.
        """
        self._begin()
        return _AsyncIteration(self)

    def __await__(self) -> Generator[Any, None, list[T]]:
        """Run to the end and return all results as a list.

        Cancellation: cancels everything under way and goes on when that has ended.
        """
        return self._collect().__await__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._aleave()

    # -- pulling -----------------------------------------------------------------------------

    def _check_fresh(self, what: str) -> None:
        if self._is_begun:
            raise RuntimeError(f"{what} before the stream is iterated, and it can be iterated only once")

    def _begin(self) -> None:
        self._check_fresh("a map's results are gone once they were delivered: iterate")
        self._is_begun = True
        if not isinstance(self._source, AsyncIterable):
            self._iterator = iter(self._source)

    def _begin_on_loop(self) -> None:
        """The rest of beginning, for which the loop has to run."""
        self._window.bell = LoopBell()
        if isinstance(self._source, AsyncIterable):
            self._room = asyncio.Event()
            self._pump = asyncio.get_running_loop().create_task(self._pull_async(self._source))

    def _advance(self) -> Item | None:
        """The next item that has settled, or None when it has to be waited for."""
        window = self._window
        if self._iterator is not None and not self._is_exhausted:
            free = window.free
            if free >= self._plenty or (free and not window.has_next):
                self._pull(self._iterator, free)
        item = window.take()
        if item is not None and self._room is not None:
            self._room.set()
        return item

    def _pull(self, iterator: Iterator[I], free: int) -> None:
        """Fill the window, unless results come in meanwhile."""
        while free and not self._is_exhausted and not self._has_to_end:
            batch: list[I] = []
            end = perf_counter() + BATCH_SECONDS
            try:
                while len(batch) < free and perf_counter() < end:
                    batch.append(next(iterator))
            except StopIteration:
                self._is_exhausted = True
            except Exception as error:  # noqa: BLE001 - the source is the user's; raised after the last result
                self._source_error = error
                self._is_exhausted = True
            finally:
                if batch:
                    self._window.submit(batch)
            free -= len(batch)
            if self._window.has_next:
                return

    async def _pull_async(self, source: AsyncIterable[I]) -> None:
        """Pull an async source for as long as there is room; a task of its own."""
        room = cast("asyncio.Event", self._room)
        try:
            async for item in source:
                self._window.submit([item])
                while not self._window.free:
                    room.clear()
                    await room.wait()
                if self._is_exhausted or self._has_to_end:
                    break
        except asyncio.CancelledError:
            pass  # by stop(), or because the consumer has gone
        except BaseException as error:  # noqa: BLE001 - the source is the user's; raised after the last result
            self._source_error = error
        finally:
            self._is_exhausted = True
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()
            cast("LoopBell", self._window.bell).ring()

    @property
    def _has_to_end(self) -> bool:
        """Whether an error is on its way that will end the stream: nothing more need be begun."""
        return self._window.has_failed and not self._returns_errors

    # -- delivering --------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return (self._is_exhausted or self._has_to_end) and not len(self._window)

    def _error_of(self, item: Item) -> BaseException | None:
        if item.kind == Kind.VALUE:
            return None
        if item.kind == Kind.ERROR:
            return cast("BaseException", item.outcome)
        return TaskCancelled(f"{item.call.title} was cancelled for the item {item.value!r:.200}")

    def _result_of(self, item: Item, error: BaseException | None) -> T:
        result = item.outcome if error is None else error
        return cast("T", (item.value, result) if self._has_pairs else result)

    async def _wait(self) -> None:
        bell = cast("LoopBell", self._window.bell)
        if self._window.expect():
            await bell.wait()

    async def _collect(self) -> list[T]:
        self._begin()
        self._begin_on_loop()
        results: list[T] = []
        try:
            while True:
                item = self._advance()
                if item is not None:
                    error = self._error_of(item)
                    if error is not None and not self._returns_errors:
                        raise error
                    results.append(self._result_of(item, error))
                elif self._is_over:
                    if self._source_error is not None:
                        raise self._source_error
                    return results
                else:
                    await self._wait()
        finally:
            await self._aleave()

    # -- leaving -----------------------------------------------------------------------------

    def _request_end(self) -> None:
        """Pull nothing more and ask everything under way to stop."""
        self.stop()
        self._window.cancel_all()

    def _leave(self) -> None:
        self._request_end()
        bell = self._window.bell
        if not isinstance(bell, ThreadBell):
            bell = self._window.bell = ThreadBell()
        while not self._window.is_over:
            if self._window.expect(is_ending=True):
                bell.wait()
        self._discard()

    async def _aleave(self) -> None:
        self._request_end()
        if self._pump is not None:
            await asyncio.wait([self._pump])
        if not isinstance(self._window.bell, LoopBell):
            self._window.bell = LoopBell()
        while not self._window.is_over:
            if self._window.expect(is_ending=True):
                await self._window.bell.wait()
        self._discard()

    def _discard(self) -> None:
        """Forget what nobody will take; errors among it are not passed over in silence."""
        errors = [item.outcome for item in self._window.clear() if item.kind == Kind.ERROR]
        if errors:
            logger.error(
                "a map over %s() was left while %d more items had failed; the first: %r",
                self._window.title, len(errors), errors[0], exc_info=errors[0],
            )  # fmt: skip


class _Iteration(Iterator[T]):
    """``for``: its end, by ``break`` too, is the end of the stream."""

    def __init__(self, stream: MapStream[Any, T]) -> None:
        self._stream: MapStream[Any, T] | None = stream

    def __next__(self) -> T:
        stream = self._stream
        if stream is None:
            raise StopIteration
        window = stream._window
        while (item := stream._advance()) is None:
            if stream._is_over:
                self._stream = None
                if stream._source_error is not None:
                    raise stream._source_error
                raise StopIteration
            if window.expect():
                cast("ThreadBell", window.bell).wait()
        error = stream._error_of(item)
        if error is not None and not stream._returns_errors:
            self._stream = None
            stream._leave()
            raise error
        return stream._result_of(item, error)

    def __del__(self) -> None:
        if self._stream is not None:
            self._stream._request_end()


class _AsyncIteration(AsyncIterator[T]):
    """``async for``: its end, by ``break`` too, is the end of the stream."""

    def __init__(self, stream: MapStream[Any, T]) -> None:
        self._stream: MapStream[Any, T] | None = stream
        stream._begin_on_loop()

    async def __anext__(self) -> T:
        stream = self._stream
        if stream is None:
            raise StopAsyncIteration
        while (item := stream._advance()) is None:
            if stream._is_over:
                self._stream = None
                if stream._source_error is not None:
                    raise stream._source_error
                raise StopAsyncIteration
            await stream._wait()
        error = stream._error_of(item)
        if error is not None and not stream._returns_errors:
            self._stream = None
            await stream._aleave()
            raise error
        return stream._result_of(item, error)

    def __del__(self) -> None:
        if self._stream is not None:
            self._stream._request_end()


class _PrivateLoopIteration(Iterator[T]):
    """``for`` over an async source: that is pulled on a loop of the iterating thread's own."""

    def __init__(self, stream: MapStream[Any, T]) -> None:
        self._runner = asyncio.Runner()
        self._stream = stream
        self._iteration: _AsyncIteration[T] | None = None

    def __next__(self) -> T:
        try:
            return self._runner.run(self._next())
        except StopAsyncIteration:
            self._runner.close()
            raise StopIteration from None

    async def _next(self) -> T:
        if self._iteration is None:
            self._iteration = _AsyncIteration(self._stream)
        return await self._iteration.__anext__()

    def __del__(self) -> None:
        self._iteration = None
        with contextlib.suppress(RuntimeError):  # another loop runs in this thread
            self._runner.close()
