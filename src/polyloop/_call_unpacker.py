"""A call that came as bytes, made into one that can be started."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ._options import Options
from ._packing import Unpacker
from ._plain import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._carry import ContextUnpacker
    from ._messages import Call

__all__ = ["CallUnpacker"]


class CallUnpacker:
    """Unpacks the calls of one worker; owned by its loop.

    Args:
        backend: The kind of place that this is.
        explain: Says of an error while a call is unpacked what it means here.
        contexts: Makes the contexts of calls, if variables come along.
    """

    def __init__(
        self,
        backend: str,
        explain: Callable[[BaseException], BaseException],
        contexts: ContextUnpacker | None = None,
    ) -> None:
        self._backend = backend
        self._explain = explain
        self._contexts = contexts
        self._unpacker = Unpacker()

    def fill(self, call: Call, payload: Any, tag: int) -> BaseException | None:
        """Give a call what came of it besides a plain one's arguments: see `Arrival`.

        Returns:
            What to settle it with, if that cannot be made here.
        """
        try:
            if tag == PLAIN:
                call.fn = self._unpacker.function(payload)
            else:
                self._fill(call, payload, tag)
        except BaseException as error:  # noqa: BLE001 - by the code of a class of the user's
            explained = self._explain(error)
            with contextlib.suppress(Exception):  # the class may refuse it: a frozen dataclass does
                explained.add_note(
                    f"This was raised when the call was unpacked in the worker's {self._backend}."
                )
            return explained
        return None

    def _fill(self, call: Call, payload: memoryview, tag: int) -> None:
        if self._contexts is not None:
            call.context, payload = self._contexts.take_from(payload)
        call.fn, call.args, call.kwargs, name = self._unpacker.unpack_call(payload, tag)
        if name is not None:
            call.options = Options(name=name)
