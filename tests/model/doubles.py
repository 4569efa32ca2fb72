"""What stands in for locks, loops and wake-ups in a model, so that waiting is the scheduler's business."""

from __future__ import annotations

import asyncio
import inspect
import textwrap
from collections import deque
from typing import TYPE_CHECKING, Any

from polyloop import _mailbox
from tests.model.explorer import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    import pytest

__all__ = ["ModelCondition", "ModelLock", "ModelLoop", "broken", "explores_mailbox"]


def explores_mailbox(monkeypatch: pytest.MonkeyPatch, *more_files: str) -> Scheduler:
    """A scheduler for mailboxes: their wake-ups go to model loops, and time stands still."""
    # The first two are figures for people; the last is an attribute of a thread-local.
    scheduler = Scheduler("_mailbox.py", *more_files, private={"lag", "_woken_at", "wakes"})
    monkeypatch.setattr(_mailbox, "make_waker", lambda loop, answer: loop.waker(answer))
    monkeypatch.setattr(_mailbox, "_get_running_loop", lambda: None)
    monkeypatch.setattr(_mailbox, "perf_counter", lambda: 0.0)
    return scheduler


def broken(function: Callable[..., Any], *edits: tuple[str, str]) -> Any:
    """A copy of `function` with a bug: each first text in its source replaced by the second.

    Made from the present source, so that it cannot fall behind the real code unnoticed.
    """
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in edits:
        assert source.count(old) == 1, (
            f"{old!r} should be once in the source of {function.__qualname__}:\n{source}"
        )
        source = source.replace(old, new)
    names: dict[str, Any] = {}
    code = compile("from __future__ import annotations\n" + source, inspect.getfile(function), "exec")
    exec(code, function.__globals__, names)
    return names[function.__name__]


class ModelLock:
    """A re-entrant lock: who cannot have it waits in the scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> None:
        me = self._scheduler.current
        self._scheduler.wait(lambda: not self._depth or self._owner == me)
        self._owner = me
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._depth -= 1


class ModelCondition(ModelLock):
    """A condition variable, without timeouts."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._notified = 0

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until notified and `predicate` holds; like the real one it looks only when notified."""
        assert timeout is None
        while not predicate():
            seen, depth, self._depth = self._notified, self._depth, 0
            me = self._scheduler.current
            self._scheduler.wait(lambda seen=seen: self._notified != seen and not self._depth)  # type: ignore[misc]
            self._owner, self._depth = me, depth
        return True

    def notify_all(self) -> None:
        """Wake all that wait."""
        self._notified += 1


class ModelLoop:
    """As much of a loop as the code under test uses: callbacks in turn, wake-ups, and the simplest tasks.

    A wake-up is coalesced as an eventfd does it: any number of them before the loop answers are one.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._ready: deque[Callable[[], object]] = deque()
        self._woken: dict[Callable[[], object], None] = {}
        self._is_closed = False
        self.wakes = 0

    def run(self) -> None:
        """What the loop's thread does: callbacks as they come, until nothing more can come."""
        while self._scheduler.wait(lambda: self._ready or self._woken, is_rest=True):
            self.turn()

    def turn(self) -> None:
        """One callback, or the answer to one wake-up, if there is any."""
        self._scheduler.touch()
        if self._ready:
            self._ready.popleft()()
        elif self._woken:
            answer = next(iter(self._woken))
            del self._woken[answer]
            answer()

    def close(self) -> None:
        """From now on nothing can be called on it, and what waits is not."""
        self._is_closed = True
        self._ready.clear()
        self._woken.clear()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: object = None) -> None:
        """See asyncio."""
        if self._is_closed:
            raise RuntimeError("Event loop is closed")
        self._ready.append(lambda: callback(*args))

    def waker(self, answer: Callable[[], object]) -> ModelWaker:
        """Stands in for `make_waker`."""
        return ModelWaker(self, answer)

    def wake(self, answer: Callable[[], object]) -> None:
        """Have `answer` called."""
        if self._is_closed:
            raise RuntimeError("the loop is closed")
        self.wakes += 1
        self._woken[answer] = None

    # -- for a runner ------------------------------------------------------------------------

    def create_future(self) -> ModelFuture:
        """See asyncio."""
        return ModelFuture()

    def get_task_factory(self) -> object:
        """Something: the code under test is to make its tasks through `create_task`."""
        return self

    def create_task(self, coroutine: Coroutine[Any, Any, Any], *, context: object = None) -> ModelTask:
        """See asyncio."""
        return ModelTask(self, coroutine)


class ModelFuture:
    """A future of the loop that nobody resolves."""

    def done(self) -> bool:
        """See asyncio."""
        return False


class ModelWaker:
    """Stands in for a `Waker`."""

    def __init__(self, loop: ModelLoop, answer: Callable[[], object]) -> None:
        self._loop = loop
        self._answer = answer

    def wake(self) -> None:
        """See `Waker`."""
        self._loop.wake(self._answer)

    def close(self) -> None:
        """See `Waker`."""


class ModelTask:
    """A task whose coroutine only ever yields to be resumed."""

    def __init__(self, loop: ModelLoop, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._is_cancelling = False
        self._is_done = False
        loop.call_soon(self._step)

    def done(self) -> bool:
        """See asyncio."""
        return self._is_done

    def cancel(self) -> bool:
        """See asyncio."""
        self._is_cancelling = True
        return not self._is_done

    def _step(self) -> None:
        try:
            if self._is_cancelling:
                self._is_cancelling = False
                self._coroutine.throw(asyncio.CancelledError())
            else:
                self._coroutine.send(None)
        except StopIteration:
            self._is_done = True
        else:
            self._loop.call_soon(self._step)
