"""Calls and outcomes of plain data: what is plain, and that many of them cross as one message."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import pytest

from polyloop._codec import Decoder
from polyloop._packing import Packer, divide
from polyloop._plain import MOST_BYTES, PLAIN, encode_calls, plain_size, split
from tests._calls import double, zero_at_once
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop._codec import Entry
    from tests._open_pool import OpenPool

# What is plain, and what is next to it and is not.
PLAIN_DATA: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    (1 << 63) - 1,
    -0.0,
    math.inf,
    1e-320,
    "",
    "\udc80 and \U0001f600",
    b"\x00\xff",
    "x" * 1000,
]
OTHER_DATA: list[Any] = [
    1 << 63,
    10**4000,
    "x" * MOST_BYTES,
    bytes(MOST_BYTES),
    bytearray(b"x"),
    (1, 2),
    [None],
    {"a": 1},
    1j,
]


class Text(str):
    """A string that is not plain: it may have attributes, and a way of its own to be pickled."""

    __slots__ = ("more",)


class Colour(IntEnum):
    """Integers that are not plain."""

    RED = 1


@pytest.mark.parametrize("value", PLAIN_DATA, ids=repr)
def test_what_is_plain(value: object) -> None:
    """Numbers, short text and the like."""
    assert 0 < plain_size([value]) <= MOST_BYTES


@pytest.mark.parametrize("value", [*OTHER_DATA, Text("x"), Colour.RED], ids=lambda value: repr(value)[:30])
def test_what_is_not(value: object) -> None:
    """What is large, what can change, what has a class of its own."""
    assert plain_size([value]) == 0
    assert plain_size([1, value]) == 0


def test_the_size_is_not_less_than_what_is_sent() -> None:
    """Or credit would be given that is not there."""
    packer = Packer("another process", is_by_value=False)

    for args in (tuple(PLAIN_DATA[:-1]), ("\U0001f600" * 900,), tuple(range(400))):
        frame = b"".join(encode_calls([(1, *packer.pack_call(double, args, {}, None))]))
        assert plain_size(args) + 250 > len(frame)  # the names of the function and of its module


class Line:
    """Calls on their way into a frame."""

    def __init__(self) -> None:
        self._packer = Packer("another process", is_by_value=False)
        self._calls: list[Entry] = []

    def add(self, fn: Any, *args: Any, **kwargs: Any) -> None:
        """Hand in a call."""
        self._calls.append((len(self._calls) + 1, *self._packer.pack_call(fn, args, kwargs, None)))

    def messages(self) -> list[list[int]]:
        """The numbers that each message is about, as the other end reads them."""
        [frame] = Decoder().feed(b"".join(encode_calls(self._calls)))
        return [
            split(divide(payload)[1])[0] if tag == PLAIN else [number]
            for number, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True)
        ]


def test_calls_of_one_function_share_a_message() -> None:
    """With whatever plain arguments, and without any."""
    line = Line()
    for args in ((1,), (), ("two", None), (3.0,)):
        line.add(double, *args)

    assert line.messages() == [[1, 2, 3, 4]]


def test_the_order_of_calls_stays() -> None:
    """So only those in a row are joined."""
    line = Line()
    line.add(double, 1)
    line.add(double, 2)
    line.add(zero_at_once, 3)
    line.add(double, 4)
    line.add(double, [5])
    line.add(double, 6, times=2)
    line.add(double, 7)
    line.add(double, 8)

    assert line.messages() == [[1, 2], [3], [4], [5], [6], [7, 8]]


async def give_back(value: object) -> object:
    """The argument."""
    return value


async def give_back_with_type(value: object) -> tuple[str, str]:
    """What it is, there."""
    return type(value).__name__, repr(value)


def test_each_call_gets_its_own_arguments_and_its_own_outcome(open_pool: OpenPool) -> None:
    """Whatever is next to it in the same message, and whether it is plain or not."""
    values = [*PLAIN_DATA, *OTHER_DATA, Text("x"), Colour.RED, math.nan] * 20
    with open_pool(2) as pool:
        there = pool.map(give_back_with_type, values)
        assert list(there) == [(type(value).__name__, repr(value)) for value in values]
        back = list(pool.map(give_back, values))

    assert [(type(value), repr(value)) for value in back] == [(type(value), repr(value)) for value in values]


async def add_to_it(values: list[int]) -> int:
    """Change the argument."""
    values.append(1)
    return len(values)


@pytest.mark.backends("process", "interpreter", why="threads share the very object")
def test_what_can_change_is_not_shared_by_calls(open_pool: OpenPool) -> None:
    """Each call has a copy of its own, though they were handed in together."""
    with open_pool(2) as pool:
        assert set(pool.map(add_to_it, [[]] * 100)) == {1}


async def raise_for_odd(number: int) -> int:
    """An error for every other one."""
    if number % 2:
        raise ValueError(number)
    return number


def test_errors_among_them(open_pool: OpenPool) -> None:
    """Each is that of its own call."""
    with open_pool(2) as pool:
        outcomes = list(pool.map(raise_for_odd, range(200), errors="return"))

    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(0, 200, 2))
    errors = [outcome for outcome in outcomes if isinstance(outcome, ValueError)]
    assert [error.args for error in errors] == [(number,) for number in range(1, 200, 2)]


def test_some_of_a_burst_are_cancelled(open_pool: OpenPool) -> None:
    """The others have their values."""
    with open_pool(2, limit=50) as pool:
        futures = [pool.submit(double, number) for number in range(2000)]
        for future in futures[::3]:
            future.cancel()
        for number, future in enumerate(futures):
            assert future.wait(PATIENCE)
            assert future.cancelled() or future.result() == 2 * number
        assert not any(future.cancelled() for index, future in enumerate(futures) if index % 3)
