"""Which part of a call cannot be sent to a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._messages import name_of
from ._pickling import cloudpickled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["culprit"]


def culprit(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception
) -> tuple[str, Exception]:
    """What of a call cannot be sent, and why."""
    name = name_of(fn)
    suspects = [
        (f"the function {name}()", fn),
        *((f"argument {number} of {name}()", value) for number, value in enumerate(args, 1)),
        *((f"the argument {key}= of {name}()", value) for key, value in kwargs.items()),
    ]
    for what, suspect in suspects:
        try:
            cloudpickled(suspect)
        except Exception as failure:  # noqa: BLE001 - this is the one
            return what, failure
    return f"the call of {name}()", error
