"""Frames on their way into a socket that never blocks, put there by any thread.

Whoever puts something in sends it too: a thread of its own for the sending would cost each call a switch of
threads. But while the other end has not answered for what it was sent before, calls wait for company, and are
sent when it does: each system call lets go of the GIL, which then has to be won back. (J. Nagle, "Congestion
Control in IP/TCP Internetworks", RFC 896, 1984, for the same reason.)
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from ._plain import encode_calls

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ._codec import Bytes, Entry

__all__ = ["Outbox"]

# So many calls, or so many bytes, wait for no company. Guesses: what keeps a worker busy for some
# milliseconds, and what is worth a system call by itself.
MOST_HELD = 512
MOST_HELD_BYTES = 1 << 16
# While the other end has so many to answer for, an answer sends nothing: what waits has more company soon.
ENOUGH_TO_DO = 256
# Of one frame of calls.
MOST_CALLS = 1024
FRAME_BYTES = 1 << 20
# Most pieces for one system call; well below what every system takes.
MOST_PIECES = 64


class _Piece:
    """Some bytes, and what of them is still to be sent."""

    __slots__ = ("rest",)

    def __init__(self, data: Bytes) -> None:
        self.rest = memoryview(data)


class Outbox:
    """A queue of frames in front of a socket.

    There is no lock that a signal handler in the middle of `put` could wait for: it leaves what it has, and
    the one that it came in upon sends it. Ctrl-C can land on any line of the main thread. What has been
    sent is kept by single stores, so that whoever sends next goes on exactly there; and somebody is asked to
    do that, for other threads may have left what they have to the one that was interrupted. Frames may be
    sent twice because of it: the other end ignores calls that it has had, and nothing else means more when
    it is said twice.

    Args:
        sock: A stream socket that does not block. It stays its owner's to close.
        hand_over: Called when somebody else has to go on: to `flush`, or, if it `is_full`, to `resume` as
            soon as the socket takes bytes again. Called in any thread, also more than once.
    """

    def __init__(self, sock: socket.socket, hand_over: Callable[[], object]) -> None:
        self._sock = sock
        self._hand_over = hand_over
        # Calls, and whole frames, whose number is 0.
        self._items: deque[Entry] = deque()
        # What is being sent, and of what the socket took the bytes that have not been taken off it yet.
        self._pieces: deque[_Piece] = deque()
        self._taken = 0
        self._turn = threading.Lock()
        self.is_full = False
        """Whether the socket takes no more, until `resume`."""
        self.newest = 0
        """The number of the newest call that was put in, and so reaches the other end while that is there."""
        self.last = 0
        """The number of the last call that was sent, or is about to be."""
        self.answered = 0
        """That of the last one that the other end has answered for."""

    @property
    def is_empty(self) -> bool:
        """Whether the socket has taken everything."""
        return not self._items and not self._pieces

    def put(self, frame: Sequence[Bytes]) -> None:
        """Send this frame after what was put in before. Never blocks; of a broken line its reader hears."""
        try:
            self._items.append((0, 0, frame, 0))
            self._flush()
        except BaseException:
            self._hand_over()
            raise

    def put_calls(self, calls: Sequence[Entry], size: int) -> None:
        """Send these calls, or let them wait until the other end has answered for earlier ones.

        Args:
            calls: Their numbers are greater than all before.
            size: Of their payloads, in bytes.
        """
        try:
            self._items.extend(calls)
            self.newest = calls[-1][0]
            # First put in, then looked whether to wait: who stores an answer flushes after that.
            if self.answered >= self.last or len(self._items) > MOST_HELD or size > MOST_HELD_BYTES:
                self._flush()
        except BaseException:
            self._hand_over()
            raise

    def answer(self, last: int) -> None:
        """The other end has answered for all calls up to this one; for one thread only."""
        self.answered = last
        if self.last - last < ENOUGH_TO_DO:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        try:
            self._flush()
        except BaseException:
            self._hand_over()
            raise

    def resume(self) -> None:
        """The socket takes bytes again."""
        self.is_full = False
        self.flush()

    def close(self) -> None:
        """Send nothing more, for the socket is about to be closed. Waits for who is sending."""
        with self._turn:
            self.is_full = True
            self._items.clear()
            self._pieces.clear()

    def _flush(self) -> None:
        while (self._items or self._pieces) and not self.is_full:
            # Left to `for`: Ctrl-C cannot land between the taking of the lock and the first line of the body,
            # as it could between a call and the line that follows.
            for is_ours in map(self._turn.acquire, (False,)):
                if not is_ours:
                    return  # whoever sends looks once more when they have let go, and finds what is there
                try:
                    self._send()
                finally:
                    self._turn.release()

    # -- by whoever has the turn -------------------------------------------------------------

    def _send(self) -> None:
        self._take_off()
        if not self._pieces:
            self._make_pieces()
        pieces = [self._pieces[index].rest for index in range(min(len(self._pieces), MOST_PIECES))]
        try:
            # Left to `for`, as in flush().
            for taken in map(self._sock.sendmsg, (pieces,) if pieces else ()):
                self._taken += taken
        except BlockingIOError:
            self.is_full = True
            self._hand_over()
        except OSError:
            # The other end is gone. Its reader hears of that, and answers for what was on its way.
            self._items.clear()
            self._pieces.clear()
        self._take_off()

    def _make_pieces(self) -> None:
        """Take the first frame out of the queue, or as many calls as make a good one."""
        calls: list[Entry] = []
        size = 0
        for index in range(min(len(self._items), MOST_CALLS)):
            item = self._items[index]
            if not item[0] or (calls and size + item[3] > FRAME_BYTES):
                break
            calls.append(item)
            size += item[3]
        if calls:
            self.last = calls[-1][0]
            self._add(encode_calls(calls))
            while self._items and 0 < self._items[0][0] <= self.last:
                self._items.popleft()
        elif self._items:
            self._add(self._items[0][2])
            self._items.popleft()

    def _add(self, frame: Sequence[Bytes]) -> None:
        if len(frame) > 1 and sum(map(len, frame)) < MOST_HELD_BYTES:
            frame = [b"".join(frame)]
        self._pieces.extend([_Piece(part) for part in frame if part])

    def _take_off(self) -> None:
        while self._pieces:
            piece = self._pieces[0]
            count = min(self._taken, len(piece.rest))
            rest = piece.rest[count:]
            # No function is called between these lines, so no signal handler runs between them.
            piece.rest = rest
            self._taken -= count
            if rest:
                return
            self._pieces.popleft()
