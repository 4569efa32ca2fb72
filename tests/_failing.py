"""What fails at one turn and works at all others, wherever it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests._shared import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fail_at"]


def fail_at(turn: int, otherwise: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """Calls `otherwise`, but for the call number `turn`, counted from 0, which raises `error`."""
    turns = Tally()

    def call(*args: Any, **kwargs: Any) -> Any:
        if turns.add() == turn + 1:
            raise error
        return otherwise(*args, **kwargs)

    return call
