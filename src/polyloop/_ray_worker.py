"""What runs in a worker's Ray actor: a `FrameWorker` in a thread of its own, and the way for its bytes."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from ._place import greeting
from ._setup import as_it_is, run_worker
from ._threads import daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Host", "InOrder"]

# Of one answer. What comes from the worker meanwhile waits in the socket, and is one answer then.
MOST_BYTES = 1 << 20


class Host:
    """The actor. Its loop is not Ray's, which a call that blocks would stop: the worker has its own."""

    def __init__(self) -> None:
        self._near, far = socket.socketpair()
        self._down = InOrder(self._near.sendall)
        self._words = 0
        daemon_thread(run_worker, "polyloop", far, "ray", _prepare, as_it_is).start()

    def ready(self) -> str:
        """What there is here. It stays what it is in all versions: before anything else, it is compared."""
        return greeting()

    def take(self, number: int, data: bytes) -> None:
        """Bytes for the worker.

        Args:
            number: Of these, from 0.
            data: Them.
        """
        with contextlib.suppress(OSError):  # the worker has gone, and has said why
            self._down.put(number, data)

    def word(self) -> tuple[int, bytes]:
        """Bytes from the worker, when there are any, and their number, from 0; none after its last."""
        data = self._near.recv(MOST_BYTES)
        number = self._words
        self._words += 1
        return number, data


class InOrder:
    """Puts in order what comes with numbers, from 0: calls of actors with threads may come in any order.

    Args:
        send: Given the bytes, in order.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._next = 0
        self._early: dict[int, bytes] = {}

    def put(self, number: int, data: bytes) -> None:
        """Send it, and what has waited for it, if it is the next one."""
        self._early[number] = data
        while self._next in self._early:
            self._send(self._early.pop(self._next))
            self._next += 1


def _prepare(_: object) -> None:
    """Nothing: what calls need is there because the cluster has it, or Ray's ``runtime_env`` brings it."""
