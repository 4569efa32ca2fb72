"""The values of context variables on their way to workers that share no memory with the pool.

They are packed where the call is handed in, as they are then, and set in the context of its task. Both
happens inside the call's context: what the pickling of a value looks up there, it finds, and what its making
sets there, the task finds. What a task sets does not come back.
"""

from __future__ import annotations

import contextlib
import pickle
import struct
from contextvars import Context
from operator import is_
from typing import TYPE_CHECKING, Any

from ._codec import MOST_BYTES
from ._messages import name_of, text_of
from ._packing import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._codec import Bytes
    from ._messages import Call
    from ._packing import Packed
    from ._variables import Variable

__all__ = ["ContextPacker", "ContextUnpacker"]

# What a call of these types has can never be another thing, nor be made with the help of anything else. So
# what was packed, or unpacked, once is good for all calls.
_CONSTANTS = frozenset({type(None), bool, int, float, complex, str, bytes})
_UNSET = object()
_LENGTH = struct.Struct("<I")
_NOTHING = _LENGTH.pack(0)


class ContextPacker:
    """Packs the variables of calls. Used by any thread: what it remembers is one tuple, stored at once.

    Args:
        variables: Which.
        where: Where the workers are, as in "another process".
        is_by_value: Whether they cannot import this program's main module.

    Raises:
        ValueError: One is of that module, then.
    """

    def __init__(self, variables: Sequence[Variable], where: str, *, is_by_value: bool) -> None:
        for variable in variables:
            if is_by_value and variable.is_of_main:
                raise ValueError(
                    f"carry= names {variable.name!r}, and {where} cannot import this program's main module; "
                    "make the variable in a module of its own"
                )
        self._variables = variables
        self._itselves = [variable.itself for variable in variables]
        self._where = where
        self._is_by_value = is_by_value
        self._last: tuple[Sequence[object], bytes] = ([_UNSET] * len(variables), _NOTHING)

    def add_to(self, call: Call, packed: Packed) -> Packed:
        """Put the variables, as they are in the call's context, in front of what was packed of it.

        Raises:
            TypeError: One cannot be sent.
            ValueError: Together it is too large.
        """
        context = call.context
        values = [context.get(variable, _UNSET) for variable in self._itselves]
        last, data = self._last
        # By identity: 1, 1.0 and True are equal, and are not the same.
        if not all(map(is_, values, last)):
            known = {index: value for index, value in enumerate(values) if value is not _UNSET}
            data = self._pack(call, known)
            if all(type(value) in _CONSTANTS for value in known.values()):
                self._last = values, data
        tag, parts, size = packed
        together = tag, (data, *parts), len(data) + size
        if together[2] > MOST_BYTES:
            raise ValueError(
                f"the call of {name_of(call.fn)}() has {together[2]:,} bytes with its context variables, and "
                f"one message to a worker may have {MOST_BYTES:,}; put what is large into a file, or into "
                "shared memory, and send its name"
            )
        return together

    def _pack(self, call: Call, values: Mapping[int, object]) -> bytes:
        if not values:
            return _NOTHING
        try:
            parts = call.context.run(self._parts_of, values)
        except Exception as error:
            name, reason = self._culprit(call.context, values, error)
            raise TypeError(
                f"the context variable {name}, which carry= names, cannot be sent to {self._where} with the "
                f"call of {name_of(call.fn)}(): {text_of(reason)}; give it a value that can be pickled"
            ) from error
        return b"".join((_LENGTH.pack(sum(map(len, parts))), *parts))

    def _parts_of(self, thing: object) -> Sequence[Bytes]:
        return pack(thing, by_value=self._is_by_value, may_have_buffers=False)[1]

    def _culprit(
        self, context: Context, values: Mapping[int, object], error: Exception
    ) -> tuple[str, Exception]:
        for index, value in values.items():
            try:
                context.run(self._parts_of, value)
            except Exception as failure:  # noqa: BLE001 - this is the one
                return repr(self._variables[index].name), failure
        return " or ".join(repr(self._variables[index].name) for index in values), error


class ContextUnpacker:
    """Makes the contexts of calls in a worker; owned by its loop.

    Args:
        variables: Which, in the order in which the pool has them.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._variables = variables
        self._last = b""
        self._constant = Context()

    def take_from(self, payload: memoryview) -> tuple[Context, memoryview]:
        """The context that a call runs in, and what else there is of the call.

        Raises:
            Exception: A value cannot be made again in this process.
        """
        end = 4 + _LENGTH.unpack_from(payload)[0]
        data, rest = bytes(payload[4:end]), payload[end:]
        if data == self._last:
            return self._constant.copy(), rest
        context = Context()
        values = context.run(self._set, data)
        if all(type(value) in _CONSTANTS for value in values):
            self._last, self._constant = data, context.copy()
        return context, rest

    def _set(self, data: bytes) -> Sequence[object]:
        try:
            values: dict[int, Any] = pickle.loads(data) if data else {}  # noqa: S301 - see _packing
        except BaseException as error:
            names = ", ".join(variable.name for variable in self._variables)
            with contextlib.suppress(Exception):  # the class may refuse it: a frozen dataclass does
                error.add_note(f"It was raised by the value of a context variable that came along: {names}.")
            raise
        for index, value in values.items():
            self._variables[index].itself.set(value)
        return list(values.values())
