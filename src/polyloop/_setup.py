"""A worker elsewhere from its first word to its last: it greets its pool, is told who it is, and is that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ._call_unpacker import CallUnpacker
from ._carry import ContextUnpacker
from ._codec import Frame, Kind, encode
from ._executors import Executors
from ._frame_worker import FrameWorker
from ._inlet import Inlet
from ._local import Worker
from ._loop_life import checked_loop
from ._packed_errors import pack_error
from ._packing import unpack
from ._place import greeting
from ._printing import write_whole_lines
from ._variables import find_variable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ._codec import Entry

__all__ = ["as_it_is", "run_worker"]


def run_worker(
    sock: socket.socket,
    backend: str,
    prepare: Callable[[Any], None],
    explain: Callable[[BaseException], BaseException],
) -> None:
    """Be a worker until it has left, or its pool is gone.

    Args:
        sock: Its end of the line. It is closed in the end.
        backend: The kind of place that this is.
        prepare: Given what the backend has to say, makes that everything can be unpacked here.
        explain: Says of an error while something is unpacked what it means here.
    """
    write_whole_lines()
    hello = greeting().encode()
    try:
        _tell(sock, Kind.HELLO, (0, 0, (hello,), len(hello)))
        worker, executors = _made(sock, backend, prepare, explain)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the pool's opener has to hear of it
        with contextlib.suppress(OSError):  # there is no pool any more
            _tell(sock, Kind.FAILED, (0, *pack_error(explain(error))))
        sock.close()
        return
    try:
        worker.run()
    finally:
        executors.close()


def as_it_is(error: BaseException) -> BaseException:
    """What an error means where errors mean the same as in the pool's process: for `run_worker`."""
    return error


def _tell(sock: socket.socket, kind: Kind, entry: Entry) -> None:
    sock.sendall(b"".join(encode(kind, [entry])))


def _made(
    sock: socket.socket,
    backend: str,
    prepare: Callable[[Any], None],
    explain: Callable[[BaseException], BaseException],
) -> tuple[FrameWorker, Executors]:
    inlet = Inlet(sock)
    frames: list[Frame] = []
    while not frames:
        if not inlet.read(frames.append):
            raise ConnectionError("the pool is gone")
    setup, *early = frames
    about, *needs = zip(setup.payloads, setup.tags, strict=True)
    preparation, (index, generation, name, loops), carry, levels = unpack(*about)
    prepare(preparation)
    loop_factory, lifespan = (unpack(*need) for need in needs)
    contexts = ContextUnpacker([find_variable(name) for name in carry]) if carry else None
    worker = Worker(index, generation, name=name, backend=backend, loops=loops, home=None)
    executors = Executors(name)
    loop = checked_loop(loop_factory if loop_factory is not None else executors.make_loop)
    executors.share(loop)
    return (
        FrameWorker(
            sock,
            worker,
            loop,
            lifespan,
            inlet=inlet,
            early=early,
            unpacker=CallUnpacker(backend, explain, contexts),
            levels=levels,
        ),
        executors,
    )
