"""Pickles of what pickle cannot name, and of what a library has that pickle would lose something of."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import cloudpickle  # type: ignore[import-untyped]  # it has no types

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cloudpickled", "dumps_by_value", "has_others", "send_otherwise"]

cloudpickled = cast("Callable[[Any], bytes]", functools.partial(cast("Any", cloudpickle).dumps, protocol=5))


def send_otherwise(mark: bytes, dumps: Callable[[Any], bytes]) -> None:
    """Pickle what a library has in another way, in this process from now on.

    Args:
        mark: What stands in a pickle that has such a thing, as the name of its class.
        dumps: Pickles what may have one, and otherwise does as `cloudpickled`.
    """
    _otherwise[mark] = dumps


def has_others(data: bytes) -> bool:
    """Whether a pickle may have such things, and is to be made again by `dumps_by_value`."""
    for mark in _otherwise:  # noqa: SIM110 - any() takes longer, for each call that is sent anywhere
        if mark in data:
            return True
    return False


def dumps_by_value(thing: Any) -> bytes:
    """Pickle anything that can be pickled by name or by value.

    Raises:
        Exception: It cannot.
    """
    data = cloudpickled(thing)
    for mark, dumps in _otherwise.items():
        if mark in data:
            return dumps(thing)
    return data


# A process has one copy of such a library, whose things may be part of anything that is sent.
_otherwise: dict[bytes, Callable[[Any], bytes]] = {}
