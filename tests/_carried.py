"""Context variables that calls to other processes and interpreters take along, and calls that look at them.

It imports what works in every interpreter, and no pytest.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

user: ContextVar[Any] = ContextVar("user", default="nobody")
settings: ContextVar[dict[str, Any]] = ContextVar("settings")
left_behind: ContextVar[str] = ContextVar("left_behind", default="nothing")
no_variable = "a string"


class Holder:
    """Where a variable is too, though not at the level of a module."""

    inner: ContextVar[int] = ContextVar("inner", default=0)


class Stubborn:
    """It can be pickled, and not be made again."""

    def __reduce__(self) -> tuple[Callable[[str], NoReturn], tuple[str]]:
        return fail, ("it will not be made again",)


class Following:
    """What is pickled of it is what a variable is where it is pickled, and its making sets that."""

    def __reduce__(self) -> tuple[Callable[[str], Following], tuple[str]]:
        return follow, (left_behind.get(),)


def follow(value: str) -> Following:
    """Set the variable."""
    left_behind.set(f"as {value}")
    return Following()


def fail(why: str) -> NoReturn:
    """Raise that."""
    raise LookupError(why)


def look_beside(*_: object) -> tuple[Any, dict[str, Any] | None]:
    """What is seen here; both are others after that."""
    seen = user.get(), settings.get(None)
    user.set("the call's")
    settings.set({})
    return seen


async def look(*_: object) -> tuple[Any, dict[str, Any] | None]:
    """As `look_beside`, on a loop."""
    return look_beside()


def look_around_beside(*_: object) -> tuple[Any, str]:
    """What is seen here of a variable that is taken along, and of another one; both are then changed."""
    seen = user.get(), left_behind.get()
    user.set("the call's")
    left_behind.set("the call's")
    return seen


async def look_around(*_: object) -> tuple[Any, str]:
    """As `look_around_beside`, on a loop."""
    return look_around_beside()


async def look_at_kind() -> tuple[str, Any]:
    """The user, and what kind of thing that is."""
    return type(user.get()).__name__, user.get()


async def look_at_left_behind() -> str:
    """A variable that nobody takes along."""
    return left_behind.get()


async def look_inside() -> int:
    """A variable that a class has."""
    return Holder.inner.get()


async def look_or_die(file: str) -> Any:
    """The user; the first time, the process ends instead."""
    try:
        write_once(file)
    except FileExistsError:
        return user.get()
    os._exit(1)


def write_once(file: str) -> None:
    """Make a file that is not there yet."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
