"""The ways to hand a stream of calls to a pool, one for each item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, Unpack, overload

from ._streams import make_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Iterable

    from ._dispatch import Dispatch
    from ._map import MapStream
    from ._options import Options

__all__ = ["MapCalls"]

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the item, as the contract names it
Ts = TypeVarTuple("Ts")


class MapCalls:
    """What can be asked of a pool for many items, and of a view of it that fixes options.

    Attributes:
        _dispatch: The pool's entrance.
        _most_in_flight: Most tasks in flight, over all workers.
        _options: What is fixed for the calls; None is nothing.
    """

    __slots__ = ()  # as in `Calls`

    _dispatch: Dispatch
    _most_in_flight: int
    _options: Options | None = None

    @overload
    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[I], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["raise"] = "raise",
    ) -> MapStream[I, T]: ...

    @overload
    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[I], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["return"],
    ) -> MapStream[I, T | BaseException]: ...

    def map(
        self,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[I], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> MapStream[I, T] | MapStream[I, T | BaseException]:
        """Run a call for each item and deliver the results as a stream.

        Args:
            fn: Called with each item on some loop; as for `submit`.
            items: A sync or async iterable, finite or not. A sync one is pulled in the consumer's thread.
            ordered: Deliver in the order of the items, or as results come.
            window: Most items pulled and not delivered, over all workers; None is the smaller of 1,000
                and what the workers' limits allow.
            key: Called with each item where it is pulled: items with the same key run on the same worker.
            per_key: Most calls of one key under way; 1 keeps their order. Items above that are set aside,
                at most as many as `window`, and other keys go on.
            errors: ``"raise"``: the first error ends the stream and cancels the rest. ``"return"``: an
                error takes its item's place.

        Raises:
            TypeError: `fn` is not something to call on a loop, `items` cannot be iterated, or `key` is no
                plain function.
            ValueError: `window`, `per_key` or `errors` is out of range, or `per_key` is without `key`.
        """
        return self._stream(
            fn, items, "map", is_ordered=ordered, window=window, key=key, per_key=per_key, errors=errors
        )

    @overload
    def starmap(
        self,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        items: Iterable[tuple[*Ts]] | AsyncIterable[tuple[*Ts]],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[tuple[*Ts]], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["raise"] = "raise",
    ) -> MapStream[tuple[*Ts], T]: ...

    @overload
    def starmap(
        self,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        items: Iterable[tuple[*Ts]] | AsyncIterable[tuple[*Ts]],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[tuple[*Ts]], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["return"],
    ) -> MapStream[tuple[*Ts], T | BaseException]: ...

    def starmap(
        self,
        fn: Callable[[Unpack[Ts]], Awaitable[T]],
        items: Iterable[tuple[*Ts]] | AsyncIterable[tuple[*Ts]],
        *,
        ordered: bool = True,
        window: int | None = None,
        key: Callable[[tuple[*Ts]], Hashable] | None = None,
        per_key: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> MapStream[tuple[*Ts], T] | MapStream[tuple[*Ts], T | BaseException]:
        """As `map`, for items that are tuples of arguments: ``fn(*item)``, but ``key(item)``."""
        return self._stream(
            fn, items, "starmap", is_ordered=ordered, window=window, key=key, per_key=per_key, errors=errors
        )

    def _stream(
        self, fn: Callable[..., Awaitable[Any]], items: Any, verb: str, **how: Any
    ) -> MapStream[Any, Any]:
        return make_stream(
            self._dispatch, fn, items, verb, options=self._options, most_in_flight=self._most_in_flight, **how
        )
