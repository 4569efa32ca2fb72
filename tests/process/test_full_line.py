"""A worker whose line is full, because its pool does not read: what it cannot tell of does not begin."""

from __future__ import annotations

import asyncio
import socket

import pytest

from polyloop._call_unpacker import CallUnpacker
from polyloop._codec import CANCELLED, Kind
from polyloop._frame_worker import FrameWorker
from polyloop._inlet import Inlet
from polyloop._local import Worker
from polyloop._setup import as_it_is
from tests._gate import PATIENCE
from tests.process._line import RUNS, Line


@pytest.mark.parametrize("calls", [1, 5])
def test_no_call_begins_before_that_was_told(calls: int) -> None:
    """When the word that calls start does not fit in, they start only once it does."""
    with Line() as line:
        line.fill()
        line.call(*range(1, calls + 1))
        line.turn()
        assert RUNS == []

        assert line.read().kind is Kind.STARTED

        line.leave()
        while line.read().kind is not Kind.LEFT:
            pass
    assert list(range(1, calls + 1)) == RUNS


def test_what_was_announced_and_has_not_begun_is_cancelled_when_it_leaves() -> None:
    """It never starts then, and its pool is told so."""
    with Line() as line:
        line.fill()
        line.call(1)
        line.turn()
        line.leave()
        assert line.has_ended.wait(PATIENCE)

        frames = [line.read()]
        while frames[-1].kind is not Kind.LEFT:
            frames.append(line.read())

    assert [frame.kind for frame in frames] == [Kind.STARTED, Kind.DONE, Kind.LEFT]
    assert frames[1].tags[0] & 0xF0 == CANCELLED
    assert RUNS == []


def test_a_full_line_is_watched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads find it full before the loop gets to it; and again when it is full once more."""
    near, far = socket.socketpair()
    loop = asyncio.new_event_loop()
    who = Worker(0, 0, name="w", backend="process", loops=1, home=None)
    worker = FrameWorker(
        far, who, loop, None, inlet=Inlet(far), early=[], unpacker=CallUnpacker("process", as_it_is)
    )
    watched: list[object] = []
    monkeypatch.setattr(loop, "add_writer", lambda *args: watched.append(args))

    for _ in range(2):
        worker._watch_for_room()
        worker._watch_for_room()
        loop.call_soon(loop.stop)
        loop.run_forever()
        worker._on_writable()

    assert len(watched) == 2
    loop.close()
    near.close()
    far.close()
