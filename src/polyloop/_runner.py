"""A worker seen from inside its own loop; the same on every backend.

It starts the calls it is handed, settles each exactly once, and says so. It knows no pool, no
backend and no thread but its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import types
from typing import TYPE_CHECKING, Any

from ._messages import Call, Cancel, Command, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._link import Reports
    from ._local import Worker

__all__ = ["Runner"]

logger = logging.getLogger("polyloop")

# What the lifespan and the loop's own clean-up may still take when the tasks used up the grace.
# A guess: enough to close sockets, not enough to be noticed.
LAST_GRACE = 0.2


class Runner:
    """Runs calls on one loop.

    Owned by that loop: everything is called there, except `abandon`.

    Who takes a call out of `_unsettled` settles it, and nobody else: ``dict.pop`` gives it to
    one thread only, with the GIL or without. That is the whole of "exactly once".

    Args:
        loop: The loop.
        worker: Who this is.
        reports: Where what happens is told.
        lifespan: Entered before the first call and left after the last one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        worker: Worker,
        reports: Reports,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
    ) -> None:
        self._loop = loop
        self._worker = worker
        self._reports = reports
        self._lifespan = lifespan
        self._leaving: asyncio.Future[float] = loop.create_future()
        self._unsettled: dict[Call, bool] = {}
        # The loop itself keeps only weak references to its tasks.
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        self._is_flushing = False
        self._is_abandoned = False
        self.is_up = False
        self.has_left = False
        self._tally = reports.tally

    # -- commands ----------------------------------------------------------------------------

    def handle(self, command: Command) -> None:
        """Carry out one command."""
        if type(command) is Call:
            self._start(command)
        elif type(command) is Cancel:
            task = self._tasks.get(command.call)
            if task is not None:
                task.cancel()
        elif not self._leaving.done():
            self._leaving.set_result(command.grace)  # type: ignore[union-attr]  # what is left is Leave

    def _start(self, call: Call) -> None:
        if call.is_taken:
            return  # sent twice by a submit() that Ctrl-C interrupted
        call.is_taken = True
        self._unsettled[call] = True
        if self._is_abandoned:
            # Looked at after the call was entered, so that abandon() finds it or this does.
            if self._unsettled.pop(call, False):
                self._reports.stuck([call])
            return
        if call.is_cancelling:
            self._settle_cancelled(call)
            return
        if sys.version_info >= (3, 12) and self._loop.get_task_factory() is None:
            task = asyncio.Task(self._guard(call), loop=self._loop, context=call.context, eager_start=True)
        else:
            task = self._make_task(call)
        if not task.done():
            self._tasks[call] = task

    def _make_task(self, call: Call) -> asyncio.Task[None]:
        """A task that takes its first step later, or however the loop's task factory has it."""
        # A task that is cancelled before its first step never enters its coroutine, which
        # could then settle nothing. So the guard is entered here, up to its first await; the
        # task's first step resumes it there, with a cancellation or without.
        guard = self._guard(call, is_entered_first=True)
        guard.send(None)
        if self._loop.get_task_factory() is None:
            return asyncio.Task(guard, loop=self._loop, context=call.context)
        return self._loop.create_task(guard, context=call.context)

    async def _guard(self, call: Call, is_entered_first: bool = False) -> None:
        """Run one call to its outcome, whatever that is: nothing it raises reaches the loop."""
        try:
            if is_entered_first:
                await _pause()
            call.sink.started()
            value = await call.fn(*call.args, **call.kwargs)
        except asyncio.CancelledError:
            self._settle_cancelled(call)
        except BaseException as error:  # noqa: BLE001 - the one place where everything has to be caught
            self._settle_error(call, error)
        else:
            if self._unsettled.pop(call, False):
                call.sink.settle_value(value)
                self._end(call)

    def _settle_cancelled(self, call: Call) -> None:
        if self._unsettled.pop(call, False):
            self._tally.cancelled += 1
            call.sink.settle_cancelled()
            self._end(call)

    def _settle_error(self, call: Call, error: BaseException) -> None:
        if self._unsettled.pop(call, False):
            self._tally.failed += 1
            if isinstance(error, StopIteration):
                # No future can carry it: whoever awaited that would never be resumed.
                converted = RuntimeError(f"{name_of(call.fn)} raised StopIteration")
                converted.__cause__ = error
                error = converted
            else:
                # The first entry is the guard's frame: it tells nobody anything, and it keeps
                # the call alive, and with it the error itself.
                traceback = error.__traceback__
                error.__traceback__ = traceback.tb_next if traceback is not None else None
            call.sink.settle_error(error)
            self._end(call)

    def _end(self, call: Call) -> None:
        self._tasks.pop(call, None)
        tally = self._tally
        if call.is_nested:
            tally.nested += 1
        tally.ended += 1
        # Looked at after counting: whoever starts to want it looks at the count after that.
        if self._reports.is_wanted and not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Report what has ended since the last time, all at once."""
        self._is_flushing = False
        self._reports.ended()

    # -- the worker's life -------------------------------------------------------------------

    async def main(self) -> None:
        """The whole life of the worker: come up, run until told to leave, clean up.

        What goes wrong while it comes up is raised; what goes wrong later is logged.
        """
        lifespan = self._lifespan() if self._lifespan is not None else contextlib.nullcontext()
        self._worker.state = await lifespan.__aenter__()
        self.is_up = True
        self._reports.ready()
        while not self._leaving.done():
            # Somebody who cancels every task of the loop does not mean this one.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._leaving])
        deadline = self._loop.time() + self._leaving.result()
        await self._end_tasks(deadline)
        deadline = max(deadline, self._loop.time() + LAST_GRACE)
        try:
            async with asyncio.timeout_at(deadline):
                await lifespan.__aexit__(None, None, None)
        except Exception:
            logger.exception("the lifespan of %s raised while it was left", self._worker.name)
        await self._end_strangers(deadline)
        self.has_left = True

    async def _end_tasks(self, deadline: float) -> None:
        """Cancel every task and wait for it; at the deadline, give up those that will not end."""
        for task in list(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=max(0.0, deadline - self._loop.time()))
        stuck = [call for call in list(self._unsettled) if self._unsettled.pop(call, False)]
        if stuck:
            self._reports.stuck(stuck)

    async def _end_strangers(self, deadline: float) -> None:
        """End what the calls left behind on this loop: their own tasks, then async generators."""
        current = asyncio.current_task()
        given_up = set(self._tasks.values())
        strangers = {task for task in asyncio.all_tasks() if task is not current} - given_up
        for task in strangers:
            task.cancel()
        left = max(LAST_GRACE, deadline - self._loop.time())
        if strangers:
            await asyncio.wait(strangers, timeout=left)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._loop.shutdown_asyncgens()

    def abandon(self) -> list[Call]:
        """Take every unsettled call away from this runner; callable from any thread."""
        self._is_abandoned = True
        calls: list[Call] = []
        while self._unsettled:
            # The loop's own thread may take one between the look and the taking.
            with contextlib.suppress(KeyError):
                calls.append(self._unsettled.popitem()[0])
        return calls


@types.coroutine
def _pause() -> Generator[None, None, None]:
    """Suspend once, to be resumed by the next step of whoever runs the coroutine."""
    yield
