"""Waits until a worker's line, or who else has to do with it, wants something."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

    from ._doorbell import Doorbell

__all__ = ["LineWatch", "Wants", "has_arrived"]


class Wants(NamedTuple):
    """What there is to do.

    Attributes:
        answer: The bell was rung.
        write: There is room in the line.
        read: Something has arrived, or the other end is gone.
        end: The place at the other end is gone, wherever the line is.
    """

    answer: bool
    write: bool
    read: bool
    end: bool


class LineWatch:
    """For the one thread that waits.

    Args:
        line: This end of it.
        bell: Rung by other threads.
        sentinel: A descriptor that becomes readable when the place is gone, if there is one.
    """

    def __init__(self, line: socket.socket, bell: Doorbell, sentinel: int | None) -> None:
        self._line, self._bell, self._sentinel = line.fileno(), bell.fileno(), sentinel
        self._is_for_room = False
        self._poll = select.poll()
        self._poll.register(self._line, select.POLLIN)
        self._poll.register(self._bell, select.POLLIN)
        if sentinel is not None:
            self._poll.register(sentinel, select.POLLIN)

    def wait(self, milliseconds: float | None, *, is_for_room: bool) -> Wants:
        """Wait until there is something to do.

        Args:
            milliseconds: At most so long; None is for ever.
            is_for_room: Whether to look for room in the line.
        """
        if is_for_room is not self._is_for_room:
            self._is_for_room = is_for_room
            self._poll.modify(self._line, select.POLLIN | (select.POLLOUT if is_for_room else 0))
        ready = dict(self._poll.poll(milliseconds))
        line = ready.get(self._line, 0)
        return Wants(
            self._bell in ready,
            bool(line & select.POLLOUT),
            bool(line & ~select.POLLOUT),
            self._sentinel in ready,
        )


def has_arrived(line: socket.socket) -> bool:
    """Whether there is something to read, or the other end is gone.

    Raises:
        ValueError: It is closed.
    """
    poll = select.poll()
    poll.register(line, select.POLLIN)
    return bool(poll.poll(0))
