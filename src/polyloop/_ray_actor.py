"""An actor as the place of a worker: calls of its methods carry what goes through its line.

Down goes what calls of `Host.take` are given, up comes what calls of `Host.word` return, a few of each at a
time: a word need not be asked for then, and who is slow to read is not sent more. (One streaming generator
was tried for the words: it has no such bound, and connects the program anew after ``ray.shutdown()``.) What
is large goes through Ray's object store, as all large arguments and results do.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._link import NoRoom
from ._place import greeting
from ._ray_calls import RayCalls
from ._ray_connection import LOOK_SECONDS, connect
from ._ray_worker import Host, InOrder, taken
from ._threads import daemon_thread
from ._version import __version__

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from ._cluster import Cluster
    from ._local import Worker
    from ._messages import Call

__all__ = ["Actor"]

# Of one call of the actor. Guesses, this and the next: what makes the price of a call small beside that of
# its bytes; enough calls to hide the way there, and few enough to push back on who sends.
MOST_BYTES = 1 << 20
MOST_CALLS = 8
# Two words, for a call that is alone has two: that it begins, and what came of it. With four under way less
# goes into each, and a map took a sixth longer.
MOST_WORDS = 2


_REMEDY = (
    f"install polyloop=={__version__} on each node of the cluster, or let Ray bring it, as with "
    f'Cluster(runtime_env={{"pip": ["polyloop=={__version__}"]}})'
)


class Actor:
    """A Ray actor: see `Place`."""

    can_be_ended = True
    may_lose_words = True

    def __init__(self, cluster: Cluster, ray: Any, lent: Sequence[Any], worker: Worker) -> None:
        self._cluster = cluster
        self._ray = ray
        self._calls = RayCalls(ray)
        self._name = worker.name
        self._is_successor = worker.generation > 0
        self._lent = deque(lent)
        self._is_unwanted = False
        self._actor: Any = None
        self._line: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._became = "actor was never started"

    def lend(self, calls: Sequence[Call]) -> None:
        """Send the references of these too, before what is written into the line from now on."""
        for call in calls:
            if call.args and not call.is_cancelling:
                self._lent.extend(call.args)

    def begin(self, sock: socket.socket, /) -> None:
        """See `Place`."""
        if self._is_successor and not self._ray.is_initialized():
            raise RuntimeError("Ray was shut down")
        deadline = monotonic() + self._cluster.patience
        connect(self._ray, self._cluster.address, deadline, lambda: self._is_unwanted)
        self._actor = self._calls.create(Host, {"down": 1, "up": 1}, self._cluster.options())
        self._wait_until_ready(deadline)
        self._became = "actor ended"
        self._line = sock.dup()
        self._line.setblocking(True)
        self._threads = [
            daemon_thread(self._carry_down, f"{self._name}-down"),
            daemon_thread(self._carry_up, f"{self._name}-up"),
        ]
        for thread in self._threads:
            thread.start()

    def sentinel(self) -> int | None:
        """See `Place`: the end of the line is all there is to see."""
        return None

    def kill(self) -> None:
        """See `Place`."""
        self._is_unwanted = True
        if self._actor is not None:
            with contextlib.suppress(Exception):  # it is gone, or Ray was shut down, and with it the actor
                self._calls.kill(self._actor)

    def end(self, timeout: float) -> str:
        """See `Place`."""
        for thread in self._threads[1:]:
            thread.join(timeout)
        self.kill()
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join()
            self._line.close()
        return self._became

    def forked(self) -> None:
        """See `Place`."""
        if self._line is not None:
            self._line.close()

    def _wait_until_ready(self, deadline: float) -> None:
        """Wait for the actor, for as long as it may take.

        Raises:
            NoRoom: There is no room for it.
            RuntimeError: It is not wanted any more, or another polyloop is there.
        """
        ready = self._calls.method(self._actor, "ready")()
        while not self._calls.wait([ready], timeout=LOOK_SECONDS)[0]:
            if self._is_unwanted:
                raise RuntimeError("it is not wanted any more")
            if monotonic() > deadline:
                raise NoRoom(
                    f"no node of the Ray cluster has had room for {self._name} for {self._cluster.patience} "
                    f"s: it takes {self._cluster.needs}, and free are {self._calls.free()}"
                )
        try:
            there = self._calls.get(ready)
        except Exception as error:
            if "No module named 'polyloop" in str(error):
                raise RuntimeError(
                    f"this polyloop is not installed where {self._name} is to be: {_REMEDY}"
                ) from error
            raise
        if there != greeting():
            raise RuntimeError(f"{self._name} would be {there}, and this is {greeting()}: {_REMEDY}")

    def _carry_down(self) -> None:
        line: Any = self._line
        take = self._calls.method(self._actor, "take", "down")
        under_way: deque[Any] = deque()
        number = 0
        with contextlib.suppress(Exception):  # the actor is gone, of which the other thread tells
            while data := line.recv(MOST_BYTES):
                refs = taken(self._lent)  # after the bytes: those of calls in there have been lent by now
                under_way.append(take(number, data, refs) if refs else take(number, data))
                number += 1
                if len(under_way) > MOST_CALLS:
                    self._calls.get(under_way.popleft())
        for call in under_way:
            with contextlib.suppress(Exception):  # as above; Ray logs errors that nobody has looked at
                self._calls.get(call)

    def _carry_up(self) -> None:
        line: Any = self._line
        words = InOrder(line.sendall)
        try:
            word = self._calls.method(self._actor, "word", "up")
            under_way = deque(word() for _ in range(MOST_WORDS))
            while under_way:
                try:
                    number, data, refs = self._calls.get(under_way.popleft())
                except Exception as error:  # noqa: BLE001 - what Ray says is what became of it
                    self._became = f"actor ended: {str(error).partition(chr(10))[0]}"
                    continue  # others of them may have come before that
                words.put(number, data, refs)
                if data:
                    under_way.append(word())
        except Exception as error:  # noqa: BLE001 - Ray was shut down, or the pool has gone
            self._became = f"actor ended: {str(error).partition(chr(10))[0]}"
        finally:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
