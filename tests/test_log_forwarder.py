"""A worker's logging handler by itself: what it sends, what it drops, and when it sends nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import _log_forwarding
from polyloop._codec import Decoder, Frame, Kind
from polyloop._log_forwarding import LogForwarder
from polyloop._log_levels import levels_here
from polyloop._log_records import pack_record, unpack_record
from polyloop._outbox import Outbox
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(text: str) -> logging.LogRecord:
    """A record that says that."""
    return logging.LogRecord("tests.forwarder", logging.ERROR, "file.py", 1, text, (), None)


class Line:
    """A forwarder of this thread's, and the pool's end of its line."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._decoder = Decoder()
        self.loop = asyncio.new_event_loop()
        self.outbox = Outbox(self._near, lambda: None)
        # How often the loop was told to go on.
        self.goings_on = 0
        self.forwarder = LogForwarder(levels_here(), self.outbox, self.loop, self._go_on)
        self.forwarder._thread = (
            threading.get_ident()
        )  # as begin() does, which would take all other handlers away

    def _go_on(self) -> None:
        self.goings_on += 1

    def turn(self) -> None:
        """Run the loop for a moment."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def log(self, text: str) -> None:
        """Have a record forwarded."""
        self.forwarder.handle(record(text))

    def read(self) -> list[tuple[int, str]]:
        """What has arrived: of each record, how many were dropped before it, and what it says."""
        frames: list[Frame] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                frames += self._decoder.feed(self._far.recv(1 << 20))
        assert {frame.kind for frame in frames} <= {Kind.LOG}
        return [
            (
                frame.numbers[0],
                unpack_record(frame.payloads[0], frame.tags[0]).msg if frame.payloads[0] else "",
            )
            for frame in frames
        ]

    def close(self) -> None:
        """Give everything back."""
        self.loop.close()
        self._near.close()
        self._far.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """A line."""
    line = Line()
    yield line
    line.close()


def fill(line: Line) -> int:
    """Log until the line is full and no more may wait; returns how many were taken."""
    count = 0
    while not line.forwarder._dropped:
        line.log(f"{count} {'x' * 10_000}")
        count += 1
    return count - 1


def test_a_record_is_sent_before_the_next_step(line: Line) -> None:
    """It is in the pool's socket when who has logged goes on."""
    line.log("one")

    assert line.read() == [(0, "one")]


def test_what_comes_above_the_bound_is_dropped_and_counted(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all that waits has been taken, so that there is one gap; the next record tells how large it is.

    That there is room again is seen by who logs: the loop, which would hear of it, may be what never pauses.
    """
    monkeypatch.setattr(_log_forwarding, "MOST_WAITING_BYTES", 100_000)
    taken = fill(line)
    line.log("dropped, though it is small")

    read = line.read()
    line.log("sent after the rest")
    line.log("sent")
    read += line.read()

    assert [text.split()[0] for _, text in read] == [*map(str, range(taken)), "sent", "sent"]
    assert [dropped for dropped, _ in read] == [0] * taken + [2, 0]


def test_a_large_record_is_sent_when_nothing_waits(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on what waits is none on a record."""
    monkeypatch.setattr(_log_forwarding, "MOST_WAITING_BYTES", 100)

    line.log("x" * 1000)
    line.log("y" * 1000)

    assert [text[0] for _, text in line.read()] == ["x", "y"]


def test_the_end_tells_what_was_dropped(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when no record comes after those."""
    monkeypatch.setattr(_log_forwarding, "MOST_WAITING_BYTES", 100_000)
    taken = fill(line)

    line.forwarder.end()

    read = line.read()
    line.outbox.resume()
    read += line.read()
    assert len(read) == taken + 1
    assert read[-1] == (1, "")


def test_after_the_end_nothing_is_sent(line: Line, capfd: pytest.CaptureFixture[str]) -> None:
    """What comes late goes where it goes in a process without handlers: the line is about to be closed."""
    line.forwarder.end()

    line.log("late")

    assert line.read() == []
    assert capfd.readouterr().err == "late\n"


def test_another_thread_has_the_loop_go_on(line: Line) -> None:
    """What the loop put into the outbox meanwhile was left to that thread; for its own records it knows."""
    line.log("by the loop's thread")
    line.turn()
    assert line.goings_on == 0

    for _ in range(2):
        threads = [threading.Thread(target=line.log, args=("by another",)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        line.turn()

    assert line.goings_on == 2
    assert len(line.read()) == 5


def test_what_an_argument_says_is_not_asked_under_the_lock(line: Line) -> None:
    """It may wait for another thread that logs."""

    class Waiting:
        def __str__(self) -> str:
            thread = threading.Thread(target=line.log, args=("by the other",))
            thread.start()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            return "waited"

    waiting = record("%s")
    waiting.args = (Waiting(),)
    line.forwarder.handle(waiting)

    assert [text for _, text in line.read()] == ["by the other", "waited"]


# -- records, by themselves ----------------------------------------------------------------


class Changing:
    """It can be pickled, and is not made again everywhere."""

    is_made = True

    def __reduce__(self) -> tuple[type[Changing], tuple[()]]:
        return Changing, ()

    def __init__(self) -> None:
        if not Changing.is_made:
            raise LookupError("not here")


class Shouting(str):
    """A text of a class of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return Shouting(self.upper())


def there_and_back(made: logging.LogRecord) -> logging.LogRecord:
    """What arrives of a record."""
    tag, parts, _ = pack_record(made)
    return unpack_record(memoryview(b"".join(parts)), tag)


def test_what_cannot_be_made_again_spoils_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record arrives, and says so where the thing would be."""
    made = record("text")
    made.thing = Changing()
    tag, parts, _ = pack_record(made)
    monkeypatch.setattr(Changing, "is_made", False)

    arrived = unpack_record(memoryview(b"".join(parts)), tag)

    assert arrived.getMessage() == "text"
    assert vars(arrived)["thing"] == "(it cannot be made again in this process: LookupError: not here)"


def test_a_text_of_a_class_of_its_own_arrives_as_a_text() -> None:
    """The pool need not know the class."""
    arrived = there_and_back(record(Shouting("text")))

    assert (type(arrived.msg), arrived.msg) == (str, "TEXT")


def test_what_other_handlers_have_left_on_a_record_stays_behind() -> None:
    """The handlers of the pool's process format it anew."""
    made = record("text")
    logging.Formatter("%(asctime)s").format(made)

    assert not {"asctime", "message"} & vars(there_and_back(made)).keys()


def test_the_record_itself_is_not_changed() -> None:
    """Other handlers of the worker get it too."""
    made = record("%s and %s")
    made.args = ("one", "two")
    before = dict(vars(made))

    there_and_back(made)

    assert vars(made) == before
