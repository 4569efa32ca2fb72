"""One function over many items, on all loops of a pool, as one stream of results.

Everything but the iterating itself is the business of `Flow`.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast

from ._mailbox import PASS_ITEMS
from ._staying import refuse_to_move
from ._window import VALUE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from ._flow import Flow
    from ._window import Item

__all__ = ["MapStream"]

I = TypeVar("I")  # noqa: E741 - the item, as the contract names it
T = TypeVar("T")


class MapStream(Generic[I, T]):
    """The results of one function over many items, as they come.

    Iterate it with ``for`` or ``async for``, once, or await it for a list. At most `window` items are
    pulled from the source and not delivered, however long the source is; with `per_key` at most as many
    again. Nothing is pulled before the first result is asked for, and nothing while nobody asks.

    As a context manager, of either kind, it cancels on leaving what is still under way and waits for
    that to end. A bare ``break`` only requests it.

    In order, an item that takes long holds up the results behind it, and once the window is full of
    those, the source too. Unordered, it holds up nobody.

    Made by `LoopPool.map`; owned by the thread or loop that iterates it.
    """

    def __reduce__(self) -> NoReturn:
        refuse_to_move(self, "iterate it there, and send what it delivers")

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._has_pairs = False
        self._is_begun = False

    def pairs(self) -> MapStream[I, tuple[I, T]]:
        """The same stream, delivering ``(item, result)``; to be called before it is iterated.

        Raises:
            RuntimeError: It is being iterated already.
        """
        self._check_fresh("pairs() has to be called before that")
        self._has_pairs = True
        return cast("MapStream[I, tuple[I, T]]", self)

    def stop(self) -> None:
        """Pull nothing more from the source; what was pulled is finished and delivered."""
        self._flow.stop()

    def __iter__(self) -> Iterator[T]:
        """Iterate in this thread.

        An async source is pulled on a loop of the iterating thread's own.

        Raises:
            BlockingCall: This is one of the pool's own loops.
            RuntimeError: It has been iterated before; or the source is async, and a loop runs here.
        """
        self._flow.check_wait()
        is_async = isinstance(self._flow.source, AsyncIterable)
        if is_async and _get_running_loop() is not None:
            raise RuntimeError(
                "this map's source is async and a loop is running in this thread: iterate it with `async for`"
            )
        self._begin()
        if is_async:
            return _PrivateLoopIteration(self._flow, self._has_pairs)
        return _Iteration(self._flow, self._has_pairs)

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate on the running loop.

        Cancellation: ends the iteration and asks everything under way to stop.

        Raises:
            RuntimeError: It has been iterated before.
        """
        self._begin()
        return _AsyncIteration(self._flow, self._has_pairs)

    def __await__(self) -> Generator[Any, None, list[T]]:
        """Run to the end and return all results as a list.

        Cancellation: cancels everything under way and goes on when that has ended.
        """
        return self._collect().__await__()

    def __enter__(self) -> Self:
        self._flow.check_wait()  # for leaving may wait
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._flow.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._flow.aend()

    def _begin(self) -> None:
        self._check_fresh("its results are gone once they were delivered, so make a new one")
        self._is_begun = True

    def _check_fresh(self, advice: str) -> None:
        if self._is_begun:
            raise RuntimeError(f"this map has been iterated already; {advice}")

    async def _collect(self) -> list[T]:
        self._begin()
        results: list[T] = []
        iteration: _AsyncIteration[T] = _AsyncIteration(self._flow, self._has_pairs)
        try:
            while not await iteration.is_at_end():
                # All that are there: a coroutine per item would cost as much as its call.
                results.extend(iteration.take_settled())
        finally:
            iteration.let_go()
            await self._flow.aend()
        return results


class _Delivery(Generic[T]):
    """What the ways of iterating share: its end, by ``break`` too, is the end of the stream."""

    _flow: Flow | None = None  # for __del__, when Ctrl-C has come before there was one

    def __init__(self, flow: Flow, has_pairs: bool) -> None:
        self._flow = flow
        self._has_pairs = has_pairs

    def _result(self, item: Item, error: BaseException | None) -> T:
        result = item.outcome if error is None else error
        return cast("T", (item.value, result) if self._has_pairs else result)

    def let_go(self) -> None:
        """Nothing of the stream is left to do here."""
        self._flow = None

    def give_up(self) -> None:
        """Ask everything that is left of the stream to stop."""
        if self._flow is not None:
            self._flow.request_end()
            self._flow = None

    def __del__(self) -> None:
        # Not enough by itself: a traceback may keep an iterator that was left by an exception.
        self.give_up()


class _Iteration(_Delivery[T], Iterator[T]):
    """``for``."""

    def __init__(self, flow: Flow, has_pairs: bool) -> None:
        flow.begin()
        super().__init__(flow, has_pairs)

    def __next__(self) -> T:
        flow = self._flow
        if flow is None:
            raise StopIteration
        while (item := flow.advance()) is None:
            if flow.is_over:
                self.let_go()
                raise StopIteration
            try:
                flow.wait()
            except BaseException:
                self.give_up()
                raise
        error = None if item.kind == VALUE else flow.error_of(item)
        if error is not None and flow.ends_with(error):
            self.let_go()
            flow.end()
            raise error
        return self._result(item, error)


class _AsyncIteration(_Delivery[T], AsyncIterator[T]):
    """``async for``."""

    def __init__(self, flow: Flow, has_pairs: bool) -> None:
        flow.begin_on_loop()
        super().__init__(flow, has_pairs)
        self._next: Item | None = None
        # Results delivered without letting the loop do anything else; its timers have to run too.
        self._unbroken = 0

    async def __anext__(self) -> T:
        if await self.is_at_end():
            raise StopAsyncIteration
        item, self._next = cast("Item", self._next), None
        flow = cast("Flow", self._flow)
        error = None if item.kind == VALUE else flow.error_of(item)
        if error is not None and flow.ends_with(error):
            self.let_go()
            await flow.aend()
            raise error
        return self._result(item, error)

    async def is_at_end(self) -> bool:
        """Wait for the next item; whether there is none."""
        flow = self._flow
        if flow is None:
            return True
        self._unbroken += 1
        if self._unbroken >= PASS_ITEMS:
            await self._suspend(asyncio.sleep(0))
        while self._next is None:
            self._next = flow.advance()
            if self._next is None:
                if flow.is_over:
                    self.let_go()
                    return True
                await self._suspend(flow.await_next())
        return False

    async def _suspend(self, waiting: Awaitable[None]) -> None:
        self._unbroken = 0
        try:
            await waiting
        except asyncio.CancelledError:
            self.give_up()
            raise

    def take_settled(self) -> Iterator[T]:
        """The results that can be had without waiting."""
        flow = cast("Flow", self._flow)
        self._unbroken = PASS_ITEMS
        for _ in range(PASS_ITEMS):
            item = self._next
            if item is None:
                return
            error = None if item.kind == VALUE else flow.error_of(item)
            if error is not None and flow.ends_with(error):
                raise error
            yield self._result(item, error)
            self._next = flow.advance()


class _PrivateLoopIteration(Iterator[T]):
    """``for`` over an async source, on a loop of the iterating thread's own."""

    def __init__(self, flow: Flow, has_pairs: bool) -> None:
        self._flow = flow
        self._has_pairs = has_pairs
        self._runner: asyncio.Runner | None = asyncio.Runner()
        self._iteration: _AsyncIteration[T] | None = None

    def __next__(self) -> T:
        if self._runner is None:
            raise StopIteration
        try:
            return self._runner.run(self._anext())
        except StopAsyncIteration:
            self._close()
            raise StopIteration from None
        except BaseException:
            self._close()
            raise

    async def _anext(self) -> T:
        if self._iteration is None:
            self._iteration = _AsyncIteration(self._flow, self._has_pairs)
        return await self._iteration.__anext__()

    def _close(self) -> None:
        runner, self._runner = self._runner, None
        if self._iteration is not None:
            self._iteration.give_up()
        if runner is not None:
            with contextlib.suppress(RuntimeError):  # another loop runs in this thread
                runner.close()

    def __del__(self) -> None:
        self._close()
