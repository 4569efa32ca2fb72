"""What runs in a worker's process: it gets ready, is told who it is, and becomes a `FrameWorker`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from multiprocessing import process, spawn
from typing import TYPE_CHECKING, Any

from ._codec import Decoder, Frame, Kind, encode
from ._executors import Executors
from ._frame_worker import FrameWorker
from ._local import Worker
from ._loop_life import checked_loop
from ._packed_errors import pack_error
from ._packing import unpack
from ._place import greeting

if TYPE_CHECKING:
    from types import FrameType

    from ._codec import Entry

__all__ = ["main"]

# How long what runs may take to clean up once the pool's process is gone, in seconds.
ORPHAN_SECONDS = 0.8


def main(number: int, parent: int) -> None:
    """The whole life of the process.

    Args:
        number: The descriptor of its end of the line.
        parent: The process of the pool.
    """
    # Ctrl-C reaches all processes of a terminal; what it means is the pool's to decide. Not SIG_IGN: what is
    # started here would inherit that.
    signal.signal(signal.SIGINT, _take_no_notice)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the pool blocks it until here
    os.set_inheritable(number, False)
    threading.Thread(target=_outlive, args=(parent,), name="polyloop-orphan-watch", daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        # Whole lines, each in one write: several processes have the same terminal.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    sock = socket.socket(fileno=number)
    hello = greeting().encode()
    try:
        _tell(sock, Kind.HELLO, (0, 0, (hello,), len(hello)))
        worker = _made(sock)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the pool's opener has to hear of it
        with contextlib.suppress(OSError):  # there is no pool any more
            _tell(sock, Kind.FAILED, (0, *pack_error(error)))
        sock.close()
        return
    worker.run()


def _tell(sock: socket.socket, kind: Kind, entry: Entry) -> None:
    sock.sendall(b"".join(encode(kind, [entry])))


def _made(sock: socket.socket) -> FrameWorker:
    decoder = Decoder()
    frames: list[Frame] = []
    while not frames:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the pool is gone")
        frames = decoder.feed(data)
    setup, *early = frames
    about, *needs = zip(setup.payloads, setup.tags, strict=True)
    preparation, (index, generation, name, loops) = unpack(*about)
    _prepare_main(preparation)
    loop_factory, lifespan = (unpack(*need) for need in needs)
    worker = Worker(index, generation, name=name, backend="process", loops=loops, home=None)
    executors = Executors(name)
    loop = checked_loop(loop_factory if loop_factory is not None else executors.make_loop)
    executors.share(loop)
    return FrameWorker(sock, worker, loop, lifespan, decoder=decoder, early=early)


def _prepare_main(preparation: dict[str, Any]) -> None:
    """Import the main module under another name, as multiprocessing does."""
    current = process.current_process()
    # By this multiprocessing knows a main module that starts processes while it is imported, and says so.
    current._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(preparation)
    finally:
        del current._inheriting  # type: ignore[attr-defined]


def _take_no_notice(_number: int, _frame: FrameType | None) -> None:
    """Of Ctrl-C."""


def _outlive(parent: int) -> None:
    """End this process soon after its parent, also when the loop is blocked and hears of nothing."""
    if hasattr(os, "pidfd_open"):
        try:
            poll = select.poll()
            poll.register(os.pidfd_open(parent), select.POLLIN)
            poll.poll()
        except ProcessLookupError:
            pass  # it is gone by now
    else:
        return
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(1)
