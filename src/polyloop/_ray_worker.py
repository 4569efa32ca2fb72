"""What runs in a worker's Ray actor: a `FrameWorker` in a thread of its own, and the way for its bytes."""

from __future__ import annotations

import contextlib
import importlib
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from ._place import greeting
from ._ray_refs import arrive, lend_to
from ._setup import as_it_is, run_worker
from ._threads import daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Host", "InOrder", "taken"]

# Of one answer. What comes from the worker meanwhile waits in the socket, and is one answer then.
MOST_BYTES = 1 << 20


class Host:
    """The actor. Its loop is not Ray's, which a call that blocks would stop: the worker has its own."""

    def __init__(self) -> None:
        self._near, far = socket.socketpair()
        self._down = InOrder(self._near.sendall)
        self._words = 0
        self._lent: deque[Any] = deque()
        lend_to(importlib.import_module("ray"), self._lent.extend)
        daemon_thread(run_worker, "polyloop", far, "ray", _prepare, as_it_is).start()

    def ready(self) -> str:
        """What there is here. It stays what it is in all versions: before anything else, it is compared."""
        return greeting()

    def take(self, number: int, data: bytes, refs: Sequence[Any] = ()) -> None:
        """Bytes for the worker.

        Args:
            number: Of these, from 0.
            data: Them.
            refs: What was lent with them.
        """
        with contextlib.suppress(OSError):  # the worker has gone, and has said why
            self._down.put(number, data, refs)

    def word(self) -> tuple[int, bytes, Sequence[Any]]:
        """Bytes from the worker, when there are any, their number, from 0, and what is lent with them.

        No bytes after its last ones.
        """
        data = self._near.recv(MOST_BYTES)
        number = self._words
        self._words += 1
        return number, data, taken(self._lent)


class InOrder:
    """Puts in order what comes with numbers, from 0: calls of actors with threads may come in any order.

    Args:
        send: Given the bytes, in order.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._next = 0
        self._early: dict[int, tuple[bytes, Sequence[Any]]] = {}

    def put(self, number: int, data: bytes, refs: Sequence[Any]) -> None:
        """Send it, and what has waited for it, if it is the next one; what it was lent arrives before."""
        self._early[number] = data, refs
        while self._next in self._early:
            data, refs = self._early.pop(self._next)
            arrive(refs)
            self._send(data)
            self._next += 1


def taken(lent: deque[Any]) -> list[Any]:
    """What was lent so far, which is taken out."""
    return [lent.popleft() for _ in range(len(lent))]


def _prepare(_: object) -> None:
    """Nothing: what calls need is there because the cluster has it, or Ray's ``runtime_env`` brings it."""
