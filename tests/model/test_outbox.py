"""Signal handlers, and Ctrl-C, at any two of the places in an outbox where CPython looks for them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from polyloop import _codec, _outbox
from polyloop._codec import Decoder, Kind, encode
from polyloop._outbox import Outbox
from tests.model.looks import Looks
from tests.model.steps import codes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# More than the socket of `Line` takes at once.
LARGE = bytes(40_000)


class Line:
    """An outbox, and the other end of its socket."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as there is
        self.is_handed_over = False
        self.outbox = Outbox(self._near, self.hand_over)
        self._decoder = Decoder()
        self.arrived: list[int] = []
        """The numbers of calls and of other frames."""

    def hand_over(self) -> None:
        """What the outbox calls. Ctrl-C can land in this, too."""
        self.is_handed_over = True

    def put(self, number: int, payload: bytes = b"") -> None:
        """Put a frame in that is no call."""
        self.outbox.put(encode(Kind.CANCEL, [(number, 0, (payload,), len(payload))]))

    def put_calls(self, *numbers: int, payload: bytes = b"") -> None:
        """Put calls in."""
        self.outbox.put_calls([(number, 0, (payload,), len(payload)) for number in numbers], len(payload))

    def answer(self) -> None:
        """The other end has answered for all that was sent."""
        self.outbox.answer(self.outbox.last)

    def go_on(self) -> None:
        """What somebody else does to whom an outbox is handed over, and the reading of what comes."""
        self.read()
        while self.is_handed_over:
            self.is_handed_over = False
            if self.outbox.is_full:
                self.outbox.resume()
            else:
                self.outbox.flush()
            self.read()

    def read(self) -> None:
        """Take all that is there."""
        with suppress(BlockingIOError):
            while True:
                for frame in self._decoder.feed(self._far.recv(1 << 16)):
                    self.arrived += frame.numbers

    def close(self) -> None:
        """Give the sockets back, with nothing left in them."""
        assert self._decoder.is_between_frames, "the stream ends in the middle of a frame"
        self._near.close()
        self._far.close()


CODES = {Line.hand_over.__code__, *(code for module in (_codec, _outbox) for code in codes_of(module))}


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


class Case(NamedTuple):
    """Something that an outbox is in the middle of, and what was put in and is put in by it."""

    before: tuple[Callable[[Line], None], ...]
    puts_before: list[int]
    act: Callable[[Line], None]
    puts: list[int]

    def begin(self) -> Line:
        """A line on which all that comes before has been done."""
        line = Line()
        for step in self.before:
            step(line)
        return line


def put(line: Line) -> None:
    """Put in a frame."""
    line.put(5)


def put_calls(line: Line) -> None:
    """Put in calls."""
    line.put_calls(5, 6)


def put_large(line: Line) -> None:
    """Put in what the socket does not take at once."""
    line.put(1, LARGE)


CASES = {
    "a frame": Case((), [], put, [5]),
    "calls": Case((), [], put_calls, [5, 6]),
    "calls that wait": Case((lambda line: line.put_calls(1),), [1], put_calls, [5, 6]),
    "an answer": Case(
        (lambda line: line.put_calls(1), lambda line: line.put_calls(2, 3)), [1, 2, 3], Line.answer, []
    ),
    "a frame after calls that wait": Case(
        (lambda line: line.put_calls(1), lambda line: line.put_calls(2, 3)), [1, 2, 3], put, [5]
    ),
    "more than the socket takes": Case((), [], put_large, [1]),
    "large calls": Case((), [], lambda line: line.put_calls(5, payload=LARGE), [5]),
    "a frame into a full socket": Case((put_large,), [1], put, [5]),
    "room again": Case(
        (put_large, lambda line: line.put_calls(2), Line.read), [1, 2], lambda line: line.outbox.resume(), []
    ),
}
# All of them take a minute.
CASES_OF_TWO = [*CASES] if os.environ.get("POLYLOOP_NIGHTLY") else ["an answer", "large calls"]


def each_once(numbers: list[int]) -> list[int]:
    """Without what is said again."""
    return list(dict.fromkeys(numbers))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_ctrl_c_at_every_look_of_an_outbox(case: Case) -> None:
    """Whatever Ctrl-C interrupts, all that was put in arrives, in order, though nobody puts anything in."""
    at = 0
    is_interrupted = True
    while is_interrupted:
        at += 1
        line = case.begin()
        with suppress(KeyboardInterrupt), Looks(CODES, {at: interrupt}) as looks:
            case.act(line)
        line.go_on()
        line.answer()  # calls may wait for it still
        line.go_on()

        assert each_once(line.arrived) in (case.puts_before, case.puts_before + case.puts), f"at look {at}"
        line.close()
        is_interrupted = looks.seen >= at
    assert at > 3


@pytest.mark.parametrize("is_ctrl_c", [False, True], ids=["puts", "raises KeyboardInterrupt"])
@pytest.mark.parametrize("case", CASES_OF_TWO)
def test_handlers_at_any_two_looks_of_an_outbox(case: str, is_ctrl_c: bool) -> None:
    """What a handler, or another thread, puts in meanwhile arrives too, also when Ctrl-C follows it."""

    def play(first: int, second: int) -> int:
        looks = play_two(CASES[case], first, second, is_ctrl_c=is_ctrl_c)
        return looks.seen

    assert len(list(pairs(play))) > 2


def pairs(play: Callable[[int, int], int]) -> Iterator[tuple[int, int]]:
    """All pairs of looks, as many as there are: `play` returns how many there were with a pair."""
    first = seen = 0
    while first <= seen:
        first += 1
        second = first + 1
        while second <= (seen := play(first, second)):
            yield first, second
            second += 1


def play_two(case: Case, first: int, second: int, *, is_ctrl_c: bool) -> Looks:
    """Once, with one handler that puts a frame in, and a second one."""
    line = case.begin()
    handlers: dict[int, Callable[[], None]] = {
        first: lambda: line.put(8),
        second: interrupt if is_ctrl_c else lambda: line.put(9),
    }
    with suppress(KeyboardInterrupt), Looks(CODES, handlers) as looks:
        case.act(line)
    line.go_on()
    if second <= looks.seen:
        handled = {8} if is_ctrl_c else {8, 9}
        assert handled <= set(line.arrived), f"lost with handlers at {first} and {second}"
    line.answer()  # calls may wait for it still
    line.go_on()
    arrived = [number for number in each_once(line.arrived) if number < 8]
    whole = case.puts_before + case.puts
    assert arrived in ([case.puts_before, whole] if is_ctrl_c else [whole]), f"at {first} and {second}"
    line.close()
    return looks
