"""Errors whose classes make it hard to send them to another process, or to say what they are."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass
from typing import Any

__all__ = [
    "EndsItsProgram",
    "EndsPrograms",
    "Frozen",
    "Holding",
    "KeywordOnly",
    "NotAnError",
    "SaysText",
    "Text",
    "TwoArguments",
    "Unprintable",
    "UnsayableAgain",
    "WithAttributes",
    "WithBuffer",
]


class KeywordOnly(Exception):
    """Pickle makes errors again of their ``args``."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class TwoArguments(Exception):
    """As above."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class WithAttributes(Exception):
    """Takes its attributes along."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 42


class Holding(Exception):
    """Holds what cannot be sent."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Unprintable(Exception):
    """Ends programs when it is printed."""

    def __str__(self) -> str:
        raise SystemExit(1)


class EndsPrograms(Exception):
    """Ends programs when it is unpickled."""

    def __reduce__(self) -> Any:
        return _exit, ()


def _exit() -> None:
    raise SystemExit("at unpickling")


class EndsItsProgram(Exception):
    """Ends programs when it is pickled."""

    def __reduce__(self) -> Any:
        raise SystemExit("at pickling")


class NotAnError(Exception):
    """Becomes something else on the way."""

    def __reduce__(self) -> Any:
        return str, ("no error",)


class UnsayableAgain(Exception):
    """What its making again raises cannot be printed."""

    def __reduce__(self) -> Any:
        return _raise_unprintable, ()


def _raise_unprintable() -> None:
    raise Unprintable


@dataclass(frozen=True)
class Frozen(Exception):
    """Nobody may set its attributes; without fields it can be pickled."""


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        raise RuntimeError("not to be sent")


class SaysText(Exception):
    """Says a text of a class that cannot be sent."""

    def __str__(self) -> str:
        return Text("strange")


class WithBuffer(Exception):
    """Holds an array that would travel beside the pickle."""

    def __reduce__(self) -> Any:
        return WithBuffer, (pickle.PickleBuffer(bytearray(self.args[0])),)
