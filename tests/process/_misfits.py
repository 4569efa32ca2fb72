"""Values that do not cross to another process, or not back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, NoReturn

from polyloop import _packing
from polyloop._codec import MOST_BYTES


class Refusing:
    """What refuses to be pickled."""

    def __reduce__(self) -> NoReturn:
        raise ValueError("not me")


class Sealed:
    """What can be pickled, and not be made again."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return open_sealed, (self.value,)


def open_sealed(value: str) -> NoReturn:
    """Not possible."""
    raise LookupError(f"{value} is sealed")


class Raising:
    """What raises something when it is made again."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return raise_kind, (self.kind,)


def raise_kind(kind: type[BaseException]) -> NoReturn:
    """Raise it."""
    raise kind("made again")


def lock() -> object:
    """A lock."""
    return threading.Lock()


def generator() -> object:
    """A generator."""
    return (n for n in range(3))


def refusing() -> object:
    """See the class."""
    return Refusing()


def nested() -> object:
    """Something deep inside that does not cross."""
    return {"a": [1, (2, threading.Lock())]}


def deep() -> object:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


UNSENDABLE = [lock, generator, refusing, nested, deep]


class Large:
    """What sets the limit low while it is packed, for the sake of the machine that tests it."""

    def __reduce__(self) -> tuple[Any, ...]:
        vars(_packing)["MOST_BYTES"] = 1000
        asyncio.get_running_loop().call_soon(self.repair)
        return bytes, (b"x" * 2000,)

    @staticmethod
    def repair() -> None:
        """Set the limit as it was."""
        vars(_packing)["MOST_BYTES"] = MOST_BYTES


async def make_too_much() -> object:
    """Return more than a frame can hold."""
    return Large()
