"""How the value of a loop-local is made, and what unmakes it.

The factory makes an async context manager, an awaitable or a plain value, looked at in this order: many
clients are two of them, and the context manager is the one that can be closed again.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ._messages import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Recipe", "enter"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the user handed in.

    Attributes:
        factory: Makes the value.
        close: Closes one that is no context manager, if that has to be.
    """

    factory: Callable[[], object]
    close: Callable[[Any], object] | None

    @property
    def name(self) -> str:
        """What to call the loop-local in messages.

        Not before it is asked for: a factory that refers to its own loop-local and comes from another process
        has its name only when both are complete.
        """
        return name_of(self.factory)


async def enter(recipe: Recipe) -> tuple[Any, Callable[[], object]]:
    """Make the value, on the loop that runs.

    Returns:
        The value, and what to call to close it, which may return an awaitable.

    Raises:
        TypeError: What the factory made is nothing that a loop-local can hold.
    """
    made = recipe.factory()
    kind: Any = type(made)
    if hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__"):
        if recipe.close is not None:
            raise TypeError(
                f"the factory {recipe.name} made an async context manager ({kind.__qualname__}), which is "
                "left when the value is closed; close= is for what is none: leave it out"
            )
        return await _enter_manager(kind, made)
    if inspect.isasyncgen(made):
        raise TypeError(
            f"the factory {recipe.name} made an async generator, which is no value; decorate it with "
            "@contextlib.asynccontextmanager"
        )
    value = await made if inspect.isawaitable(made) else made
    return value, _nothing if recipe.close is None else partial(recipe.close, value)


async def _enter_manager(kind: Any, manager: object) -> tuple[Any, Callable[[], object]]:
    value = await kind.__aenter__(manager)
    # Always as if nothing had been raised: the end of a loop is no failure of what lives there, and
    # `yield session; await session.close()` without a `finally` should close the session.
    leave = partial(kind.__aexit__, manager, None, None, None)
    if value is None:
        await leave()
        raise TypeError(
            f"a loop-local cannot hold this {kind.__qualname__}: entering it gave None. If it is a lock, it "
            "would stay acquired; to have one per loop that is not entered, make it in a coroutine function: "
            f"`async def make(): return {kind.__qualname__}()`. If it is yours, let it give the value"
        )
    return value, leave


def _nothing() -> None:
    """How a value is closed that needs no closing."""
