"""The pool's reading end of a line, with a worker that is only its half of a socket."""

from __future__ import annotations

import socket
import threading
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any

import pytest

from polyloop._carrier import Carrier
from polyloop._codec import VALUE, BrokenFrame, Kind, encode
from polyloop._frame_link import FrameLink
from polyloop._local import Worker
from polyloop._mailbox import MailboxClosed
from polyloop._messages import Call
from polyloop._packing import pack
from polyloop._seat import Tally
from polyloop._underway import CREDIT_BYTES
from tests._gate import PATIENCE
from tests._stage import nothing

if TYPE_CHECKING:
    from polyloop._link import Leftovers


class Scripted:
    """A place whose worker says these bytes when it has begun, and is gone."""

    can_be_ended = True
    may_lose_words = False

    def __init__(self, says: bytes) -> None:
        self._says = says

    def begin(self, sock: socket.socket, /) -> None:
        """See `Place`."""
        sock.sendall(self._says)

    def sentinel(self) -> int | None:
        """See `Place`."""

    def kill(self) -> None:
        """See `Place`."""

    def end(self, _timeout: float, /) -> str:
        """See `Place`."""
        return "worker was a script"

    def forked(self) -> None:
        """See `Place`."""


class Told:
    """Reports, kept."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.is_wanted = False
        self.is_choked = False
        self.reason: BaseException | None = None
        self.leftovers: Leftovers | None = None
        self.room = threading.Event()

    def ready(self) -> None:
        """See `Reports`."""

    def ended(self) -> None:
        """See `Reports`."""
        self.room.set()

    def failed(self, error: BaseException) -> None:
        """See `Reports`."""
        self.reason = error

    def stuck(self, _calls: object) -> None:
        """See `Reports`."""

    def left(self, leftovers: Leftovers) -> None:
        """See `Reports`."""
        self.leftovers = leftovers

    def lost(self, reason: BaseException | None, leftovers: Leftovers) -> None:
        """See `Reports`."""
        self.reason, self.leftovers = reason, leftovers


class Kept:
    """A sink that keeps the outcome."""

    outcome: Any = None
    has_started = False

    def started(self) -> None:
        """See `Sink`."""
        self.has_started = True

    def settle_value(self, value: Any, /) -> None:
        """See `Sink`."""
        self.outcome = value

    def settle_error(self, error: BaseException, /) -> None:
        """See `Sink`."""
        self.outcome = error

    def settle_cancelled(self) -> None:
        """See `Sink`."""
        self.outcome = "cancelled"


def make(says: bytes) -> tuple[Carrier, Told]:
    """A carrier, and what it tells."""
    told = Told()
    worker = Worker(0, 0, name="w", backend="process", loops=1, home=None)
    carrier = Carrier(
        worker,
        told,
        Scripted(says),
        socket.socketpair(),
        setup=(),
        greeting="hello",
        delay=0.0,
        stall_limit=None,
    )
    return carrier, told


def sent(carrier: Carrier, size: int = 10) -> tuple[Call, Kept]:
    """A call that has been sent, and where its outcome goes."""
    home: Any = None
    call = Call(home, nothing, (), {}, Context())
    call.packed = (0, (), size)
    call.sink = kept = Kept()
    carrier.underway.add(call)
    return call, kept


def said(kind: Kind, number: int = 0, value: Any = None) -> bytes:
    """A frame about one call."""
    tag, parts, size = pack(value)
    return b"".join(encode(kind, [(number, VALUE | tag, parts, size)]))


def test_outcomes_in_front_of_garbage_are_delivered() -> None:
    """They have arrived; that the worker cannot be talked to any more costs only the others."""
    hello = b"".join(encode(Kind.HELLO, [(0, 0, (b"hello",), 5)]))
    carrier, told = make(
        hello
        + b"".join([said(Kind.READY), said(Kind.STARTED, 2), said(Kind.DONE, 1, "its result")])
        + b"no frame, but long enough to be seen as none"
    )
    _, finished = sent(carrier)
    unfinished, _ = sent(carrier)

    thread = threading.Thread(target=carrier.main)
    thread.start()
    thread.join(PATIENCE)

    assert finished.outcome == "its result"
    assert isinstance(told.reason, BrokenFrame)
    assert told.leftovers is not None
    assert told.leftovers.started == [unfinished]


def test_pinned_calls_are_counted_when_they_have_ended() -> None:
    """Those of the worker that takes the place wait for them, and not for others."""
    hello = b"".join(encode(Kind.HELLO, [(0, 0, (b"hello",), 5)]))
    carrier, told = make(
        hello + b"".join([said(Kind.READY), said(Kind.STARTED, 3), *(said(Kind.DONE, n) for n in (1, 2))])
    )
    for pin in (None, 0, 0):
        sent(carrier)[0].pin = pin

    thread = threading.Thread(target=carrier.main)
    thread.start()
    thread.join(PATIENCE)

    assert (told.tally.ended, told.tally.pinned) == (2, 1)


def test_a_call_that_is_called_off_makes_room() -> None:
    """Nobody reads it, so the worker may get more calls at once."""
    carrier, told = make(b"")
    call, _ = sent(carrier, CREDIT_BYTES + 1)
    told.is_choked = carrier.underway.is_too_much()
    assert told.is_choked
    assert call.number is not None

    carrier.underway.call_off(call.number)
    carrier.call_off(call)
    thread = threading.Thread(target=carrier.main)
    thread.start()
    thread.join(PATIENCE)

    assert told.room.is_set()
    assert not told.is_choked


def test_a_call_that_is_called_off_too_late_is_given_back() -> None:
    """One that was asked to stop, and is sent to a worker that is gone: nobody settles it there any more."""
    told = Told()
    worker = Worker(0, 0, name="w", backend="process", loops=1, home=None)
    link = FrameLink(worker, told, Scripted(b""), (), "hello")
    link.start()
    assert link.join(PATIENCE)
    home: Any = None
    call = Call(home, nothing, (), {}, Context())
    call.packed = (0, (), 10)
    call.sink = kept = Kept()
    call.is_cancelling = True

    with pytest.raises(MailboxClosed) as caught:
        link.send_calls([call])

    assert caught.value.args[0] == [call]
    assert kept.outcome is None


class Talking(Scripted):
    """A place whose worker stays, and says what the test has it say."""

    def __init__(self, says: bytes) -> None:
        super().__init__(says)
        self.is_there = threading.Event()

    def begin(self, sock: socket.socket, /) -> None:
        """See `Place`."""
        self.worker = sock.dup()
        super().begin(sock)
        self.is_there.set()


class HeldUp(Told):
    """Reports that take their time: the carrier's thread waits in `ended` until the test lets it on."""

    def __init__(self) -> None:
        super().__init__()
        self.is_wanted = True
        self.may_go_on = threading.Event()

    def ended(self) -> None:
        """See `Reports`."""
        super().ended()
        assert self.may_go_on.wait(PATIENCE)


def test_what_is_not_taken_yet_may_say_that_a_call_has_begun() -> None:
    """While the carrier is at something, and while something waits to be read; not when it has all been."""
    told, place = HeldUp(), Talking(b"".join(encode(Kind.HELLO, [(0, 0, (b"hello",), 5)])))
    worker = Worker(0, 0, name="w", backend="process", loops=1, home=None)
    link = FrameLink(worker, told, place, (), "hello")
    link.start()
    _, (_, second) = [sent(link._carrier) for _ in range(2)]
    assert place.is_there.wait(PATIENCE)
    place.worker.sendall(said(Kind.READY) + said(Kind.STARTED, 1) + said(Kind.DONE, 1))
    assert told.room.wait(PATIENCE)
    was_unheard = [link.is_unheard]
    place.worker.sendall(said(Kind.STARTED, 2))
    was_unheard.append(link.is_unheard)
    was_started = second.has_started

    told.may_go_on.set()
    end = time.monotonic() + PATIENCE
    while link.is_unheard:
        assert time.monotonic() < end, "it never hears all that was said"
    assert second.has_started
    assert (was_unheard, was_started) == ([True, True], False)
    place.worker.close()
    assert link.join(PATIENCE)
