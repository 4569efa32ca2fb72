"""Workers in threads of this process: the very objects travel, nothing is encoded."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from .._executors import Executors
from .._link import Leftovers
from .._local import here
from .._loop_life import checked_loop, close_loop, run_until_done
from .._mailbox import Mailbox
from .._messages import Call, Leave
from .._runner import Runner
from .._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._link import Link, Reports, Resizable
    from .._local import Worker
    from .._messages import Command

__all__ = ["ThreadBackend", "ThreadLink"]


class ThreadBackend:
    """Makes workers that live in threads: see `Backend`.

    Args:
        pool: The pool's name.
        loop_factory: Makes each worker's loop; None is asyncio's own.
        lifespan: Entered and left on each worker's loop.
    """

    name = "thread"
    pack = None

    def __init__(
        self,
        pool: str,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
    ) -> None:
        self._executors = Executors(pool)
        self._loop_factory = loop_factory if loop_factory is not None else self._executors.make_loop
        self._lifespan = lifespan

    def make_link(self, worker: Worker, reports: Reports, delay: float, /) -> Link:
        """See `Backend`."""
        return ThreadLink(
            worker,
            reports,
            loop_factory=self._loop_factory,
            lifespan=self._lifespan,
            executors=self._executors,
            delay=delay,
        )

    def opened(self, pool: Resizable, /) -> None:
        """See `Backend`: its size is its user's business."""

    def close(self) -> None:
        """The pool's last worker is gone."""
        self._executors.close()


class ThreadLink:
    """One worker: an ordinary asyncio loop in an ordinary thread.

    The thread is a daemon, for Python cannot stop one that sits in C code or ``time.sleep``,
    and such a thread must not keep the process alive. That it is not cut off in the middle of
    something is what closing is for, which interpreter exit does too.
    """

    def __init__(
        self,
        worker: Worker,
        reports: Reports,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop],
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        executors: Executors,
        delay: float = 0.0,
    ) -> None:
        self._worker = worker
        self._reports = reports
        self._delay = delay
        self._is_unneeded = threading.Event()
        # Made here and not in the thread, so that what there is no more of - file descriptors,
        # say - is missed by whoever opens the pool, and commands can be sent from now on.
        self._loop = checked_loop(loop_factory)
        executors.share(self._loop)
        self._runner = Runner(self._loop, worker, reports, lifespan)
        try:
            self._mailbox: Mailbox[Command] = Mailbox(self._loop, self._runner.handle)
        except BaseException:
            self._loop.close()
            raise
        self._thread = daemon_thread(self._main, worker.name)
        # Not methods that call these: a call through here costs as much as the putting itself.
        self.send = self._mailbox.put
        self.send_calls: Callable[[Sequence[Call]], None] = self._mailbox.put_all

    # -- the pool's side ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        try:
            start_thread(self._thread)
        except Exception:
            # Not after a Ctrl-C: it may have come when the thread was running.
            self._mailbox.let_go()
            self._loop.close()
            raise

    def abandon(self) -> Leftovers:
        """Take every call away from the runner; the thread is left to itself."""
        self._is_unneeded.set()
        unstarted = [command for command in self._mailbox.close() if isinstance(command, Call)]
        with contextlib.suppress(RuntimeError):  # the loop is closed
            # Should it ever get there: what told it to leave may have been in the mailbox.
            self._loop.call_soon_threadsafe(self._runner.handle, Leave(0.0))
        return Leftovers(self._runner.abandon(), unstarted)

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    can_be_ended = False
    is_unheard = False

    def forked(self) -> None:
        """See `Link`: no thread came along, and nothing refers to the parent's."""

    @property
    def lag(self) -> float:
        """The longest the loop took to answer a wake-up, in seconds."""
        return self._mailbox.lag

    # -- the thread --------------------------------------------------------------------------

    def _main(self) -> None:
        here.worker = self._worker
        asyncio.set_event_loop(self._loop)
        main = self._loop.create_task(self._runner.main(), name=f"{self._worker.name} main")
        try:
            if self._delay:
                self._is_unneeded.wait(self._delay)
            reason = run_until_done(self._loop, main, self._worker.name)
        finally:
            leftovers = self.abandon()
            self._mailbox.let_go()
            close_loop(self._loop, self._worker.name)
        if reason is None and self._runner.has_left:
            self._reports.left(leftovers)
        elif self._runner.is_up:
            self._reports.lost(reason, leftovers)
        else:
            self._reports.failed(reason or RuntimeError(f"{self._worker.name} stopped before it was up"))
