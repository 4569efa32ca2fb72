"""Errors that do not cross to another process as they are, and some that do."""

from __future__ import annotations

import dataclasses
import json
import threading
import urllib.error
from typing import Any, NoReturn

from tests.process._misfits import open_sealed


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
    """An error of the standard library that pickle cannot make again."""
    error = urllib.error.HTTPError("http://nowhere", 404, "not found", None, None)  # type: ignore[arg-type]  # as some do
    error.close()  # it is a file too, which warns when it goes without that
    return error


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


MISFITS = [keyword_only, formatted, holding, odd, furtive, local, frozen, http]
ERRORS = [*MISFITS, *SENDABLE_ERRORS]


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
