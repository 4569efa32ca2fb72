"""Calls and results as bytes, for a worker that shares no memory with its pool.

Pickle names functions and classes; where it cannot, cloudpickle sends them by value. What neither can send is
refused where it is packed, by a sentence that says what it was. What cannot be unpacked raises there.

Pickle runs what it is told to. It comes only over private sockets, from the process that this one has
started or was started by; both trust each other as they trust themselves.
"""

from __future__ import annotations

import pickle
import struct
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ._codec import MOST_BYTES
from ._culprit import culprit
from ._messages import name_of, text_of
from ._pickling import dumps_by_value, has_others
from ._plain import PLAIN, plain_call, plain_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._codec import Bytes

__all__ = [
    "Packed",
    "Packer",
    "Unpacker",
    "divide",
    "pack",
    "pack_value",
    "unpack",
]

Packed: TypeAlias = "tuple[int, Sequence[Bytes], int]"
"""A tag, the parts of a payload, and how many bytes they have."""

_IN_ONE_PIECE = 0
_WITH_BUFFERS = 1

# Functions that a `Packer` or an `Unpacker` remembers; a program with more than that loses a little time.
MOST_FUNCTIONS = 1024

_LENGTH = struct.Struct("<I")


class Packer:
    """Packs the calls of one pool.

    It remembers functions that pickle can name: most calls are of few functions. Used by any thread; each
    operation on what it remembers is one of a dict, and two threads that do the same do no harm.

    Args:
        where: Where the workers are, as in "another process".
        is_by_value: Whether they cannot import this program's main module.
        is_joining: Whether plain calls are to be packed for `encode_calls`, together with others.
    """

    def __init__(self, where: str, *, is_by_value: bool, is_joining: bool = True) -> None:
        self._where = where
        self._is_by_value = is_by_value
        self._is_joining = is_joining
        # The calls of functions without arguments.
        self._bare: dict[FunctionType, Packed] = {}

    def pack_call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str | None
    ) -> Packed:
        """Pack a call, for an `Unpacker`.

        Args:
            fn: The function.
            args: Its arguments.
            kwargs: Its keyword arguments.
            name: What the task is called, if it is called anything.

        Raises:
            TypeError: Something of it cannot be sent; the message says what.
            ValueError: It is too large.
        """
        try:
            bare = self._bare.get(fn) if type(fn) is FunctionType else None
            if bare is None:
                bare = self._pack_bare(fn)
            fn_name: Any = bare[1][0]
            if bare[0] == PLAIN and not kwargs and name is None:
                if not args:
                    return bare
                size = plain_size(args)
                if size:
                    return plain_call(fn_name, args, size)
            packed: Packed = _IN_ONE_PIECE, (fn_name,), len(fn_name)
            if args or kwargs or name is not None:
                tag, parts, size = _pickled((args, kwargs, name), by_value=self._is_by_value)
                packed = tag, (fn_name, *parts), len(fn_name) + size
        except Exception as error:
            what, reason = culprit(fn, args, kwargs, error)
            raise TypeError(
                f"{what} cannot be sent to {self._where}: {text_of(reason)}; pass what can be pickled - a "
                "path, a key, plain data - and open files, connections and locks where the function runs, or "
                "in a LoopLocal"
            ) from error
        return packed if packed[2] <= MOST_BYTES else _checked(f"the call of {name_of(fn)}()", packed)

    def pack(self, thing: Any) -> Packed:
        """Pack anything else for a worker.

        Raises:
            Exception: It cannot be pickled.
        """
        return pack(thing, by_value=self._is_by_value)

    def _pack_bare(self, fn: Callable[..., Any]) -> Packed:
        _, (data,), _ = _pickled(fn, by_value=self._is_by_value, may_have_buffers=False)
        name = _LENGTH.pack(len(data)) + data
        packed: Packed = _IN_ONE_PIECE, (name,), len(name)
        # What is sent by value is not remembered: what it refers to may be another thing with the next call.
        if type(fn) is FunctionType and not (self._is_by_value and b"__main__" in data) and _is_named(fn):
            if self._is_joining:
                packed = plain_call(name, (), len(name))
            if len(self._bare) >= MOST_FUNCTIONS:
                self._bare.clear()
            self._bare[fn] = packed
        return packed


class Unpacker:
    """Unpacks the calls of one pool, where they run."""

    def __init__(self) -> None:
        # With the names of its module, and its own: it may be replaced there.
        self._functions: dict[bytes, tuple[Callable[..., Any], dict[str, Any], str]] = {}

    def unpack_call(
        self, payload: memoryview, tag: int
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str | None]:
        """What `Packer.pack_call` was given, when that was not plain.

        Raises:
            Exception: It cannot be made again in this process.
        """
        name, rest = divide(payload)
        fn = self.function(name)
        return (fn, *unpack(rest, tag)) if rest else (fn, (), {}, None)

    def function(self, name: bytes) -> Callable[..., Any]:
        """The function that a call names.

        Raises:
            Exception: It cannot be made again in this process.
        """
        fn, names, own_name = self._functions.get(name, _NOTHING)
        if names.get(own_name) is not fn:
            fn = pickle.loads(name)  # noqa: S301 - see above
            if type(fn) is FunctionType and _is_named(fn):
                if len(self._functions) >= MOST_FUNCTIONS:
                    self._functions.clear()
                self._functions[name] = fn, _names_around(fn), fn.__qualname__
        return fn


def divide(payload: memoryview) -> tuple[bytes, memoryview]:
    """The name of the function that a call is of, and what else there is of it."""
    start = 4 + _LENGTH.unpack_from(payload)[0]
    return bytes(payload[4:start]), payload[start:]


def pack_value(value: Any, title: str) -> Packed:
    """Pack what a task has returned.

    Args:
        value: That.
        title: What the task is called in messages.

    Raises:
        TypeError: It cannot be sent.
        ValueError: It is too large.
    """
    try:
        packed = _whole(pickle.dumps(value, 5)) if type(value) in _PLAIN else pack(value)
    except Exception as error:
        raise TypeError(
            f"{title} has returned {type(value).__name__}, which cannot be sent back to the pool: "
            f"{text_of(error)}; return what can be pickled"
        ) from error
    return packed if packed[2] <= MOST_BYTES else _checked(f"what {title} has returned", packed)


def pack(thing: Any, *, by_value: bool = False, may_have_buffers: bool = True) -> Packed:
    """Pack anything that can be pickled.

    Args:
        thing: That.
        by_value: Whether to send the functions and classes of the main module by value.
        may_have_buffers: Whether what is large may travel beside the pickle.

    Raises:
        Exception: It cannot be pickled.
    """
    if thing is None:
        return _IN_ONE_PIECE, (), 0
    return _pickled(thing, by_value=by_value, may_have_buffers=may_have_buffers)


def unpack(payload: memoryview, tag: int) -> Any:
    """What was packed.

    Raises:
        Exception: It cannot be made again in this process.
    """
    if not payload:
        return None
    if tag == _IN_ONE_PIECE:
        return pickle.loads(payload)  # noqa: S301 - see above
    (count,) = struct.unpack_from("<I", payload)
    sizes = struct.unpack_from(f"<{count + 1}Q", payload, 4)
    start = 4 + 8 * (count + 1)
    pieces: list[memoryview] = []
    for size in sizes:
        pieces.append(payload[start : start + size])
        start += size
    return pickle.loads(pieces[0], buffers=pieces[1:])  # noqa: S301 - see above


def _pickled(thing: Any, *, by_value: bool, may_have_buffers: bool = True) -> Packed:
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(thing, 5, buffer_callback=buffers.append if may_have_buffers else None)
    except Exception as error:  # noqa: BLE001 - pickle raises all kinds; the other one may do better
        try:
            return _whole(dumps_by_value(thing))
        except Exception as failure:
            raise failure from error
    if (by_value and b"__main__" in data) or has_others(data):
        return _whole(dumps_by_value(thing))
    if buffers:
        return _with_buffers(thing, data, buffers)
    return _IN_ONE_PIECE, (data,), len(data)


# Of these, pickle makes one piece without asking anybody.
_PLAIN = frozenset({int, float, bool, str})


def _whole(data: bytes) -> Packed:
    return _IN_ONE_PIECE, (data,), len(data)


def _with_buffers(thing: Any, data: bytes, buffers: list[pickle.PickleBuffer]) -> Packed:
    """What is large travels beside the pickle: there it is neither copied into it nor out of it."""
    try:
        # Copies: their owner may change them once they are handed in, and they are not sent at once.
        copies = [bytes(buffer.raw()) for buffer in buffers]
    except BufferError:  # one that is not in one piece
        return _whole(pickle.dumps(thing, 5))
    head = struct.pack(f"<I{len(copies) + 1}Q", len(copies), len(data), *map(len, copies))
    parts = (head, data, *copies)
    return _WITH_BUFFERS, parts, sum(map(len, parts))


def _is_named(fn: FunctionType) -> bool:
    """Whether a function can be found by its name, so that it is always the same one."""
    return _names_around(fn).get(fn.__qualname__) is fn


def _names_around(fn: FunctionType) -> dict[str, Any]:
    """The names of the module that a function says it is of."""
    return cast("dict[str, Any]", getattr(sys.modules.get(fn.__module__), "__dict__", {}))


# Instead of a function that is remembered.
_NOTHING: tuple[Callable[..., Any], dict[str, Any], str] = (_is_named, {}, "")


def _checked(what: str, packed: Packed) -> Packed:
    if packed[2] > MOST_BYTES:
        raise ValueError(
            f"{what} has {packed[2]:,} bytes, and one message to or from a worker may have {MOST_BYTES:,}; "
            "send it in parts, or put it into a file or into shared memory and send its name"
        )
    return packed
