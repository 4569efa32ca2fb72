"""Real signals in the middle of a `put`, with somebody at the other end and somebody to go on."""

from __future__ import annotations

import gc
import select
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from polyloop._codec import Decoder, Kind, encode
from polyloop._doorbell import Doorbell
from polyloop._outbox import Outbox
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from types import FrameType

LAST = 8000


class Carried:
    """An outbox whose frames another thread carries, as those of a worker's link."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as there is
        self.bell = Doorbell()
        self.outbox = Outbox(self.near, self.bell.ring)
        self.decoder = Decoder()
        self.numbers: list[int] = []
        self.thread = threading.Thread(target=self._carry)

    def put(self, number: int) -> None:
        """Some calls and some other frames, some of them more than the socket takes."""
        payload = bytes(5_000 if number % 50 == 0 else 10)
        entry = (number, 0, (payload,), len(payload))
        if number % 3:
            self.outbox.put_calls([entry], len(payload))
        else:
            self.outbox.put(encode(Kind.CANCEL, [entry]))

    def _carry(self) -> None:
        near, far, bell = self.near.fileno(), self.far.fileno(), self.bell.fileno()
        while LAST not in self.numbers[-1:]:
            watched = [near] if self.outbox.is_full else []
            readable, writable, _ = select.select([far, bell], watched, [], PATIENCE)
            assert readable or writable, "something is missing"
            if bell in readable:
                self.bell.answer()
                self.outbox.flush()
            if writable:
                self.outbox.resume()
            if far in readable:
                self._read()
        assert self.decoder.is_between_frames

    def _read(self) -> None:
        for frame in self.decoder.feed(self.far.recv(1 << 16)):
            self.numbers += frame.numbers
            if frame.kind is Kind.CALLS:
                self.outbox.answer(frame.numbers[-1])

    def close(self) -> None:
        """Give everything back."""
        for one in (self.near, self.far, self.bell):
            one.close()


class CtrlC:
    """Signals that come again and again, and raise while they are allowed to."""

    def __init__(self) -> None:
        self.count = 0
        self.may_raise = False

    def __enter__(self) -> Self:
        # What it calls may be interrupted as well, and of that Python only prints that it was.
        gc.disable()
        self._before = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        return self

    def __exit__(self, *exc_info: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        gc.enable()

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.may_raise:
            self.may_raise = False
            self.count += 1
            raise KeyboardInterrupt


def test_ctrl_c_at_random_moments() -> None:
    """What was put in arrives in order, and nobody waits for ever for what was interrupted."""
    carried = Carried()
    carried.thread.start()
    whole: list[int] = []
    with CtrlC() as ctrl_c:
        for number in range(1, LAST):
            with suppress(KeyboardInterrupt):
                ctrl_c.may_raise = True
                carried.put(number)
                ctrl_c.may_raise = False
                whole.append(number)
            ctrl_c.may_raise = False
    carried.outbox.put(encode(Kind.CANCEL, [(LAST, 0, (), 0)]))
    carried.thread.join(PATIENCE)
    assert not carried.thread.is_alive()

    first_times = list(dict.fromkeys(carried.numbers))
    assert first_times == sorted(first_times)
    assert set(whole) <= set(first_times)
    print(f"{ctrl_c.count} of {LAST} were interrupted")
    assert ctrl_c.count > 0
    carried.close()
