"""The outcomes that a worker in another process sends back: how many go into one frame."""

from __future__ import annotations

import asyncio
import socket
from contextvars import Context
from typing import TYPE_CHECKING

import pytest

from polyloop import _replies
from polyloop._codec import Decoder, Kind
from polyloop._dispatch import Dispatch
from polyloop._errors import PoolClosed
from polyloop._messages import Call
from polyloop._outbox import Outbox
from polyloop._replies import Replies
from tests._idle_calls import silent_roster
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The worker's loop."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def line(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Replies, socket.socket]]:
    """A worker's replies, with two calls to answer for, and the pool's end of the line."""
    near, far = socket.socketpair()
    home = Dispatch(silent_roster(1), lambda: PoolClosed("not open"))
    near.setblocking(False)
    far.setblocking(False)
    replies = Replies(loop, Outbox(near, lambda: None))
    for number in (1, 2):
        replies.expect(number, Call(home, nothing, (), {}, Context()))
    yield replies, far
    near.close()
    far.close()


@pytest.mark.parametrize(
    ("sizes", "frames"),
    [((30, 30), [[1, 2]]), ((60, 41), [[1], [2]]), ((0, 200), [[1], [2]]), ((200, 0), [[1], [2]])],
)
def test_outcomes_share_a_frame_unless_that_is_large(
    line: tuple[Replies, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    sizes: tuple[int, int],
    frames: list[list[int]],
) -> None:
    """A result that just fits into a frame is not put into one with others, where it would not."""
    monkeypatch.setattr(_replies, "MOST_WAITING_BYTES", 100)
    replies, far = line

    for number, size in enumerate(sizes, 1):
        replies.add(number, 0, (bytes(size),), size)
    replies.flush()

    sent = Decoder().feed(far.recv(1 << 16))
    assert [(frame.kind, list(frame.numbers)) for frame in sent] == [
        (Kind.DONE, numbers) for numbers in frames
    ]


def test_held_outcomes_go_with_who_takes_them(
    loop: asyncio.AbstractEventLoop, line: tuple[Replies, socket.socket]
) -> None:
    """They are not sent by the loop; what comes after a flush is."""
    replies, far = line
    replies.hold()
    replies.settle_cancelled(1)
    loop.run_until_complete(asyncio.sleep(0))

    [held] = Decoder().feed(b"".join(replies.take()))
    replies.flush()
    replies.settle_cancelled(2)
    loop.run_until_complete(asyncio.sleep(0))

    [sent] = Decoder().feed(far.recv(1 << 16))
    assert (held.kind, held.numbers, sent.numbers) == (Kind.DONE, (1,), (2,))
    assert replies.take() == []
