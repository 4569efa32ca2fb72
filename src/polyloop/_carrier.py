"""What comes from a worker at the other end of a socket, and the thread that carries it to the pool.

It brings the worker up, knows when calls have started, settles them, and finds out when the worker is gone.
"""

from __future__ import annotations

import struct
import threading
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING

from ._codec import BrokenFrame, Frame, Kind, encode
from ._doorbell import Doorbell
from ._inlet import Inlet
from ._line_watch import LineWatch, has_arrived
from ._link import Parting
from ._local import here
from ._outbox import Outbox
from ._packed_errors import unpack_error
from ._pulse import Pulse
from ._settling import Settler
from ._underway import Underway

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ._codec import Entry
    from ._link import Leftovers, Reports
    from ._local import Worker
    from ._log_handling import LogInlet
    from ._messages import Call
    from ._place import Place

__all__ = ["Carrier"]

# How long a worker that has said goodbye may take to be gone, in seconds.
LAST_SECONDS = 1.0


class Carrier:
    """Carries what comes from one worker: `main` is for a thread of its own.

    Args:
        worker: Who is at the other end.
        reports: Where what happens is told.
        place: Where the worker lives.
        line: This end of it, and the worker's.
        setup: What it is told first, whoever sends what before it is there.
        greeting: What it says first.
        delay: Seconds to wait before it comes up.
        stall_limit: Seconds that it may leave a question unanswered; None is for ever.
        logs: Where its log records go, if they come here.
    """

    is_closed = False
    """Whether it settles nothing any more: what is sent from now on is for the sender to take back."""
    is_asked = False
    """Whether something was sent that the worker has yet to answer."""

    def __init__(
        self,
        worker: Worker,
        reports: Reports,
        place: Place,
        line: tuple[socket.socket, socket.socket],
        *,
        setup: Sequence[Entry],
        greeting: str,
        delay: float,
        stall_limit: float | None,
        logs: LogInlet | None = None,
    ) -> None:
        self.underway = Underway()
        self._settler = Settler(reports, self.underway)
        self._near, self._far = line
        self._near.setblocking(False)
        self._bell = Doorbell()
        self.outbox = Outbox(self._near, self._bell.ring)
        # Before anything else can be: a worker may be told to leave before it is there.
        self.outbox.put(encode(Kind.SETUP, setup))
        self.lag = 0.0
        """See `Link`."""
        self._worker = worker
        self._reports = reports
        self._place = place
        self._greeting = greeting
        self._delay, self._logs = delay, logs
        self._pulse = Pulse(stall_limit, self.outbox)
        self._inlet = Inlet(self._near)
        self._asked_at = 0.0
        self._is_leaving = threading.Event()
        self._is_abandoned = self._has_begun = self._is_up = self._is_resting = False
        self._has_left = self._has_said_goodbye = False
        self._error: BaseException | None = None
        # In this, calls are said to have started: what that sets, nobody else is to see.
        self._context = Context()

    # -- in any thread -----------------------------------------------------------------------

    def ask(self) -> None:
        """Something is sent that the worker answers as soon as it gets to it."""
        if not self.is_asked:
            self._asked_at = monotonic()
            self.is_asked = True
            if self._pulse.limit is not None:
                self._bell.ring()  # it is idle no more

    def call_off(self, call: Call) -> None:
        """Settle a call that has not started, and never will, as cancelled."""
        self._settler.call_off(call)
        self._bell.ring()

    def take_back(self, call: Call) -> bool:
        """Take out a call that was called off; False when it is settled, or about to be."""
        return self._settler.take_back(call)

    def leave(self, grace: float) -> None:
        """Tell the worker to leave. One that was not begun yet never is."""
        packed = struct.pack("<d", grace)
        self.outbox.put(encode(Kind.LEAVE, [(0, 0, (packed,), len(packed))]))
        self._is_leaving.set()

    def abandon(self) -> Leftovers:
        """Settle nothing from now on, and end the worker; returns what is left."""
        self._is_abandoned = True
        self._is_leaving.set()
        leftovers = self._take_all()
        self._place.kill()
        self._bell.ring()
        return leftovers

    def close(self) -> None:
        """Give back the descriptors. Not for the main thread, unless `main` never ran."""
        self.outbox.close()
        self._near.close()
        self._far.close()
        self._bell.close()

    def forked(self) -> None:
        """This is a forked child, which has copies of the descriptors, and no thread."""
        self._place.forked()
        self._near.close()
        self._far.close()
        self._bell.forked()

    @property
    def is_unheard(self) -> bool:
        """Whether the worker may have said something that has not been taken."""
        try:
            # In this order: who takes something stops resting before it does.
            return has_arrived(self._near) or not self._is_resting
        except ValueError:
            return False  # it is closed, and all has been taken

    # -- its thread --------------------------------------------------------------------------

    def main(self) -> None:
        """Bring the worker up, carry what comes from it, and tell of its end."""
        here.carries = self._worker.home
        try:
            if self._delay:
                self._is_leaving.wait(self._delay)
            if not self._is_leaving.is_set():
                self._has_begun = True
                self._place.begin(self._far)
                self._far.close()  # the worker has the only one: when it is gone, this end hears of it
                if self._is_abandoned:
                    self._place.kill()  # before, there was nothing to kill
                self._carry()
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker is of no use any more
            self._error = error
        finally:
            self._finish()

    def _finish(self) -> None:
        if self._logs is not None:
            self._logs.end()
        leftovers = self._take_all()
        became = self._place.end(LAST_SECONDS if self._has_left else 0.0)
        self._settle_called_off()
        self.close()
        if self._has_left:
            return
        reason = self._error or Parting(f"its {became}")
        if self._is_abandoned or not self._has_begun:
            self._reports.left(leftovers)
        elif self._is_up:
            self._reports.lost(reason, leftovers)
        else:
            self._reports.failed(reason)

    def _take_all(self) -> Leftovers:
        self.is_closed = True  # first: who sends looks at it after that
        is_untold = self._place.may_lose_words and not self._has_said_goodbye
        return self.underway.take_all(self.outbox.last if is_untold else 0)

    def _carry(self) -> None:
        """Take what comes, until the worker is gone or given up."""
        watch = LineWatch(self._near, self._bell, self._place.sentinel())
        while not self._is_abandoned:
            patience = self._pulse.feel(is_busy=self._is_up and bool(self.underway))
            self._is_resting = True
            wants = watch.wait(patience, is_for_room=self.outbox.is_full)
            self._is_resting = False
            if wants.answer:
                self._answer_bell()
            if wants.write:
                self.outbox.resume()
            if wants.read and self._inlet.read(self._take) == 0:
                return
            if wants.end:
                # All that has arrived: not until the end of the line, which is never seen when a process that
                # the worker started lives on.
                while has_arrived(self._near) and self._inlet.read(self._take):
                    pass
                return

    def _answer_bell(self) -> None:
        self._bell.answer()
        self._settle_called_off()
        self.outbox.flush()

    # -- what comes --------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        if self._greeting:
            self._take_greeting(frame)
        elif frame.kind is Kind.STARTED:
            self._take_started(frame.numbers[0])
        elif frame.kind is Kind.DONE:
            self._settler.take(frame)
            if self._reports.is_wanted:
                self._reports.ended()
        elif frame.kind is Kind.LOG and self._logs is not None:
            self._logs.take(frame)
        elif frame.kind is Kind.PONG:
            self.lag = max(self.lag, self._pulse.answered())
        else:
            self._take_turn(frame)

    def _take_turn(self, frame: Frame) -> None:
        """Take a word about the worker's own life."""
        match frame.kind:
            case Kind.READY:
                self._is_up = True
                self._reports.ready()
            case Kind.FAILED:
                self._has_said_goodbye = True
                self._error = unpack_error(frame.payloads[0], frame.tags[0])
            case Kind.STUCK:
                self._reports.stuck(
                    [call for number in frame.numbers if (call := self.underway.take(number))]
                )
            case Kind.LEFT:
                self._has_left = self._has_said_goodbye = True
                self._reports.left(self._take_all())
            case _:
                raise BrokenFrame(f"a worker sends no frames of the kind {frame.kind.name}")

    def _take_greeting(self, frame: Frame) -> None:
        said = bytes(frame.payloads[0]).decode(errors="replace") if frame.payloads else ""
        if frame.kind is not Kind.HELLO or said != self._greeting:
            raise BrokenFrame(
                f"the worker is {said or frame.kind.name!r}, and the pool is {self._greeting!r}: both need "
                "the same Python and the same polyloop"
            )
        self._greeting = ""

    def _take_started(self, last: int) -> None:
        self._context.run(self._say_started, last)
        if self.is_asked:
            self.lag = max(self.lag, monotonic() - self._asked_at)
            self.is_asked = False
        self.outbox.answer(last)
        self._look_for_room()

    def _say_started(self, last: int) -> None:
        for call in self.underway.begin(last):
            call.sink.started()

    def _look_for_room(self) -> None:
        """More may be sent once enough of what was sent is out of the way."""
        if self._reports.is_choked and not self.underway.is_too_much():
            self._reports.is_choked = False
            self._reports.ended()

    def _settle_called_off(self) -> None:
        if self._settler.settle_called_off():
            if self._reports.is_wanted:
                self._reports.ended()
            self._look_for_room()
