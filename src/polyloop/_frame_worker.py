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
from ._codec import BrokenFrame, Decoder, Frame, Kind, encode
from ._local import here
from ._log_forwarding import LogForwarder
from ._loop_life import close_loop, run_until_done
from ._messages import Call, Cancel, Leave
from ._options import Options
from ._outbox import Outbox
from ._packed_errors import pack_error
from ._packing import Unpacker
from ._plain import PLAIN
from ._replies import Replies
from ._runner import Runner
from ._seat import Tally

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ._arrivals import Arrival
    from ._carry import ContextUnpacker
    from ._link import Leftovers
    from ._local import Worker
    from ._log_levels import Levels

__all__ = ["FrameWorker"]

logger = logging.getLogger("polyloop")

READ_BYTES = 1 << 18
# One word tells the pool of so many calls that they start, at most, and of no more than take so many seconds,
# as far as that can be foreseen. Guesses: each word wakes the pool, and a call that was told of and has not
# begun cannot move any more. Then the loop's timers and sockets have their turn, as with `Mailbox`.
MOST_IN_BATCH = 256
BATCH_SECONDS = 0.005
# What runs may take to clean up when the pool's process is gone, in seconds.
ORPHAN_GRACE = 0.5


class FrameWorker:
    """One worker at the other end of a `FrameLink`.

    Args:
        sock: Its end of the line. It is closed in the end.
        worker: Who it is.
        loop: Its loop, which nobody has run yet.
        lifespan: Entered before the first call and left after the last one.
        decoder: What has read the line so far.
        early: What came together with the setup.
        explain: Says of an error while a call is unpacked what it means here.
        contexts: Makes the contexts of calls, if variables come along.
        levels: What is to be logged, if the pool is to get that.
    """

    def __init__(
        self,
        sock: socket.socket,
        worker: Worker,
        loop: asyncio.AbstractEventLoop,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        *,
        decoder: Decoder,
        early: Sequence[Frame],
        explain: Callable[[BaseException], BaseException],
        contexts: ContextUnpacker | None = None,
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
        self._decoder = decoder
        # The same for all that is read: memory of that size comes from the system each time, page by page.
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._early = early
        self._explain = explain
        self._outbox = Outbox(sock, self._watch_for_room)
        self._replies = Replies(loop, self._outbox)
        self._runner = Runner(loop, worker, self, lifespan)
        self._unpacker, self._contexts = Unpacker(), contexts
        self._arrivals = Arrivals()
        self._batch = 1
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

    def _read(self) -> int:
        """Take what has come, some of it; returns how many bytes that were."""
        try:
            size = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return 0
        except OSError:
            size = 0
        try:
            for frame in self._decoder.feed(self._buffer[:size]):
                self._take(frame)
        except BrokenFrame:
            logger.exception("%s cannot understand its pool, and leaves", self._worker.name)
            size = 0
        if not size:
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
            fitting = int(count * BATCH_SECONDS / max(perf_counter() - begin, 1e-6))
            # Not down to nothing at once: it may be that another process had this one's turn.
            self._batch = max(1, self._batch // 4, min(fitting, 2 * self._batch, MOST_IN_BATCH))

    def _start_batch(self) -> int:
        """Start the next few calls; returns how many, for it may not be possible."""
        if not self._told:
            self._told = min(self._batch, len(self._arrivals))
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
        try:
            if tag == PLAIN:
                call.fn = self._unpacker.function(payload)
            else:
                self._unpack(call, payload, tag)
        except BaseException as error:  # noqa: BLE001 - by the code of a class of the user's
            explained = self._explain(error)
            with contextlib.suppress(Exception):  # the class may refuse it: a frozen dataclass does
                explained.add_note(
                    f"This was raised when the call was unpacked in the worker's {self._worker.backend}."
                )
            self._replies.settle_error(number, explained)
        else:
            self._runner.start(call)

    def _unpack(self, call: Call, payload: memoryview, tag: int) -> None:
        if self._contexts is not None:
            call.context, payload = self._contexts.take_from(payload)
        call.fn, call.args, call.kwargs, name = self._unpacker.unpack_call(payload, tag)
        if name is not None:
            call.options = Options(name=name)

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
