"""Calls that do nothing, for tests of what decides where calls go and how they are settled."""

from __future__ import annotations

from contextvars import Context
from typing import Any

from polyloop._elastic import ElasticRoster
from polyloop._messages import Call

__all__ = ["CountingSink", "make_call", "silent_roster"]


class CountingSink:
    """Remembers every outcome that it was given; a call may have one only."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def started(self) -> None:
        """Nothing to remember."""

    def settle_value(self, value: Any, /) -> None:
        """Remember."""
        self.outcomes.append("value")

    def settle_error(self, error: BaseException, /) -> None:
        """Remember."""
        self.outcomes.append("error")

    def settle_cancelled(self) -> None:
        """Remember."""
        self.outcomes.append("cancelled")


class Nowhere:
    """The home of calls that are never cancelled or waited for."""

    is_forked = False

    def cancel(self, call: Call, /) -> None:
        """Not here."""

    def check_wait(self, title: str, /) -> None:
        """Not here."""


async def nothing() -> None:
    """Return at once."""


def make_call(sink: CountingSink | None = None, *, is_nested: bool = False, pin: int | None = None) -> Call:
    """A call of `nothing`."""
    call = Call(Nowhere(), nothing, (), {}, Context())
    call.sink = sink if sink is not None else CountingSink()
    call.is_nested = is_nested
    call.pin = pin
    return call


def silent_roster(limit: int) -> ElasticRoster:
    """A roster that nobody listens to."""
    return ElasticRoster(limit, None, lambda _news, _seat: None)
