"""How another thread interrupts a loop that sleeps in its selector.

asyncio has one way, ``call_soon_threadsafe``. It works everywhere and costs a socket, two reads
and a handle per wake-up; and every one of these system calls gives up the GIL, which the waking
thread then has to win back. With an eventfd it is one write and one read: a round trip to
another loop takes half as long (``bench/round_trip.py``).
"""

from __future__ import annotations

import os
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from ._locks import Lock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["ForeignWaker", "Waker", "make_waker"]


class Waker(Protocol):
    """Gets one function called on one loop."""

    def wake(self) -> None:
        """Have the function called soon; callable from any thread.

        Raises:
            RuntimeError: The loop is closed.
        """

    def close(self) -> None:
        """Give back what it holds; called on the loop's thread, and harmless twice."""


def make_waker(
    loop: asyncio.AbstractEventLoop, answer: Callable[[], object], keepsake: object = None
) -> Waker:
    """The best waker that this system and this kind of loop have.

    Args:
        loop: A loop that runs in this thread, or nowhere yet.
        answer: What to call on it.
        keepsake: Something that an `EventWaker` leaves with the loop, for as long as that is not closed.
    """
    if hasattr(os, "eventfd"):
        try:
            return EventWaker(loop, answer, keepsake)
        except NotImplementedError:
            pass  # a loop that cannot watch file descriptors, as Windows' default
    return PortableWaker(loop, answer)


class PortableWaker:
    """Wakes a loop as asyncio does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answer: Callable[[], object]) -> None:
        self._loop = loop
        self._answer = answer
        # Without it the answer would run in a copy of the waking thread's context, and keep
        # alive whatever is in there. One for each loop: no two can enter the same at once.
        self._context = Context()

    def wake(self) -> None:
        """See `Waker`."""
        self._loop.call_soon_threadsafe(self._answer, context=self._context)

    def close(self) -> None:
        """See `Waker`."""


class EventWaker:
    """Wakes a loop through an eventfd that it watches. Linux only."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, answer: Callable[[], object], keepsake: object = None
    ) -> None:
        self._loop = loop
        self._answer = answer
        # For what comes when this was closed and the loop still runs: asyncio.run() ends async
        # generators, this one's parked one too, and those of the user may need an answer to end.
        self._fallback = PortableWaker(loop, answer)
        # A thread must not write to a number that has been closed and means another file by
        # now. Re-entrant, for a signal handler may wake the same loop in the middle of this.
        self._lock = Lock()
        self._fd = -1  # for __del__, should there be no more descriptors
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            # As above: the reader would keep a copy of the current context.
            Context().run(loop.add_reader, self._fd, self._on_readable, keepsake)
        except BaseException:
            fd, self._fd = self._fd, -1
            os.close(fd)
            raise

    def wake(self) -> None:
        """See `Waker`."""
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)
                return
        self._fallback.wake()

    def close(self) -> None:
        """See `Waker`."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(fd)
                self._fallback.wake()  # it may have been written to and not read
            os.close(fd)

    def _on_readable(self, _keepsake: object) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return  # somebody else's wake-up of the selector
        self._answer()

    def __del__(self) -> None:
        # Only a loop that was dropped without being shut down gets here with it open.
        if self._fd >= 0:
            os.close(self._fd)


class ForeignWaker:
    """Wakes a loop that is somebody else's: it may run in any thread, or nowhere yet, and end unannounced.

    Only asyncio's own way is safe from other threads, so that is how it begins; on the loop it moves in, to
    the best way that there is. It also finds out when somebody closes the loop, though no loop tells: it
    leaves something with it that nobody else refers to, and a loop that is closed drops what it has.

    Args:
        loop: The loop.
        answer: What to call on it.
        lost: Called when the loop has been closed with this still open, or was collected as garbage; in
            whatever thread that happens in. May be called more than once.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, answer: Callable[[], object], lost: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._answer = answer
        self._lost = lost
        self._context = Context()
        self._best: Waker | None = None
        self._tie: _Tie | None = None

    def wake(self) -> None:
        """See `Waker`."""
        if self._best is None:
            self._loop.call_soon_threadsafe(self._answer_first, _Tie(self._lost), context=self._context)
        else:
            self._best.wake()

    def move_in(self) -> None:
        """Take the best way there is; called on the loop, and harmless twice."""
        if self._best is not None:
            return
        tie = _Tie(self._lost)
        try:
            self._best = make_waker(self._loop, self._answer, tie)
        except OSError:  # there are no more descriptors
            self._best = PortableWaker(self._loop, self._answer)
        if isinstance(self._best, PortableWaker):
            self._tie = tie  # with which nothing is told but that the loop was collected, and this with it

    def close(self) -> None:
        """See `Waker`."""
        if self._best is not None:
            self._best.close()

    def _answer_first(self, tie: _Tie) -> None:
        tie.cut()
        self._answer()


class _Tie:
    """What only a loop refers to: it tells when the loop has let go of it."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell: Callable[[], object] | None = tell

    def cut(self) -> None:
        """It has served its purpose: tell nothing."""
        self._tell = None

    def __del__(self) -> None:
        if self._tell is not None:
            self._tell()
