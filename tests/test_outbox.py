"""Frames on their way into real sockets: in order, whole, and as far as the socket takes them."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyloop import _outbox
from polyloop._codec import Decoder, Entry, Kind, encode
from polyloop._doorbell import Doorbell
from polyloop._outbox import Outbox
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyloop._codec import Frame


def call(number: int, payload: bytes = b"") -> Entry:
    """A call of that number."""
    return number, 0, (payload,) if payload else (), len(payload)


class Line:
    """An outbox with a small socket, and the other end of that."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as there is
        self.far.settimeout(PATIENCE)
        self.handed_over = threading.Event()
        self.bell = Doorbell()
        self.outbox = Outbox(self.near, self.hand_over)
        self.decoder = Decoder()

    def hand_over(self) -> None:
        """What the outbox calls."""
        self.handed_over.set()
        self.bell.ring()

    def put(self, number: int, size: int = 0) -> None:
        """Put in a frame that is no call."""
        self.outbox.put(encode(Kind.CANCEL, [call(number, bytes(size))]))

    def put_calls(self, *numbers: int, size: int = 0) -> None:
        """Put in calls with payloads of that size."""
        self.outbox.put_calls([call(number, bytes(size)) for number in numbers], size * len(numbers))

    def answer(self, last: int) -> None:
        """The other end has answered for all calls up to that one."""
        self.outbox.answer(last)

    def take(self, size: int = 1 << 20) -> list[Frame]:
        """The frames that are whole once the other end has read what there is, or so much of it."""
        return self.decoder.feed(self.far.recv(size)) if select.select([self.far], [], [], 0)[0] else []

    def take_all(self) -> list[Frame]:
        """All frames that were put in, with what the socket takes no sooner."""
        frames = self.take()
        while self.outbox.is_full:
            self.outbox.resume()
            frames += self.take()
        frames += self.take()
        assert self.decoder.is_between_frames
        return frames

    def carry(self, count: int) -> list[int]:
        """The numbers of so many frames, read and resumed as the carrier does, while others put them in."""
        numbers: list[int] = []
        while len(numbers) < count:
            # If it is full only after this look, the bell rings, and then comes the next one.
            watched = [self.near] if self.outbox.is_full else []
            ends: list[socket.socket | Doorbell] = [self.far, self.bell]
            readable, writable, _ = select.select(ends, watched, [], PATIENCE)
            assert readable or writable, "something is missing"
            self.bell.answer()
            if writable:
                self.outbox.resume()
            for frame in self.take():
                numbers += frame.numbers
        return numbers

    def close(self) -> None:
        """Give the sockets back."""
        self.near.close()
        self.far.close()
        self.bell.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """A line on which nothing has been sent."""
    line = Line()
    yield line
    line.close()


def said(frames: list[Frame]) -> list[tuple[Kind, list[int]]]:
    """What the frames are about."""
    return [(frame.kind, list(frame.numbers)) for frame in frames]


def test_what_is_put_in_is_sent_at_once(line: Line) -> None:
    """One call after another and one frame after another, each when it is put in."""
    line.put_calls(1)
    assert said(line.take()) == [(Kind.CALLS, [1])]
    line.put(1)
    assert said(line.take()) == [(Kind.CANCEL, [1])]
    line.outbox.put(encode(Kind.PING))
    assert said(line.take()) == [(Kind.PING, [])]


def test_calls_wait_for_company_while_earlier_ones_are_unanswered(line: Line) -> None:
    """The answer sends all that have come meanwhile, in one frame."""
    line.put_calls(1)
    line.put_calls(2)
    line.put_calls(3, 4)
    assert said(line.take()) == [(Kind.CALLS, [1])]

    line.answer(1)

    assert said(line.take()) == [(Kind.CALLS, [2, 3, 4])]


def test_an_answer_for_some_sends_what_waits_and_no_more_than_that(line: Line) -> None:
    """What is sent next waits for the answer to the last call that was sent."""
    line.put_calls(1, 2)
    line.put_calls(3)
    line.answer(1)
    assert said(line.take()) == [(Kind.CALLS, [1, 2]), (Kind.CALLS, [3])]
    line.put_calls(4)
    assert said(line.take()) == []

    line.answer(3)
    assert said(line.take()) == [(Kind.CALLS, [4])]
    line.answer(4)
    line.put_calls(5)

    assert said(line.take()) == [(Kind.CALLS, [5])]


def test_an_answer_sends_nothing_while_there_is_enough_to_do(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits then is sent together, by the answer after which there is not."""
    monkeypatch.setattr(_outbox, "ENOUGH_TO_DO", 3)
    line.put_calls(1, 2, 3, 4)
    line.put_calls(5)
    line.take()

    line.answer(1)
    assert said(line.take()) == []
    line.put_calls(6)
    line.answer(2)

    assert said(line.take()) == [(Kind.CALLS, [5, 6])]


def test_other_frames_wait_for_nothing_and_overtake_nothing(line: Line) -> None:
    """A cancellation never comes before its call."""
    line.put_calls(1)
    line.put_calls(2)
    line.put(2)
    line.put_calls(3)
    line.put(3)

    assert said(line.take()) == [
        (Kind.CALLS, [1]),
        (Kind.CALLS, [2]),
        (Kind.CANCEL, [2]),
        (Kind.CALLS, [3]),
        (Kind.CANCEL, [3]),
    ]


def test_many_calls_wait_for_no_company(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are worth a system call, and keep the worker busy."""
    monkeypatch.setattr(_outbox, "MOST_HELD", 3)
    line.put_calls(1)
    for number in (2, 3, 4):
        line.put_calls(number)
    assert said(line.take()) == [(Kind.CALLS, [1])]

    line.put_calls(5)

    assert said(line.take()) == [(Kind.CALLS, [2, 3, 4, 5])]


def test_large_calls_wait_for_no_company(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do those that were put in before them."""
    monkeypatch.setattr(_outbox, "MOST_HELD_BYTES", 100)
    line.put_calls(1)
    line.put_calls(2)
    line.put_calls(3, size=101)

    assert said(line.take()) == [(Kind.CALLS, [1]), (Kind.CALLS, [2, 3])]


def test_frames_of_calls_are_limited(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their number, and by their bytes unless it is one alone: two that fit may not fit together."""
    monkeypatch.setattr(_outbox, "FRAME_BYTES", 100)
    monkeypatch.setattr(_outbox, "MOST_CALLS", 3)
    line.put_calls(1)
    line.put_calls(2, 3, 4, 5)
    line.put_calls(6, size=60)
    line.put_calls(7, size=41)
    line.put_calls(8, size=500)
    line.put_calls(9, size=10)

    line.answer(1)

    assert said(line.take()) == [
        (Kind.CALLS, [1]),
        (Kind.CALLS, [2, 3, 4]),
        (Kind.CALLS, [5, 6]),
        (Kind.CALLS, [7]),
        (Kind.CALLS, [8]),
        (Kind.CALLS, [9]),
    ]


def test_a_full_socket_is_handed_over_and_resumed(line: Line) -> None:
    """The rest goes out piece by piece, and what was put in meanwhile after it."""
    line.put(1, size=300_000)
    assert line.handed_over.is_set()
    line.put_calls(2)
    line.put(2)
    line.outbox.flush()

    resumes = 0
    frames = line.take(10_000)
    while line.outbox.is_full:
        resumes += 1
        line.outbox.resume()
        frames += line.take(10_000)
    frames += line.take_all()

    assert said(frames) == [(Kind.CANCEL, [1]), (Kind.CALLS, [2]), (Kind.CANCEL, [2])]
    assert len(frames[0].payloads[0]) == 300_000
    assert resumes > 10


@given(
    sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=8),
    reads=st.lists(st.integers(1, 40_000), max_size=20),
)
def test_however_the_socket_takes_it_all_arrives_as_it_was(sizes: list[int], reads: list[int]) -> None:
    """Each payload with its own bytes, in order."""
    line = Line()
    payloads = [(bytes([index + 1]) * size) for index, size in enumerate(sizes)]
    frames: list[Frame] = []

    for index, payload in enumerate(payloads):
        line.outbox.put(encode(Kind.DONE, [call(index, payload), call(index, payload[:10])]))
        if reads:
            frames += line.take(reads.pop())
            line.outbox.resume()
    frames += line.take_all()

    received = [[bytes(payload) for payload in frame.payloads] for frame in frames]
    assert received == [[payload, payload[:10]] for payload in payloads]
    line.close()


def test_a_broken_line_takes_everything_and_says_nothing(line: Line) -> None:
    """Whoever reads it hears of that; who sends goes on, and nothing is kept."""
    line.put(1, size=300_000)
    line.far.close()

    line.outbox.resume()
    for number in range(2, 10):
        line.put(number)
        line.put_calls(number)
    line.outbox.flush()

    assert not line.outbox._items
    assert not line.outbox._pieces


def test_after_close_nothing_is_sent(line: Line) -> None:
    """What could not be sent is forgotten, for the number of the socket may be another file's soon."""
    line.put(1, size=300_000)
    while line.take():
        pass
    line.outbox.close()
    line.take()

    line.put(2)
    line.put_calls(3)
    line.outbox.flush()

    assert not select.select([line.far], [], [], 0)[0]


@pytest.mark.parametrize("size", [0, 5_000], ids=["small", "large"])
def test_many_threads_at_once(line: Line, size: int) -> None:
    """The stream stays whole, nothing is missing, and what each thread puts in keeps its order."""
    threads_count, each = 6, 200
    barrier = threading.Barrier(threads_count)

    def put(thread: int) -> None:
        barrier.wait()
        for number in range(each):
            line.put(thread * each + number, size=size)

    threads = [threading.Thread(target=put, args=(thread,)) for thread in range(threads_count)]
    for thread in threads:
        thread.start()
    numbers = line.carry(threads_count * each)
    for thread in threads:
        thread.join(PATIENCE)

    assert sorted(numbers) == list(range(threads_count * each))
    for index in range(threads_count):
        own = [number for number in numbers if number // each == index]
        assert own == sorted(own)
