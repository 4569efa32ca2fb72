"""Workers in threads of this process: the very objects travel, nothing is encoded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

from .._link import Leftovers
from .._local import here
from .._mailbox import Mailbox
from .._messages import Call, Leave
from .._runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._executors import Executors
    from .._link import Reports
    from .._local import Worker
    from .._messages import Command

__all__ = ["ThreadLink"]

logger = logging.getLogger("polyloop")


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
        self._loop = _checked_loop(loop_factory)
        executors.share(self._loop)
        self._runner = Runner(self._loop, worker, reports, lifespan)
        try:
            self._mailbox: Mailbox[Command] = Mailbox(self._loop, self._runner.handle)
        except BaseException:
            self._loop.close()
            raise
        self._thread = threading.Thread(target=self._main, name=worker.name, daemon=True)
        # Not methods that call these: a call through here costs as much as the putting itself.
        self.send = self._mailbox.put
        self.send_calls: Callable[[Sequence[Call]], None] = self._mailbox.put_all

    # -- the pool's side ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        try:
            # Free-threaded builds let a thread inherit the context of its starter by default.
            Context().run(self._thread.start)
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
            reason = self._run_until_done(main)
        finally:
            leftovers = self.abandon()
            self._close_loop()
        if reason is None and self._runner.has_left:
            self._reports.left(leftovers)
        elif self._runner.is_up:
            self._reports.lost(reason, leftovers)
        else:
            self._reports.failed(reason or RuntimeError(f"{self._worker.name} stopped before it was up"))

    def _run_until_done(self, main: asyncio.Task[None]) -> BaseException | None:
        """Run the loop until the runner has ended; returns what ended it, None if it was told to."""
        main.add_done_callback(lambda _: self._loop.stop())
        while not main.done():
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # Raised by a bare callback or a task of the user's own. asyncio lets it end the
                # loop, and with it everything else that lives there.
                if not main.done():
                    logger.exception("%s goes on: one of its callbacks raised that", self._worker.name)
            except BaseException as error:  # noqa: BLE001 - the loop is broken: reported as the loss of the worker
                return error
        return main.exception() if not main.cancelled() else None

    def _close_loop(self) -> None:
        # Tasks that would not end are closed here, in their own thread. Left to the garbage
        # collector, their clean-up would run in whatever thread that happens to run in.
        for task in asyncio.all_tasks(self._loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # it has been reported already
            with contextlib.suppress(BaseException):
                cast("Any", task.get_coro()).close()
        try:
            self._mailbox.let_go()
            self._loop.close()
        except Exception:
            logger.exception("the loop of %s could not be closed", self._worker.name)
        asyncio.set_event_loop(None)


def _checked_loop(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    loop = loop_factory()
    if not isinstance(cast("object", loop), asyncio.AbstractEventLoop):
        raise TypeError(f"loop_factory must return an asyncio event loop, not {type(loop).__name__}")
    if loop.is_running() or loop.is_closed():
        state = "closed" if loop.is_closed() else "running"
        raise ValueError(
            f"loop_factory returned a loop that is {state}; each worker needs a fresh one of its own"
        )
    _refuse_old_uvloop(loop)
    return loop


def _refuse_old_uvloop(loop: asyncio.AbstractEventLoop) -> None:
    if not type(loop).__module__.startswith("uvloop") or getattr(sys, "_is_gil_enabled", lambda: True)():
        return
    version = sys.modules["uvloop"].__version__
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 23):
        loop.close()
        raise RuntimeError(
            f"uvloop {version} loses wake-ups on free-threaded Python (MagicStack/uvloop#720); "
            "install uvloop 0.23 or later"
        )
