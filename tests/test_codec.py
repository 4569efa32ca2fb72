"""Frames: what is encoded is decoded however it is cut, and what is no frame does no harm."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyloop._codec import (
    HEADER_BYTES,
    MOST_BYTES,
    MOST_ENTRIES,
    BrokenFrame,
    Decoder,
    Entry,
    Frame,
    Kind,
    encode,
)
from tests._clock import own_time
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENTRIES = st.tuples(
    st.integers(0, 2**64 - 1), st.integers(0, 255), st.lists(st.binary(max_size=40), max_size=3)
).map(lambda entry: (*entry, sum(map(len, entry[2]))))
FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.lists(ENTRIES, max_size=5)), max_size=4)
CUTS = st.lists(st.integers(1, 60), max_size=20)

Said = tuple[Kind, list[tuple[int, int, bytes]]]


def as_said(kind: Kind, entries: Sequence[Entry]) -> Said:
    """What was to be sent, to compare."""
    return kind, [(number, tag, b"".join(parts)) for number, tag, parts, _ in entries]


def as_heard(frame: Frame) -> Said:
    """What has arrived, to compare."""
    return frame.kind, list(zip(frame.numbers, frame.tags, map(bytes, frame.payloads), strict=True))


def in_bytes(frames: Sequence[tuple[Kind, Sequence[Entry]]]) -> bytes:
    """All of them, one after the other."""
    return b"".join(part for kind, entries in frames for part in encode(kind, entries))


def cut(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The same bytes in pieces of these lengths, and the rest."""
    start = 0
    for length in cuts:
        yield data[start : start + length]
        start += length
    yield data[start:]


def header(
    *, magic: bytes = b"pl", version: int = 1, kind: int = Kind.PING, count: int = 0, size: int = 0
) -> bytes:
    """The header of a frame, right or wrong."""
    return struct.pack("<2sBBIQ", magic, version, kind, count, size)


@given(frames=FRAMES, cuts=CUTS)
def test_what_is_encoded_is_decoded_however_it_is_cut(
    frames: list[tuple[Kind, list[Entry]]], cuts: list[int]
) -> None:
    """The same kinds, numbers, tags and payloads, in the same order, and nothing is left over."""
    decoder = Decoder()

    heard = [as_heard(frame) for piece in cut(in_bytes(frames), cuts) for frame in decoder.feed(piece)]

    assert heard == [as_said(*frame) for frame in frames]
    assert decoder.is_between_frames


@given(frames=FRAMES.filter(bool), data=st.data())
def test_a_frame_that_is_cut_off_is_waited_for(
    frames: list[tuple[Kind, list[Entry]]], data: st.DataObject
) -> None:
    """Without its last bytes the last frame is not there yet, and those before it are."""
    decoder = Decoder()
    last = len(in_bytes(frames[-1:]))
    missing = data.draw(st.integers(1, last))

    heard = decoder.feed(in_bytes(frames)[:-missing])

    assert len(heard) == len(frames) - 1
    assert decoder.is_between_frames is (missing == last)


def test_payloads_can_be_written_to_and_are_nobody_elses() -> None:
    """Arrays made of a payload keep it, whatever is decoded later, and may be changed."""
    decoder = Decoder()
    data = in_bytes([(Kind.CALLS, [(1, 0, (b"abc",), 3)])])

    [first] = decoder.feed(data)
    first.payloads[0][0] = ord("x")
    [second] = decoder.feed(data)

    assert bytes(first.payloads[0]) == b"xbc"
    assert bytes(second.payloads[0]) == b"abc"


class Damage(NamedTuple):
    """Something done to the bytes of good frames."""

    at: int
    flips: int
    inserted: bytes
    dropped: int

    def __call__(self, data: bytes) -> bytes:
        """The bytes, damaged."""
        at = self.at % (len(data) + 1)
        there = bytearray(data[at:])
        if there:
            there[0] ^= self.flips
        return data[:at] + self.inserted + bytes(there[self.dropped :])


HEADERS = st.builds(
    header,
    magic=st.just(b"pl") | st.binary(min_size=2, max_size=2),
    version=st.just(1) | st.integers(0, 255),
    kind=st.sampled_from([int(kind) for kind in Kind]) | st.integers(0, 255),
    count=st.integers(0, 3) | st.integers(0, 2**32 - 1),
    size=st.integers(0, 60) | st.integers(0, 2**64 - 1),
)
DAMAGES = st.builds(
    Damage,
    at=st.integers(0, 500),
    flips=st.integers(0, 255),
    inserted=st.binary(max_size=30) | HEADERS,
    dropped=st.integers(0, 40),
)
GARBAGE = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda head, rest: head + rest, HEADERS, st.binary(max_size=120)),
    st.builds(
        lambda frames, damages, again: _damaged(in_bytes(frames), damages) * again,
        FRAMES,
        st.lists(DAMAGES, min_size=1, max_size=3),
        st.integers(1, 2),
    ),
)


def _damaged(data: bytes, damages: Sequence[Damage]) -> bytes:
    for damage in damages:
        data = damage(data)
    return data


@given(data=GARBAGE, cuts=CUTS)
@example(data=header(count=2**32 - 1, size=2**32 * 17), cuts=[])
@example(data=header(count=0, size=1), cuts=[])
def test_any_bytes_are_frames_or_waited_for_or_broken(data: bytes, cuts: list[int]) -> None:
    """Nothing but BrokenFrame is ever raised, and no more is heard than was sent."""
    decoder = Decoder()
    frames: list[Frame] = []

    for piece in cut(data, cuts):
        try:
            frames += decoder.feed(piece)
        except BrokenFrame as error:
            frames += error.frames
            break

    assert len(in_bytes([(frame.kind, _entries(frame)) for frame in frames])) <= len(data)


def _entries(frame: Frame) -> list[Entry]:
    return [
        (number, tag, (payload,), len(payload))
        for number, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True)
    ]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (header(magic=b"GE"), "begins with b'pl', and here it is b'GE'"),
        (header(version=2), "is of version 2, and this library speaks version 1"),
        (header(kind=99), "no kind of frame with the number 99"),
        (header(size=1), "a frame of 1 bytes cannot have a table of 0 entries"),
        (header(count=2, size=33), "a frame of 33 bytes cannot have a table of 2 entries"),
        (header(count=1, size=MOST_BYTES + 18), "cannot have a table of 1 entries"),
        (header(count=MOST_ENTRIES + 1, size=17 * MOST_ENTRIES + 17), "cannot have a table of"),
        (header(count=1, size=18) + bytes(18), "have 0 bytes together, and it has 1"),
        (header(count=1, size=17) + bytes(8) + b"\xff" * 8 + b"\0", "and it has 0"),
    ],
)
def test_what_is_broken_is_named_as_soon_as_it_is_seen(data: bytes, complaint: str) -> None:
    """The message says what is wrong; a wrong header is not waited for to be followed by its body."""
    with pytest.raises(BrokenFrame, match=complaint):
        Decoder().feed(data)


def test_frames_before_a_broken_one_are_not_lost() -> None:
    """They may be outcomes that nobody will send again."""
    good = in_bytes([(Kind.DONE, [(7, 0, (b"abc",), 3)]), (Kind.PONG, [])])

    with pytest.raises(BrokenFrame) as caught:
        Decoder().feed(good + header(kind=99) + good)

    assert [as_heard(frame) for frame in caught.value.frames] == [
        (Kind.DONE, [(7, 0, b"abc")]),
        (Kind.PONG, []),
    ]


def test_after_a_broken_frame_nothing_is_understood_any_more() -> None:
    """Where the next frame would begin nobody knows: good ones are refused too, and nothing is kept."""
    decoder = Decoder()
    with pytest.raises(BrokenFrame, match="number 99"):
        decoder.feed(header(kind=99) + bytes(10_000))

    for _ in range(2):
        with pytest.raises(BrokenFrame, match="number 99") as caught:
            decoder.feed(header())
        assert not caught.value.frames
    assert decoder.is_between_frames


@pytest.mark.parametrize("size", [MOST_BYTES, 2**62])
def test_no_memory_is_taken_for_what_is_announced(size: int) -> None:
    """A header that promises much costs no more than its bytes, whether it is believed or not."""
    decoder = Decoder()
    data = header(count=1, size=size) + bytes(1000)
    tracemalloc.start()
    try:
        try:
            decoder.feed(data)
        except BrokenFrame:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20_000


def test_memory_follows_what_has_arrived() -> None:
    """A large frame is held while it arrives and not afterwards, with one copy of it for the payloads."""
    size = 4 << 20
    decoder = Decoder()
    data = in_bytes([(Kind.CALLS, [(1, 0, (bytes(size),), size)])])
    pieces = [data[start : start + (1 << 18)] for start in range(0, len(data), 1 << 18)]
    tracemalloc.start()
    try:
        for count, piece in enumerate(pieces[:-1], 1):
            assert not decoder.feed(piece)
            # A bytearray makes room for an eighth more than it has.
            assert tracemalloc.get_traced_memory()[0] < 1.2 * count * len(piece) + 20_000
        frames = decoder.feed(pieces[-1])
        _, peak = tracemalloc.get_traced_memory()
        assert len(frames[0].payloads[0]) == size
        del frames
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2.3 * len(data)
    assert held < 20_000


@given(data=GARBAGE)
def test_garbage_is_refused_at_once(data: bytes) -> None:
    """Scorecard item 31: any bytes, a clean error or none, within 10 ms."""
    elapsed = min(_seconds_for(data) for _ in range(3))

    assert elapsed < 0.010


def _seconds_for(data: bytes) -> float:
    decoder = Decoder()
    begin = own_time()
    try:
        decoder.feed(data)
    except BrokenFrame:
        pass
    return own_time() - begin


def test_memory_of_a_frame_that_is_all_table() -> None:
    """Scorecard item 31: each entry costs a few objects, however little the frame has of it."""
    count = 10_000
    data = in_bytes([(Kind.DONE, [(number, 0, (), 0) for number in range(count)])])
    tracemalloc.start()
    try:
        [frame] = Decoder().feed(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(frame.payloads) == count
    ratio = peak / (len(data) - HEADER_BYTES)
    report(31, f"a frame that is all table takes {ratio:.0f} times its bytes while it is read")
    assert ratio < 40
