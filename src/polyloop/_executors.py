"""The threads beside the loops of a pool: for what blocks, and for looking up names.

asyncio gives each loop an executor of its own, so that many loops have many more threads than the machine
can use, and looks names up in it too: a request waits for its address behind whatever blocks. Here all
loops of a pool share one bounded executor, and those that the library makes itself look names up in
another one.

What runs in a thread may call the pool and wait, and what it calls may need a thread in its turn. So the
bound holds for each depth of nesting by itself: nobody waits for a thread that waits for him.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import queue
import socket
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from ._local import Standing
from ._locks import Lock
from ._messages import name_of
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Executors"]

T = TypeVar("T")

# As many as asyncio gives to one loop.
MOST_THREADS = min(32, (os.cpu_count() or 1) + 4)
# A guess: look-ups are short, and the resolver of the C library takes turns in many places.
MOST_LOOKUPS = 4


class _DaemonExecutor(concurrent.futures.ThreadPoolExecutor):
    """An executor that several loops share, and whose threads do not keep the process alive.

    Those of ``ThreadPoolExecutor`` are joined when the interpreter exits, however long they block. It is
    one by name only, for loops accept no other kind as their default executor.

    Args:
        threads: Most of them, at each depth of nesting; one is started when work comes and none is idle.
        name: The beginning of their names.
    """

    def __init__(self, threads: int, name: str) -> None:
        # The base class is not initialised: all that it has is replaced.
        self._most = threads
        self._name = name
        # Re-entrant, since a ``__del__`` may come in wherever memory is allocated. All it can do is submit.
        self._lock = Lock()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._idle = 0
        self._count = 0
        self._deeper: dict[int, _Lane] = {}
        self._is_shut = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Run `fn` in one of the threads.

        Raises:
            RuntimeError: The executor has been shut down.
        """
        work = _Work(fn, args, kwargs)
        with self._lock:
            if self._is_shut:
                raise RuntimeError("the pool of these threads is closed")
            if work.depth:
                self._run_deeper(work)
                return work.future
            self._work.put(work)
            if self._idle:
                self._idle -= 1
            elif self._count < self._most:
                try:
                    self._start_thread(str(self._count + 1), self._main)
                except BaseException:
                    work.future.cancel()  # it is in the queue, and its submit() raises
                    raise
                self._count += 1
        return work.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: a loop that is closed shuts its default executor, and this is that of others too."""

    def close(self) -> None:
        """Take no more work, and end the threads once they have none. One may be blocked: nobody waits."""
        with self._lock:
            self._is_shut = True
            self._work.put(None)

    def _start_thread(self, suffix: str, main: Callable[..., None], *args: object) -> None:
        name = f"{self._name}-{suffix}"
        start_thread(daemon_thread(main, name, *args))

    def _main(self) -> None:
        while (work := self._work.get()) is not None:
            work.run()
            del work
            with self._lock:
                self._idle += 1
        self._work.put(None)  # for the next one

    # -- deeper ------------------------------------------------------------------------------

    def _run_deeper(self, work: _Work) -> None:
        """Find a thread for what is called beneath another one; under the lock."""
        lane = self._deeper.setdefault(work.depth, _Lane(work.depth))
        if lane.count >= self._most:
            lane.waiting.append(work)
            return
        lane.count += 1
        try:
            self._start_thread(f"{lane.depth}.{lane.count}", self._main_deeper, lane, work)
        except BaseException:
            self._leave(lane)
            raise

    def _main_deeper(self, lane: _Lane, work: _Work | None) -> None:
        # None of these threads stays when it has nothing to do: there is no end to how deep things nest.
        while work is not None:
            work.run()
            work = None  # while this waits for the lock
            with self._lock:
                if lane.waiting:
                    work = lane.waiting.popleft()
                else:
                    self._leave(lane)

    def _leave(self, lane: _Lane) -> None:
        lane.count -= 1
        if not lane.count:
            self._deeper.pop(lane.depth, None)


class _Lane:
    """The threads of one depth of nesting below the first, and what waits for them; under the lock."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.count = 0
        self.waiting: deque[_Work] = deque()


class _Work:
    """One call and its future.

    Attributes:
        depth: How many threads wait for it.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._standing = Standing()
        self.depth = self._standing.depth

    def run(self) -> None:
        """Settle the future with what the call returns or raises."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            with self._standing:
                value = self._fn(*self._args, **self._kwargs)
        except StopIteration as error:
            # Before Python 3.13 a loop that awaits this would never be told.
            outcome: BaseException = RuntimeError(f"{name_of(self._fn)}() raised StopIteration")
            outcome.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to who waits for it
            outcome = error
        else:
            self.future.set_result(value)
            return
        self.future.set_exception(outcome)
        # The traceback refers to this frame: without this, a cycle with the error in it.
        del self, outcome


class Executors:
    """The two executors of a pool."""

    def __init__(self, name: str) -> None:
        self._blocking = _DaemonExecutor(MOST_THREADS, f"{name}-beside")
        self._lookups = _DaemonExecutor(MOST_LOOKUPS, f"{name}-lookup")

    def share(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let `loop` use the threads for what blocks, unless its maker has given it an executor."""
        if getattr(loop, "_default_executor", None) is None:
            loop.set_default_executor(self._blocking)

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """Make asyncio's own loop, one that looks names up apart from what blocks."""
        loop = asyncio.new_event_loop()
        lookups = self._lookups

        async def getaddrinfo(
            host: Any,
            port: Any,
            *,
            family: int = 0,
            type: int = 0,  # noqa: A002 - asyncio calls it so
            proto: int = 0,
            flags: int = 0,
        ) -> Any:
            return await loop.run_in_executor(
                lookups, socket.getaddrinfo, host, port, family, type, proto, flags
            )

        async def getnameinfo(sockaddr: Any, flags: int = 0) -> Any:
            return await loop.run_in_executor(lookups, socket.getnameinfo, sockaddr, flags)

        # On the object, since which class it is depends on the system.
        vars(loop).update(getaddrinfo=getaddrinfo, getnameinfo=getnameinfo)
        return loop

    def close(self) -> None:
        """Take no more work; what runs is left to end by itself."""
        self._blocking.close()
        self._lookups.close()
