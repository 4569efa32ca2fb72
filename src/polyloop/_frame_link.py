"""The pool's end of the line to a worker with which it shares no memory: frames over a socket.

Whoever submits sends. What comes back is for the `Carrier`. In which place the worker lives - a process, an
interpreter - neither knows: see `Place`.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, cast

from ._carrier import Carrier
from ._codec import Kind, encode
from ._mailbox import MailboxClosed
from ._messages import Call, Cancel, Command, Leave
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._codec import Entry
    from ._link import Leftovers, Reports
    from ._local import Worker
    from ._log_handling import LogInlet
    from ._place import Place

__all__ = ["FrameLink"]

# How long a place that was killed may take to be gone, in seconds.
LAST_SECONDS = 1.0


class FrameLink:
    """One worker at the other end of a socket: see `Link`.

    Args:
        worker: Who it is to be.
        reports: Where what happens is told.
        place: Where it lives.
        setup: What it is told first.
        greeting: What it says first.
        delay: Seconds to wait before it comes up.
        stall_limit: Seconds that it may leave a question unanswered before it is killed; None is for ever.
        logs: Where its log records go, if they come here.
    """

    def __init__(
        self,
        worker: Worker,
        reports: Reports,
        place: Place,
        setup: Sequence[Entry],
        greeting: str,
        *,
        delay: float = 0.0,
        stall_limit: float | None = None,
        logs: LogInlet | None = None,
    ) -> None:
        self._reports = reports
        self._place = place
        # Made here and not in the thread: who opens the pool is to hear when there are no more descriptors.
        near, far = socket.socketpair()
        try:
            self._carrier = Carrier(
                worker,
                reports,
                place,
                (near, far),
                setup=setup,
                greeting=greeting,
                delay=delay,
                stall_limit=stall_limit,
                logs=logs,
            )
        except BaseException:
            near.close()
            far.close()
            raise
        self._underway = self._carrier.underway
        self._outbox = self._carrier.outbox
        self._thread = daemon_thread(self._carrier.main, f"{worker.name}-link")

    def start(self) -> None:
        """See `Link`."""
        try:
            start_thread(self._thread)
        except Exception:
            # Not after a Ctrl-C: it may have come when the thread was running.
            self._carrier.close()
            raise

    def send(self, command: Command, /) -> None:
        """See `Link`."""
        if type(command) is Call:
            self.send_calls((command,))
        elif self._carrier.is_closed:
            raise MailboxClosed
        elif type(command) is Cancel:
            self._send_cancel(command.call.number)
        else:
            self._carrier.leave(cast("Leave", command).grace)

    def send_calls(self, calls: Sequence[Call], /) -> None:
        """See `Link`."""
        entries: list[Entry] = []
        size = 0
        for call in calls:
            if call.number is not None or call.is_cancelling:
                self._call_off(call)
                continue
            packed: Any = call.packed  # not cast(), which is a call for each
            tag, parts, length = packed
            entries.append((self._underway.add(call), tag, parts, length))
            size += length
        if self._underway.is_full:
            # First stored, then looked at again: the carrier stores what was read before it looks at this.
            self._reports.is_choked = True
            if not self._underway.is_too_much():
                self._reports.is_choked = False
        if entries:
            if not self._carrier.is_asked:
                self._carrier.ask()
            self._outbox.put_calls(entries, size)
        if self._carrier.is_closed:
            self._take_back(calls)

    def abandon(self) -> Leftovers:
        """See `Link`."""
        return self._carrier.abandon()

    def join(self, timeout: float) -> bool:
        """See `Link`. What is not gone by then is killed, or has a last moment if it cannot be."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._place.kill()
                self._thread.join(LAST_SECONDS)
        return not self._thread.is_alive()

    @property
    def can_be_ended(self) -> bool:
        """See `Link`."""
        return self._place.can_be_ended

    def forked(self) -> None:
        """See `Link`: the worker must see its pool's end, though this process lives on."""
        self._carrier.forked()

    @property
    def is_unheard(self) -> bool:
        """See `Link`."""
        return self._place.may_lose_words or self._carrier.is_unheard

    @property
    def lag(self) -> float:
        """See `Link`."""
        return self._carrier.lag

    # -- under the pool's lock ---------------------------------------------------------------

    def _send_cancel(self, number: int | None) -> None:
        if number is not None:
            self._outbox.put(encode(Kind.CANCEL, [(number, 0, (), 0)]))

    def _call_off(self, call: Call) -> None:
        """See to a call that must not start: it was cancelled, or Ctrl-C came while it was handed in."""
        number = call.number
        if number is not None:
            if number <= self._outbox.newest and not self._carrier.is_closed:
                # The worker gets it, or has it already, and answers for it: it may have to clean up.
                self._send_cancel(number)
                return
            if self._underway.call_off(number) is None:
                return  # it has its outcome
            self._send_cancel(number)
        self._carrier.call_off(call)

    def _take_back(self, calls: Sequence[Call]) -> None:
        """The line was closed before these were sent, or since: whoever takes one out answers for it."""
        refused = [
            call
            for call in calls
            if self._underway.take(call.number) is call or self._carrier.take_back(call)
        ]
        for call in refused:
            call.number = None
        if refused:
            raise MailboxClosed(refused)
