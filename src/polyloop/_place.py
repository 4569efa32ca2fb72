"""Where a worker lives that is reached by a socket."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Protocol

from ._version import __version__

if TYPE_CHECKING:
    import socket

__all__ = ["Place", "greeting"]


class Place(Protocol):
    """A process, an interpreter: what stands at the other end of the line."""

    @property
    def can_be_ended(self) -> bool:
        """Whether `kill` does anything."""
        ...

    @property
    def may_lose_words(self) -> bool:
        """Whether what a worker said last may not arrive: all that was sent to it may have started then."""
        ...

    def begin(self, sock: socket.socket, /) -> None:
        """Start it, with `sock` as its end; from the thread that stays as long as it does.

        Raises:
            Exception: It cannot be started.
        """

    def sentinel(self) -> int | None:
        """A descriptor that becomes readable when the place is gone, if there is one."""
        ...

    def kill(self) -> None:
        """End it at once; from any thread, and harmless before it began and after its end.

        One that cannot be ended is left to itself: nobody waits for it any more.
        """

    def end(self, timeout: float) -> str:
        """Wait for its end, at most so many seconds, then kill it; returns what became of it, for people.

        One that cannot be ended may still be there.
        """
        ...

    def forked(self) -> None:
        """This is a forked child: the place is the parent's."""


def greeting() -> str:
    """What both ends of the line have to say of themselves, and must have in common."""
    return f"polyloop {__version__} on {platform.python_implementation()} {platform.python_version()}"
