"""What a pool takes in of its workers' log records, and how it counts those that it does not."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop import _log_handling
from polyloop._codec import Frame, Kind
from polyloop._log_handling import RECORD_BYTES, LogInlet, LogListener
from polyloop._log_records import pack_record
from tests._gate import PATIENCE
from tests._stage import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyloop._log_handling import _Items

SIZE = 1000
ROOM = 10


class Intake:
    """An inlet with room for so many records, and what waits behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_log_handling, "MOST_WAITING_BYTES", ROOM * (SIZE + RECORD_BYTES))
        self._items: _Items = queue.SimpleQueue()
        self.inlet = LogInlet("w", self._items)

    def come(self, count: int = 1, dropped: int = 0) -> None:
        """Records come, after so many that the worker has dropped."""
        payload = memoryview(bytes(SIZE))
        for number in range(count):
            self.inlet.take(Frame(Kind.LOG, [0 if number else dropped], b"\0", [payload]))

    def handle(self, count: int) -> list[int]:
        """Handle so many; returns how many were dropped before each."""
        gaps: list[int] = []
        for _ in range(count):
            item = self._items.get_nowait()
            assert item is not None
            gaps.append(item[1])
            self.inlet.handled_bytes += len(item[2]) + RECORD_BYTES
        return gaps

    def handle_all(self) -> list[int]:
        """Handle all that wait."""
        return self.handle(self._items.qsize())


@pytest.fixture
def intake(monkeypatch: pytest.MonkeyPatch) -> Intake:
    """An inlet."""
    return Intake(monkeypatch)


def test_what_there_is_no_room_for_is_dropped(intake: Intake) -> None:
    """The first one that is taken after those tells how many they were."""
    intake.come(ROOM + 5)
    gaps = intake.handle_all()
    intake.come(2)

    assert gaps == [0] * ROOM
    assert intake.handle_all() == [5, 0]


def test_who_has_dropped_some_drops_until_half_is_handled(intake: Intake) -> None:
    """So that one long gap is told of, and not many short ones."""
    intake.come(ROOM + 1)
    for _ in range(ROOM // 2 - 1):
        intake.handle(1)
        intake.come()

    intake.handle(1)
    intake.come()

    assert intake.handle_all() == [0] * (ROOM // 2) + [ROOM // 2]


def test_what_the_worker_has_dropped_is_counted_with_it(intake: Intake) -> None:
    """It is one gap for those who read the log."""
    intake.come(dropped=3)
    intake.come(ROOM)
    intake.come(dropped=4)
    gaps = intake.handle_all()
    intake.come()

    assert gaps == [3] + [0] * (ROOM - 1)
    assert intake.handle_all() == [1 + 4 + 1]


def test_the_end_of_a_worker_tells_what_was_dropped_last(intake: Intake) -> None:
    """Whether there is room or not; and only if there was something."""
    intake.come(ROOM + 2)
    intake.inlet.end()
    intake.inlet.end()

    assert intake.handle_all() == [0] * ROOM + [2]


def test_a_record_that_is_larger_than_the_room_is_taken(intake: Intake) -> None:
    """If little waits: the bound is on what waits."""
    intake.inlet.take(Frame(Kind.LOG, [0], b"\0", [memoryview(bytes(100 * SIZE))]))

    assert intake.handle_all() == [0]


def test_the_last_word_of_a_worker_about_what_it_has_dropped_is_no_record(intake: Intake) -> None:
    """It has nothing but the number."""
    intake.inlet.take(Frame(Kind.LOG, [7], b"\0", [memoryview(b"")]))
    assert intake.handle_all() == []

    intake.inlet.end()
    assert intake.handle_all() == [7]


# -- the thread that handles them ----------------------------------------------------------

LOG = logging.getLogger("tests.handling")


class Reacting(logging.Handler):
    """Calls something for each record."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.react: Callable[[], object] = lambda: None

    def emit(self, record: logging.LogRecord) -> None:
        """Do so, and keep what it says."""
        self.react()
        self.texts.append(record.getMessage())


@pytest.fixture
def handler() -> Iterator[Reacting]:
    """The only handler of the logger."""
    handler = Reacting()
    LOG.addHandler(handler)
    LOG.propagate = False
    yield handler
    LOG.removeHandler(handler)
    LOG.propagate = True


def frame(text: str) -> Frame:
    """A record, as it comes."""
    tag, parts, _ = pack_record(LOG.makeRecord(LOG.name, logging.ERROR, "file.py", 1, text, (), None))
    return Frame(Kind.LOG, [0], bytes([tag]), [memoryview(b"".join(parts))])


def test_the_end_is_told_when_all_has_been_handled(handler: Reacting) -> None:
    """Who closes the pool can wait for it; and all of it has made room again."""
    gate = threading.Event()
    handler.react = lambda: until(gate)
    listener = LogListener("p")
    inlet = listener.inlet("w")
    for number in range(3):
        inlet.take(frame(str(number)))

    rest = listener.close()

    assert rest is not None
    assert not rest.done()
    gate.set()
    assert rest.wait(PATIENCE)
    assert handler.texts == ["0", "1", "2"]
    assert inlet.handled_bytes == inlet._taken_bytes > 0


def test_a_handler_that_closes_has_nothing_to_wait_for(handler: Reacting) -> None:
    """It would wait for itself."""
    rests: list[object] = []
    listener = LogListener("p")
    handler.react = lambda: rests.append(listener.close())
    listener.inlet("w").take(frame("text"))

    rest = listener.close()

    assert rest is not None
    assert rest.wait(PATIENCE)
    assert rests == [None]


def test_what_cannot_be_made_again_at_all_is_said(
    handler: Reacting, expected_logs: list[logging.LogRecord]
) -> None:
    """The others are handled."""
    listener = LogListener("p")
    inlet = listener.inlet("w")

    inlet.take(Frame(Kind.LOG, [0], b"\0", [memoryview(b"no pickle")]))
    inlet.take(frame("text"))
    rest = listener.close()

    assert rest is not None
    assert rest.wait(PATIENCE)
    assert handler.texts == ["text"]
    assert [record.getMessage() for record in expected_logs] == [
        "a log record of w cannot be made again in this process"
    ]
