"""Values and errors that do not cross to another process, or not back."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import urllib.error
from email.message import Message
from typing import Any, NoReturn

import polyloop._packing
from polyloop._codec import MOST_BYTES

__all__ = [
    "ERRORS",
    "EVIL_ERRORS",
    "SENDABLE_ERRORS",
    "UNSENDABLE",
    "Frozen",
    "Raising",
    "Sealed",
    "fail_for_a_reason",
    "make_too_much",
    "raise_made",
]


# -- values ----------------------------------------------------------------------------------


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


# -- errors ----------------------------------------------------------------------------------


class KeywordOnly(Exception):
    """Its constructor needs a keyword, which pickle does not give."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Formatted(Exception):
    """Its constructor takes two arguments, and it keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one}: {other}")


class Holding(Exception):
    """It holds a lock."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class Odd(Exception):
    """It is made again as something that is no error."""

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("no error",)


class Furtive(Exception):
    """It cannot be made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open_sealed, ("error",)


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """It refuses every assignment, also that of its own traceback."""

    text: str


def keyword_only() -> Exception:
    """See the class."""
    return KeywordOnly(code=3)


def formatted() -> Exception:
    """See the class."""
    return Formatted("one", "other")


def holding() -> Exception:
    """See the class."""
    return Holding("held")


def odd() -> Exception:
    """See the class."""
    return Odd("odd")


def furtive() -> Exception:
    """See the class."""
    return Furtive("furtive")


def local() -> Exception:
    """Its class is known inside this function only; it is sent by value."""

    class Local(Exception):
        """Made anew each time."""

        def __init__(self) -> None:
            super().__init__("local")
            self.lock = threading.Lock()

    return Local()


def http() -> Exception:
    """An error of the standard library that holds a file."""
    return urllib.error.HTTPError("http://nowhere", 404, "not found", Message(), None)


def decode() -> Exception:
    """An error of the standard library with arguments of its own."""
    return json.JSONDecodeError("bad", "doc", 1)


def unicode() -> Exception:
    """Another one."""
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")


def system() -> Exception:
    """One that becomes a subclass of itself."""
    return OSError(2, "No such file", "name")


def frozen() -> Exception:
    """See the class."""
    return Frozen("cold")


def group() -> Exception:
    """Several."""
    return ExceptionGroup("several", [LookupError("one"), ValueError("other")])


def plain() -> Exception:
    """The usual kind."""
    return LookupError("plain", 1)


SENDABLE_ERRORS = [decode, unicode, system, group, plain]
ERRORS = [keyword_only, formatted, holding, odd, furtive, local, http, frozen, *SENDABLE_ERRORS]


class Evil(Exception):
    """It raises what ends programs wherever it is looked at."""

    def __str__(self) -> str:
        raise SystemExit("text")

    def __reduce__(self) -> NoReturn:
        raise KeyboardInterrupt("pickle")


class Noted(Exception):
    """Its notes are none."""

    def __init__(self) -> None:
        super().__init__("noted")
        self.__notes__ = 5  # type: ignore[assignment]  # that is what is tried
        self.lock = threading.Lock()


class Unspeakable:
    """A note that cannot be read."""

    def __str__(self) -> str:
        raise SystemExit("note")

    def __reduce__(self) -> NoReturn:
        raise SystemExit("note")


class OddlyNoted(Exception):
    """One of its notes ends programs."""

    def __init__(self) -> None:
        super().__init__("noted")
        self.__notes__ = [Unspeakable()]  # type: ignore[list-item]  # that is what is tried


def evil() -> Exception:
    """See the class."""
    return Evil()


def noted() -> Exception:
    """See the class."""
    return Noted()


def oddly_noted() -> Exception:
    """See the class."""
    return OddlyNoted()


EVIL_ERRORS = [evil, noted, oddly_noted]


# -- calls -----------------------------------------------------------------------------------


async def raise_made(make: Any) -> None:
    """Raise what is made here."""
    raise make()


async def fail_for_a_reason() -> None:
    """Raise an error with a cause and a note."""
    try:
        raise OSError("the reason")
    except OSError as reason:
        error = LookupError("the error")
        error.add_note("a note")
        raise error from reason


class Large:
    """What sets the limit low while it is packed, for the sake of the machine that tests it."""

    def __reduce__(self) -> tuple[Any, ...]:
        polyloop._packing.MOST_BYTES = 1000
        asyncio.get_running_loop().call_soon(self.repair)
        return bytes, (b"x" * 2000,)

    @staticmethod
    def repair() -> None:
        """Set the limit as it was."""
        polyloop._packing.MOST_BYTES = MOST_BYTES


async def make_too_much() -> object:
    """Return more than a frame can hold."""
    return Large()
