"""Calls and outcomes of plain data: many of them are one message.

What is of these few types has nobody to ask how it is pickled, never changes, and is no different when it is
shared. So it may be pickled later than it is handed in, in any thread, and together with what is of other
calls: that takes a twentieth of the time of a pickle for each.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, cast

from ._codec import Kind, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._codec import Bytes, Entry

__all__ = ["PLAIN", "encode_calls", "join", "plain_call", "plain_size", "split"]

PLAIN = 2
"""The tag of a call that is to be joined with others, and of the message that many have become."""

# What has more bytes gains nothing by sharing a pickle.
MOST_BYTES = 1 << 12

_OF_ONE_SIZE = frozenset({type(None), bool, float})
_LARGE = 1 << 63


def plain_size(values: Iterable[object]) -> int:
    """How many bytes these have together, or somewhat less; 0 when it is too much, or not all of it plain."""
    size = 16
    for value in values:
        kind = type(value)
        if kind is str:
            size += 4 * len(cast("str", value))
        elif kind is bytes:
            size += len(cast("bytes", value))
        elif not (kind in _OF_ONE_SIZE or (kind is int and -_LARGE < cast("int", value) < _LARGE)):
            return 0
        size += 9
    return size if size <= MOST_BYTES else 0


def plain_call(name: bytes, args: tuple[Any, ...], size: int) -> tuple[int, Sequence[Bytes], int]:
    """A call of plain arguments, for `encode_calls` and nobody else: these are not bytes yet.

    Args:
        name: That of the function: the same object for all calls that are to be joined.
        args: Its arguments.
        size: How many bytes it has, about.
    """
    arguments: Any = args  # here and below not cast(), which is a call for each
    return PLAIN, (name, arguments), size


def encode_calls(calls: Sequence[Entry]) -> list[Bytes]:
    """A frame of these calls. Those in a row that are plain, and of the same function, share an entry."""
    entries: list[Entry] = []
    numbers: list[int] = []
    arguments: list[Any] = []
    name: object = None
    for call in calls:
        number, tag, parts, _ = call
        if tag == PLAIN:
            if parts[0] is not name:
                _close(entries, name, numbers, arguments)
                name, numbers, arguments = parts[0], [], []
            numbers.append(number)
            arguments.append(parts[1])
        else:
            _close(entries, name, numbers, arguments)
            name, numbers, arguments = None, [], []
            entries.append(call)
    _close(entries, name, numbers, arguments)
    return encode(Kind.CALLS, entries)


def _close(entries: list[Entry], name: object, numbers: list[int], arguments: list[Any]) -> None:
    if numbers:
        entries.append(join(PLAIN, numbers, arguments, cast("bytes", name)))


def join(tag: int, numbers: Sequence[int], values: Sequence[object], about: bytes = b"") -> Entry:
    """One message of what is plain in many.

    Args:
        tag: What it is to say of all of them.
        numbers: Of the calls.
        values: Of each of them.
        about: What goes in front.
    """
    data = pickle.dumps((numbers, values), 5)
    return numbers[0], tag, (about, data), len(about) + len(data)


def split(payload: memoryview) -> tuple[list[int], list[Any]]:
    """The numbers and values that were joined, without what went in front."""
    return cast("tuple[list[int], list[Any]]", pickle.loads(payload))  # noqa: S301 - see `_packing`
