"""The outcomes that a worker in another process sends back: how many go into one frame."""

from __future__ import annotations

import asyncio
import socket
from contextvars import Context
from typing import TYPE_CHECKING

import pytest

from polyloop import _frame_worker
from polyloop._codec import Decoder, Kind
from polyloop._frame_worker import FrameWorker
from polyloop._local import Worker
from polyloop._messages import Call
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def line() -> Iterator[tuple[FrameWorker, socket.socket]]:
    """A worker that runs nothing but has two calls to answer for, and the pool's end of its line."""
    near, far = socket.socketpair()
    loop = asyncio.new_event_loop()
    worker = FrameWorker(
        near,
        Worker(0, 0, name="w", backend="process", loops=1, home=None),
        loop,
        None,
        decoder=Decoder(),
        early=(),
    )
    for number in (1, 2):
        worker._calls[number] = Call(worker, nothing, (), {}, Context())
    yield worker, far
    loop.close()
    near.close()
    far.close()


@pytest.mark.parametrize(
    ("sizes", "frames"),
    [((30, 30), [[1, 2]]), ((60, 41), [[1], [2]]), ((0, 200), [[1], [2]]), ((200, 0), [[1], [2]])],
)
def test_outcomes_share_a_frame_unless_that_is_large(
    line: tuple[FrameWorker, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    sizes: tuple[int, int],
    frames: list[list[int]],
) -> None:
    """A result that just fits into a frame is not put into one with others, where it would not."""
    monkeypatch.setattr(_frame_worker, "MOST_WAITING_BYTES", 100)
    worker, far = line

    for number, size in enumerate(sizes, 1):
        worker._reply(number, 0, (bytes(size),), size)
    worker._flush()

    sent = Decoder().feed(far.recv(1 << 16))
    assert [(frame.kind, list(frame.numbers)) for frame in sent] == [
        (Kind.DONE, numbers) for numbers in frames
    ]
