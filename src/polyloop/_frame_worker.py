"""The worker's end of the line to its pool: frames over a socket, and behind them the runner.

Everything happens on the worker's loop. Calls are started in batches, and before the first step of any of a
batch is taken, the pool is told that all of it has started: what it was not told of has not begun, and may
move.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from contextvars import Context
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ._arrivals import Arrivals
from ._batching import BatchSize
from ._codec import BrokenFrame, Frame, Kind, encode
from ._inlet import READ_BYTES, Inlet
from ._local import here
from ._log_forwarding import LogForwarder
from ._loop_life import close_loop, run_until_done
from ._messages import Call, Cancel, Leave
from ._outbox import Outbox
from ._packed_errors import pack_error
from ._replies import Replies
from ._runner import Runner
from ._seat import Tally

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ._arrivals import Arrival
    from ._call_unpacker import CallUnpacker
    from ._link import Leftovers
    from ._local import Worker
    from ._log_levels import Levels

__all__ = ["FrameWorker"]

logger = logging.getLogger("polyloop")

# What runs may take to clean up when the pool's process is gone, in seconds.
ORPHAN_GRACE = 0.5


class FrameWorker:
    """One worker at the other end of a `FrameLink`.

    Args:
        sock: Its end of the line. It is closed in the end.
        worker: Who it is.
        loop: Its loop, which nobody has run yet.
        lifespan: Entered before the first call and left after the last one.
        inlet: What reads that end, and has begun to.
        early: What came together with the setup.
        unpacker: Makes calls of what comes.
        levels: What is to be logged, if the pool is to get that.
    """

    def __init__(
        self,
        sock: socket.socket,
        worker: Worker,
        loop: asyncio.AbstractEventLoop,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        *,
        inlet: Inlet,
        early: Sequence[Frame],
        unpacker: CallUnpacker,
        levels: Levels | None = None,
    ) -> None:
        self.is_forked = False
        """Of the calls that run here: see `Home`."""
        self.tally = Tally()
        self.is_wanted = False
        self.is_choked = False
        """These three: see `Reports`."""
        self._sock = sock
        sock.setblocking(False)
        self._worker = worker
        worker.home = self
        self._loop = loop
        self._inlet = inlet
        self._early = early
        self._outbox = Outbox(sock, self._watch_for_room)
        self._replies = Replies(loop, self._outbox)
        self._runner = Runner(loop, worker, self, lifespan)
        self._unpacker = unpacker
        self._arrivals = Arrivals()
        self._batch = BatchSize()
        # Of the first of them the pool was told that they begin.
        self._told = 0
        self._is_passing = self._is_watching = self._is_cut_off = False
        self._logs = None if levels is None else LogForwarder(levels, self._outbox, loop, self._start_pass)

    # -- its life ----------------------------------------------------------------------------

    def run(self) -> None:
        """Run until it has left, or the pool is gone; then tell, and close the loop and the socket."""
        here.worker = self._worker
        if self._logs is not None:
            self._logs.begin()
        asyncio.set_event_loop(self._loop)
        self._loop.add_reader(self._sock, self._on_readable)
        self._loop.call_soon(self._take_early)
        main = self._loop.create_task(self._runner.main(), name=f"{self._worker.name} main")
        reason = run_until_done(self._loop, main, self._worker.name)
        try:
            self._say_goodbye(reason)
        finally:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            close_loop(self._loop, self._worker.name)
            self._sock.close()

    def _say_goodbye(self, reason: BaseException | None) -> None:
        self._is_cut_off = True  # from here on a read would block
        if self._logs is not None:
            self._logs.end()
        if self._runner.has_left:
            for number in self._arrivals.numbers(self._told):
                # It was to start, and the word for that did not fit in.
                self._replies.settle_cancelled(number)
        self._replies.flush()
        if reason is not None:
            self._outbox.put(encode(Kind.FAILED, [(0, *pack_error(reason))]))
        elif self._runner.has_left:
            self._outbox.put(encode(Kind.LEFT))
        self._sock.setblocking(True)
        self._outbox.resume()

    # -- reports: see `Reports` --------------------------------------------------------------

    def ready(self) -> None:
        """The runner is up."""
        self._outbox.put(encode(Kind.READY))

    def failed(self, error: BaseException) -> None:
        """Nobody tells: it is seen when the loop has ended."""

    def ended(self) -> None:
        """Nobody here wants to know."""

    def stuck(self, calls: Sequence[Call]) -> None:
        """The runner has given these up."""
        self._replies.flush()
        numbers = self._replies.numbers(calls)
        self._outbox.put(encode(Kind.STUCK, [(number, 0, (), 0) for number in numbers]))

    def left(self, leftovers: Leftovers) -> None:
        """Nobody tells: as `failed`."""

    def lost(self, reason: BaseException | None, leftovers: Leftovers) -> None:
        """Nobody tells: as `failed`."""

    # -- the calls' home: see `Home` ---------------------------------------------------------

    def cancel(self, call: Call, /) -> None:
        """Ask a task to stop."""
        call.is_cancelling = True
        self._runner.handle(Cancel(call))

    def check_wait(self, title: str, /) -> None:
        """Nobody here has a future of one of these calls."""

    def face(self) -> None:
        """The pool is in another process."""

    # -- what comes --------------------------------------------------------------------------

    def _on_readable(self) -> None:
        # All that has come, before anything starts: what was called off must not, and that may stand far
        # behind the call. The pool may have said of it that it never will.
        while not self._is_cut_off and self._read() == READ_BYTES:
            pass
        self._start_pass()

    def _read(self) -> int | None:
        """Take what has come, some of it; returns how many bytes that were, as the inlet does."""
        try:
            size = self._inlet.read(self._take)
        except BrokenFrame:
            logger.exception("%s cannot understand its pool, and leaves", self._worker.name)
            size = 0
        if size == 0:
            # The pool's process is gone, or has given this worker up.
            self._is_cut_off = True
            self._loop.remove_reader(self._sock)
            self._runner.handle(Leave(ORPHAN_GRACE))
        return size

    def _take_early(self) -> None:
        for frame in self._early:
            self._take(frame)
        self._start_pass()

    def _take(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.CALLS:
                self._arrivals.add(frame)
            case Kind.CANCEL:
                for number in frame.numbers:
                    self._take_cancel(number)
            case Kind.PING:
                self._outbox.put(encode(Kind.PONG))
            case Kind.LEAVE:
                while self._arrivals and self._start_batch():
                    pass  # what comes late is cancelled like all the others
                self._runner.handle(Leave(*struct.unpack("<d", frame.payloads[0])))
            case _:
                raise BrokenFrame(f"a pool sends no frames of the kind {frame.kind.name}")

    def _take_cancel(self, number: int) -> None:
        call = self._replies.call(number)
        if call is not None:
            self.cancel(call)
        else:
            self._arrivals.call_off(number)

    # -- starting ----------------------------------------------------------------------------

    def _start_pass(self) -> None:
        """Begin, if there is anything; what was told may have been sent by now."""
        if self._arrivals and not self._is_passing:
            self._pass()

    def _go_on(self) -> None:
        self._is_passing = False
        self._on_readable()

    def _pass(self) -> None:
        """Start some of what has come."""
        self._replies.hold()
        begin = perf_counter()
        try:
            count = self._start_batch()
        finally:
            if self._arrivals and self._outbox.is_empty:
                self._is_passing = True
                self._loop.call_soon(self._go_on)  # which sends first of all
            else:
                self._replies.flush()
        if count:
            self._batch.took(count, perf_counter() - begin)

    def _start_batch(self) -> int:
        """Start the next few calls; returns how many, for it may not be possible."""
        if not self._told:
            self._told = min(self._batch.calls, len(self._arrivals))
            started = encode(Kind.STARTED, [(self._arrivals.number_at(self._told - 1), 0, (), 0)])
            # Together with what has come of earlier ones: each that is sent wakes the pool.
            self._outbox.put([*self._replies.take(), *started])
        if not self._outbox.is_empty:
            return 0  # what was not told must not begin: `_on_writable` goes on
        count = self._told
        while self._told:
            self._told -= 1
            arrival, is_called_off = self._arrivals.begin()
            if is_called_off:
                self._replies.settle_cancelled(arrival[0])
            else:
                self._begin(arrival)
        return count

    def _begin(self, arrival: Arrival) -> None:
        number, args, payload, tag = arrival
        call = Call(self, _unpacked_later, args, {}, Context())
        self._replies.expect(number, call)
        error = self._unpacker.fill(call, payload, tag)
        if error is None:
            self._runner.start(call)
        else:
            self._replies.settle_error(number, error)

    # -- the way out -------------------------------------------------------------------------

    def _watch_for_room(self) -> None:
        # It may be another thread that has found the line full, one that logs, and more than once.
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_soon_threadsafe(self._loop.add_writer, self._sock, self._on_writable)

    def _on_writable(self) -> None:
        self._loop.remove_writer(self._sock)
        self._is_watching = False
        self._outbox.resume()
        self._on_readable()


async def _unpacked_later() -> None:
    """Stands for a function until that is unpacked."""
