"""The pool's end of the line to a worker that lives in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self

from polyloop._call_unpacker import CallUnpacker
from polyloop._codec import Decoder, Frame, Kind, encode
from polyloop._frame_worker import FrameWorker
from polyloop._inlet import Inlet
from polyloop._local import Worker
from polyloop._packing import Packer
from polyloop._plain import encode_calls
from polyloop._setup import as_it_is
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop._codec import Bytes, Entry

__all__ = ["RUNS", "Line"]

RUNS: list[int] = []


async def run(number: int) -> int:
    """Note that it has run."""
    RUNS.append(number)
    return number


class TalkativeWorker(FrameWorker):
    """A worker that says when its loop runs no more."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.has_ended = threading.Event()
        super().__init__(*args, **options)

    def _say_goodbye(self, reason: BaseException | None) -> None:
        self.has_ended.set()
        super()._say_goodbye(reason)


class Line:
    """The pool's end of the line to a worker that lives in a thread of this process."""

    def __init__(self) -> None:
        RUNS.clear()
        self._near, far = socket.socketpair()
        self._near.settimeout(PATIENCE)
        self._far = far
        self._packer = Packer("another process", is_by_value=False)
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        who = Worker(0, 0, name="w", backend="process", loops=1, home=None)
        self._loop = asyncio.new_event_loop()
        worker = TalkativeWorker(
            far, who, self._loop, None, inlet=Inlet(far), early=[], unpacker=CallUnpacker("process", as_it_is)
        )
        self._thread = threading.Thread(target=worker.run)
        self.has_ended = worker.has_ended

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.read().kind is Kind.READY
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._near.close()
        self._thread.join(PATIENCE)

    def fill(self) -> None:
        """Fill the line as if the worker had sent much that nobody has read."""
        filling = b"".join(map(bytes, encode(Kind.PONG)))
        with contextlib.suppress(BlockingIOError):
            while True:
                assert self._far.send(filling, socket.MSG_DONTWAIT) == len(filling)

    def call(self, *numbers: int) -> None:
        """Hand down calls."""
        self.send(self.calls(*numbers))

    def calls(self, *numbers: int) -> list[Bytes]:
        """A frame of calls."""
        entries = [(n, *self._packer.pack_call(run, (n,), {}, None)) for n in numbers]
        return encode_calls(entries)

    def send(self, *frames: list[Bytes]) -> None:
        """Hand down frames, all at once."""
        self._near.sendall(b"".join([part for frame in frames for part in frame]))

    def leave(self) -> None:
        """Tell it to leave."""
        self._send(Kind.LEAVE, (0, 0, (struct.pack("<d", PATIENCE),), 8))

    def _send(self, kind: Kind, *entries: Entry) -> None:
        self._near.sendall(b"".join(map(bytes, encode(kind, entries))))

    def turn(self) -> None:
        """Wait until the worker's loop has read what was sent, and has done what follows from it."""
        for _ in range(5):
            is_over = threading.Event()
            self._loop.call_soon_threadsafe(is_over.set)
            assert is_over.wait(PATIENCE)

    def read(self) -> Frame:
        """The next frame that is no filling."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.kind is not Kind.PONG:
                    return frame
            self._frames += self._decoder.feed(self._near.recv(1 << 16))
