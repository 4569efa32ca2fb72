"""References to what is in Ray's object store, in calls and results.

A pickle of one says what it is of, but not who owns it, and Ray does not count it: to wait for what it is of
never ends. So references travel beside the bytes, as arguments and results of calls of the actor, which Ray
counts: they are lent before the bytes are sent, and have arrived before the bytes do. In the bytes there is a
word for each.
"""

from __future__ import annotations

import functools
import io
import threading
from collections import ChainMap
from typing import TYPE_CHECKING, Any, cast

import cloudpickle  # type: ignore[import-untyped]  # it has no types

from ._pickling import send_otherwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["arrive", "borrowed", "lend_to", "of_thread"]

# The name of their class, as it stands in a pickle that has one.
_MARK = b"ObjectRef"


class _OfThread(threading.local):
    """Where what this thread packs goes.

    Attributes:
        packed: The references of one pickle.
        lent: Those of all that is packed for loops on Ray: who packs it puts an empty tuple here first, and
            what was here back in the end, for a signal handler may pack in the middle of packing.
    """

    packed: list[Any] | None = None
    lent: tuple[Any, ...] | None = None


of_thread = _OfThread()
_of_process: list[Callable[[Iterable[Any]], object]] = []
_arrived: dict[str, list[Any]] = {}


def lend_to(ray: Any, take: Callable[[Iterable[Any]], object] | None = None) -> None:
    """Have references packed in a way that does not lose them.

    Args:
        ray: The module.
        take: Given those that any thread packs, where this process is a worker.
    """
    if take is not None:
        _of_process[:] = [take]
    base = cast("Any", cloudpickle).Pickler
    table = ChainMap({ray.ObjectRef: _reduce}, base.dispatch_table)
    # It is the class that is asked for its table.
    send_otherwise(_MARK, functools.partial(_dumps, type("Pickler", (base,), {"dispatch_table": table})))


def arrive(refs: Iterable[Any]) -> None:
    """Keep these until what they came with is unpacked."""
    for ref in refs:
        _arrived.setdefault(ref.hex(), []).append(ref)


def borrowed(name: str) -> Any:
    """One of those that have arrived, for a pickle."""
    refs = _arrived[name]
    ref = refs.pop()
    if not refs:
        _arrived.pop(name, None)
    return ref


def _dumps(pickler: Any, thing: Any) -> bytes:
    file = io.BytesIO()
    before = of_thread.packed
    refs: list[Any] = []
    of_thread.packed = refs
    try:
        pickler(file, 5).dump(thing)
    finally:
        of_thread.packed = before
    if refs:
        _lend(refs)
    return file.getvalue()


def _reduce(ref: Any) -> tuple[Callable[[str], Any], tuple[str]]:
    cast("list[Any]", of_thread.packed).append(ref)
    return borrowed, (ref.hex(),)


def _lend(refs: list[Any]) -> None:
    if of_thread.lent is not None:
        of_thread.lent += tuple(refs)
    elif _of_process:
        _of_process[0](refs)
    else:
        raise TypeError("a reference to something in Ray's object store can be sent to loops on Ray alone")
