"""What comes over a line: frame by frame, all that is whole, and the end is told from nothing being there."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from polyloop._codec import BrokenFrame, Frame, Kind, encode
from polyloop._inlet import Inlet

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, Inlet, list[Kind]]]:
    """The far end, the near one, and the kinds of what was taken there."""
    near, far = socket.socketpair()
    with contextlib.closing(near), contextlib.closing(far):
        near.setblocking(False)
        yield far, Inlet(near), []


PING = b"".join(encode(Kind.PING))
PONG = b"".join(encode(Kind.PONG))

Line = tuple[socket.socket, Inlet, list[Kind]]


def read(inlet: Inlet, taken: list[Kind]) -> int | None:
    """Take what is there, and note of what kind it was."""

    def take(frame: Frame) -> None:
        taken.append(frame.kind)

    return inlet.read(take)


def test_frames_are_taken_when_they_are_whole(line: Line) -> None:
    """And what came of the next one is kept for it."""
    far, inlet, taken = line
    far.sendall(PING + PONG[:3])

    assert read(inlet, taken) == len(PING) + 3
    assert taken == [Kind.PING]

    far.sendall(PONG[3:])
    read(inlet, taken)
    assert taken == [Kind.PING, Kind.PONG]


def test_nothing_is_not_the_end(line: Line) -> None:
    """Nothing has arrived, and then the other end is gone."""
    far, inlet, taken = line

    assert read(inlet, taken) is None
    far.close()
    assert read(inlet, taken) == 0
    assert taken == []


def test_a_line_that_was_reset_is_at_its_end() -> None:
    """As one of a process that was killed with something unread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    with near:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()

        assert read(Inlet(near), []) == 0


def test_what_came_before_a_broken_frame_is_taken(line: Line) -> None:
    """It may be outcomes, of calls that nobody would hear of otherwise."""
    far, inlet, taken = line
    far.sendall(PING + PONG + b"?" * 100)

    with pytest.raises(BrokenFrame):
        read(inlet, taken)
    assert taken == [Kind.PING, Kind.PONG]
