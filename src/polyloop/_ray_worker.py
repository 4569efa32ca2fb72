"""What runs in a worker's Ray actor: a `FrameWorker` in a thread of its own, and the way for its bytes."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from ._setup import as_it_is, run_worker
from ._threads import daemon_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Host"]

# Of one answer. What comes from the worker meanwhile waits in the socket, and is one answer then.
MOST_BYTES = 1 << 20


class Host:
    """The actor. Its loop is not Ray's, which a call that blocks would stop: the worker has its own."""

    def __init__(self) -> None:
        self._near, far = socket.socketpair()
        self._next = 0
        self._early: dict[int, bytes] = {}
        daemon_thread(run_worker, "polyloop", far, "ray", _prepare, as_it_is).start()

    def ready(self) -> None:
        """Say that it is there."""

    def take(self, number: int, data: bytes) -> None:
        """Bytes for the worker.

        Args:
            number: Of these, from 0: calls of actors with threads may come in any order.
            data: Them.
        """
        self._early[number] = data
        with contextlib.suppress(OSError):  # the worker has gone, and has said why
            while self._next in self._early:
                self._near.sendall(self._early.pop(self._next))
                self._next += 1

    def words(self) -> Iterator[bytes]:
        """Bytes from the worker, as they come, until it has said its last."""
        while data := self._near.recv(MOST_BYTES):
            yield data


def _prepare(_: object) -> None:
    """Nothing: what calls need is there because the cluster has it, or Ray's ``runtime_env`` brings it."""
