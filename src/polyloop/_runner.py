"""A worker seen from inside its own loop; the same on every backend.

It starts the calls it is handed, settles each exactly once, and says so. It knows no pool, no
backend and no thread but its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import types
from typing import TYPE_CHECKING, Any

from ._eager import Starter, can_start_eagerly
from ._generators import Generators
from ._ledger import Ledger
from ._messages import Call, Cancel, Command, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._link import Reports
    from ._local import Worker

__all__ = ["Runner"]

logger = logging.getLogger("polyloop")

# What each of the last steps - the calls' own tasks and generators, the lifespan, the loop's - may
# still take when the tasks used up the grace. A guess: enough to close sockets, hardly noticed.
LAST_GRACE = 0.05


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
        # The main task, for as long as it is inside the lifespan's beginning.
        self._entering: asyncio.Task[None] | None = None
        self.is_up = False
        self.has_left = False
        self._tally = reports.tally
        self._starter = Starter(loop) if can_start_eagerly(loop) else None

    # -- commands ----------------------------------------------------------------------------

    def handle(self, command: Command) -> None:
        """Carry out one command."""
        if type(command) is Call:
            self.start(command)
        elif type(command) is Cancel:
            task = self._tasks.get(command.call)
            # A nested task is cancelled by its own worker when the pool closes, and by its parent, which is
            # cancelled too. The second one would tear down its clean-up.
            if task is not None and not (self._leaving.done() and task.cancelling()):
                task.cancel()
        elif not self._leaving.done():
            if self._entering is not None:
                self._entering.cancel()
            self._leaving.set_result(command.grace)  # type: ignore[union-attr]  # what is left is Leave

    def start(self, call: Call) -> None:
        """Start one call, as `handle` does."""
        if call.is_taken:
            # Sent twice, for Ctrl-C has interrupted the sending: nobody is to have it.
            if call.is_cancelling:
                self.handle(Cancel(call))
            return
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
        if self._starter is not None and self._loop.get_task_factory() is None:
            name = None if call.options is None else call.options.name
            task = self._starter.start(self._guard(call), call.context, name)
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
        task = self._loop.create_task(guard, context=call.context)
        if call.options is not None and call.options.name is not None:
            task.set_name(call.options.name)
        return task

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
                self._count(call)
                call.sink.settle_value(value)
                # The sink refers to its call. Left to the garbage collector, the two would be its main work.
                del call.sink, call.context

    def _settle_cancelled(self, call: Call) -> None:
        if self._unsettled.pop(call, False):
            self._tally.cancelled += 1
            self._count(call)
            call.sink.settle_cancelled()

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
                # Not by assignment, which the class may refuse: that of a frozen dataclass does.
                BaseException.with_traceback(error, traceback.tb_next if traceback is not None else None)
            self._count(call)
            sink = call.sink
            # The frames behind the error lead to the call. Were there a way on to the future, which
            # has the error, that would be a cycle.
            del call.sink
            sink.settle_error(error)

    def _count(self, call: Call) -> None:
        """A task has ended. Before it is settled, so that who waits for it finds it counted."""
        self._tasks.pop(call, None)
        tally = self._tally
        if call.options is not None and call.options.name is not None:
            tally.named[call.options.name] += 1
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
        values = await self._enter(lifespan)
        native, early = asyncio.all_tasks(), values.holdings()
        generators = Generators(lambda: values.asker() is not None)
        self.is_up = True
        self._reports.ready()
        while not self._leaving.done():
            # Somebody who cancels every task of the loop does not mean this one.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([self._leaving])
        deadline = self._loop.time() + self._leaving.result()
        await self._end_tasks(deadline)
        # What calls left behind ends before the lifespan, which it may use; what is the lifespan's own is for
        # the lifespan to end. Loop-local values come in between, but for those that it has asked for itself.
        await self._end_strangers(deadline, native | values.tasks())
        await generators.end(self._at_least(deadline) - self._loop.time())
        await values.close(deadline, LAST_GRACE, but=early)
        await self._leave(lifespan, deadline)
        await values.close(deadline, LAST_GRACE)
        values.retire()
        await self._end_strangers(deadline, set())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._at_least(deadline)):
                await self._loop.shutdown_asyncgens()
        self.has_left = True

    async def _enter(self, lifespan: contextlib.AbstractAsyncContextManager[Any]) -> Ledger:
        values = Ledger(self._loop, is_looked_after=True)
        self._entering = asyncio.current_task()
        try:
            if self._lifespan is not None and self._leaving.done():
                # Told to leave before there was anything to cancel: it would wait in there for ever.
                raise asyncio.CancelledError
            self._worker.state = await lifespan.__aenter__()
        except BaseException:
            await values.close(self._loop.time() + 1.0)  # a guess: nobody has said yet how long it may take
            values.retire()
            raise
        self._entering = None
        return values

    async def _leave(self, lifespan: contextlib.AbstractAsyncContextManager[Any], deadline: float) -> None:
        try:
            async with asyncio.timeout_at(self._at_least(deadline)):
                await lifespan.__aexit__(None, None, None)
        except BaseException:
            logger.exception("the lifespan of %s raised while it was left", self._worker.name)

    def _at_least(self, deadline: float) -> float:
        return max(deadline, self._loop.time() + LAST_GRACE)

    async def _end_tasks(self, deadline: float) -> None:
        """Cancel every task and wait for it; at the deadline, give up those that will not end."""
        # Who has been cancelled before is cleaning up, and a second cancellation would tear that down. It
        # comes only at half-time, for those who took no notice of the first.
        asked = [task for task in self._tasks.values() if task.cancelling()]
        for task in list(self._tasks.values()):
            if not task.cancelling():
                task.cancel()
        left = max(0.0, deadline - self._loop.time())
        if asked:
            await asyncio.wait(asked, timeout=left / 2)
        for task in asked:
            task.cancel()  # nothing happens if it has ended
        left = max(0.0, deadline - self._loop.time())
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=left)
        stuck = [call for call in list(self._unsettled) if self._unsettled.pop(call, False)]
        if stuck:
            self._reports.stuck(stuck)

    async def _end_strangers(self, deadline: float, others: set[asyncio.Task[Any]]) -> None:
        """Cancel the tasks on this loop that are no calls and none of `others`, and wait for them."""
        strangers = asyncio.all_tasks() - others - set(self._tasks.values()) - {asyncio.current_task()}
        for task in strangers:
            task.cancel()
        if strangers:
            await asyncio.wait(strangers, timeout=self._at_least(deadline) - self._loop.time())

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
