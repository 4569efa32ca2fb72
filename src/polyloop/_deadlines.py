"""The watch of a pool's deadlines, in a thread beside the loops: a loop that is stalled keeps no time.

When a deadline passes, the task is cancelled on its loop; when the task has not ended a little later, it is
given up, and what it comes to then is nobody's any more.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from math import inf
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from ._deadline import Deadline
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._messages import Call

__all__ = ["Deadlines"]

# So many new deadlines may wait for the thread, beside twice as many as have not been met yet, before it is
# woken only to look at them: most are met by then, and cost it nothing more. A guess: far less than memory.
MOST_ARRIVALS = 4000


class Deadlines:
    """Watches the deadlines of one pool.

    The thread is started for the first one. It owns the heap; everybody else hands deadlines over without a
    lock, for a signal handler may do that in the middle of itself: each step is one operation of a dict or
    a deque, or the store of an attribute, and a `SimpleQueue` may be entered anew.

    Args:
        name: The pool's name.
        grace: Seconds that a task has to end once it was cancelled.
        cancel: Asks a call's task to stop.
        check: Raises what a call that comes now is told, if it would be refused: for those there is neither a
            thread nor a deadline.
    """

    def __init__(
        self,
        name: str,
        grace: float,
        cancel: Callable[[Call], object],
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.grace = grace
        self.live: dict[Deadline, bool] = {}
        """Those whose calls have no outcome yet. It gives each to one thread only: see `Deadline`."""
        self._cancel = cancel
        self._check = check
        self._arrivals: deque[Deadline] = deque()
        self._heap: list[tuple[float, int, Deadline]] = []
        self._number = itertools.count()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._is_rung = False
        self._wakes_at = inf
        self._is_closed = False
        # Whoever takes it starts a thread, and the thread that takes the duty does the watching.
        self._starter = [self._make_thread()]
        self._duty: list[None] = [None]
        self._watcher = 0

    def watch(self, call: Call, timeout: float | None, source: Deadline | None) -> None:
        """Give `call`, which has its sink and was not handed in yet, a deadline.

        Args:
            call: The call.
            timeout: Seconds from now; None for what is inherited alone.
            source: A deadline that it inherits.

        Raises:
            Exception: The call would be refused, or there is no thread to be had. It has no deadline then.
        """
        self._check()
        now = monotonic()
        seconds = inf if timeout is None else timeout
        call.sink = deadline = Deadline(self, call, now + seconds, seconds)
        if source is not None and source.when < deadline.when:
            deadline.inherit(source, now)
        self.live[deadline] = True
        # Stored before the look at when the thread wakes. The thread stores that it looks now before it
        # takes them, and when it will wake after that. So it takes this one, or is told to look again.
        self._arrivals.append(deadline)
        if deadline.when < self._wakes_at or len(self._arrivals) > MOST_ARRIVALS + 2 * len(self.live):
            self._ring()

    @property
    def is_here(self) -> bool:
        """Whether this is the thread that watches: what it waits for must not need a deadline."""
        return self._watcher == threading.get_ident()

    def close(self) -> None:
        """End the thread. No call is left."""
        self._is_closed = True
        self._bell.put(None)

    # -- in any thread -----------------------------------------------------------------------

    def _ring(self) -> None:
        if self._is_rung:
            return
        self._is_rung = True
        try:
            # First, since others rely on it that see that it was rung.
            self._bell.put(None)
            if self._starter:
                self._start()
        except BaseException:
            # No thread could be started, or Ctrl-C. Without this nobody would ring any more.
            self._is_rung = False
            raise

    def _start(self) -> None:
        try:
            thread = self._starter.pop()
        except IndexError:
            return  # somebody else does
        try:
            start_thread(thread)
        except BaseException:
            # If that was Ctrl-C it may have begun all the same; the next one ends at once then.
            self._starter.append(self._make_thread())
            raise

    def _make_thread(self) -> threading.Thread:
        return daemon_thread(self._main, f"{self.name}-deadlines")

    # -- in the thread -----------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._duty.pop()
        except IndexError:
            return  # another thread has it
        self._watcher = threading.get_ident()
        seconds: float | None = None
        while True:
            try:
                self._bell.get(timeout=seconds)
            except Empty:
                pass  # a deadline has come
            # In this order: who comes from now on rings, until it is known when the next one passes.
            self._is_rung = False
            self._wakes_at = inf
            if self._is_closed:
                self._watcher = 0  # another thread may get the number
                return
            self._take_arrivals()
            self._pass(monotonic())
            if self._heap:
                self._wakes_at = self._heap[0][0]
            seconds = self._seconds_until(self._wakes_at)

    @staticmethod
    def _seconds_until(when: float) -> float | None:
        return None if when == inf else min(max(0.0, when - monotonic()), threading.TIMEOUT_MAX)

    def _take_arrivals(self) -> None:
        take = self._arrivals.popleft
        # Most are over by now, and are passed by as cheaply as possible.
        fresh = [new for _ in range(len(self._arrivals)) if (new := take()).call is not None]
        for deadline in fresh:
            self._push(deadline, deadline.when)
        if len(self._heap) > MOST_ARRIVALS + 2 * len(self.live):
            # Most are of calls that have ended, and there is no way to find one in a heap.
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapq.heapify(self._heap)

    def _push(self, deadline: Deadline, when: float) -> None:
        # The number decides between equal times, for deadlines cannot be compared.
        heapq.heappush(self._heap, (when, next(self._number), deadline))

    def _pass(self, now: float) -> None:
        """What is due is cancelled, or given up if that was done before."""
        due: list[Deadline] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        # All are marked before the first task is cancelled: a task and those that it waits for have the same
        # deadline, and what comes of them must not depend on who hears of it first.
        passing = [deadline for deadline in due if self._has_come(deadline, now)]
        for deadline in passing:
            call = deadline.call
            # Looked at once more: who was cancelled first may have cancelled what it waits for.
            if call is not None and deadline.is_cause and not call.is_cancelling:
                self._cancel(call)
            self._push(deadline, now + self.grace)

    def _has_come(self, deadline: Deadline, now: float) -> bool:
        """Whether it passes now, for the first time."""
        call = deadline.call
        if call is None:
            return False
        if deadline.has_passed:
            deadline.give_up()
            return False
        deadline.postpone()
        if deadline.when > now:
            if deadline.when < inf:
                self._push(deadline, deadline.when)
            return False
        deadline.has_passed = True
        # Somebody may have cancelled it before: a second time would tear down its clean-up.
        deadline.is_cause = not call.is_cancelling
        return True
