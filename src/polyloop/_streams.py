"""How a map is made from what its user asks for: the arguments are checked, and nothing is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._coroutines import checked
from ._flow import Flow
from ._map import MapStream
from ._parameters import check_key, count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from ._dispatch import Dispatch
    from ._options import Options

__all__ = ["make_stream"]

DEFAULT_WINDOW = 1000


def make_stream(
    dispatch: Dispatch,
    fn: Callable[..., Awaitable[Any]],
    items: Any,
    verb: str,
    *,
    options: Options | None,
    most_in_flight: int,
    is_ordered: bool,
    window: int | None,
    key: Callable[[Any], Hashable] | None,
    per_key: int | None,
    errors: str,
) -> MapStream[Any, Any]:
    """A stream over `items`, of which nothing is pulled yet. The other arguments are those of `Calls.map`.

    Args:
        dispatch: The pool's entrance.
        fn: Called with each item, or each item's parts.
        items: The source.
        verb: What the user called, ``"map"`` or ``"starmap"``.
        options: What is fixed for all its calls.
        most_in_flight: Most tasks in flight, over all workers.
        is_ordered: Whether results come in the order of the items.
        window: Most items pulled and not delivered.
        key: A function of the item: same key, same worker.
        per_key: Most calls of one key under way.
        errors: What becomes of them.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: One is out of range, or does not go with another.
    """
    if not hasattr(items, "__iter__") and not hasattr(items, "__aiter__"):
        raise TypeError(f"{verb}() takes an iterable or async iterable of items, not {type(items).__name__}")
    if errors not in {"raise", "return"}:
        raise ValueError(f"errors={errors!r} is not known; it is 'raise' or 'return'")
    check_key(key, per_key)
    if key is not None and options is not None and options.fixes_worker:
        raise ValueError(
            f"{verb}(key=...) finds each item's worker: leave out the key or worker of options()"
        )
    if options is not None and options.pin is not None:
        dispatch.check_worker(options.pin)
    if window is None:
        window = min(most_in_flight, DEFAULT_WINDOW)
    flow = Flow(
        dispatch,
        checked(fn, verb),
        items,
        is_ordered=is_ordered,
        size=count("window", window),
        returns_errors=errors == "return",
        unpacks=verb == "starmap",
        options=options,
        key=key,
        per_key=per_key,
    )
    return MapStream(flow)
