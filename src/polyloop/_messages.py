"""What crosses between the pool and its workers: a call on its way, and the orders about it.

Commands go down a link, reports come up. On threads the very objects travel; a backend that
has to encode them gives each call an id of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from ._options import Options

__all__ = ["Call", "Cancel", "Command", "Leave", "Sink", "name_of", "text_of", "title_of"]


class Sink(Protocol):
    """Where a task's one outcome goes.

    Exactly one of the three ``settle_`` methods is called, once, from whatever thread the
    outcome appears in. They must not raise and must not block. Three methods instead of a
    tagged value: this is the sum type without an allocation per call.
    """

    def started(self) -> None:
        """The call is about to take its first step. Called in the context that it runs in."""

    def settle_value(self, value: Any, /) -> None:
        """The task returned."""

    def settle_error(self, error: BaseException, /) -> None:
        """The task raised, or could not be run."""

    def settle_cancelled(self) -> None:
        """The task was cancelled and has ended, or never started and never will."""


class Home(Protocol):
    """The pool that accepted a call, as the call knows it."""

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which no task will ever report."""
        ...

    def cancel(self, call: Call, /) -> None:
        """Ask the call's task to stop; if it has ended already, nothing happens."""

    def check_wait(self, title: str, /) -> None:
        """Raise if a synchronous wait in this thread for one of its tasks could never end."""


class Call:
    """A coroutine function with its arguments, and once accepted the record of its task.

    Written by whoever submits, then by the pool under its lock (``seat``, ``is_nested``, ``losses``);
    ``is_cancelling`` is set by any thread and only ever goes from False to True; ``is_taken``
    belongs to the worker, which takes ``sink`` and ``context`` away when the task has ended.
    """

    __slots__ = (
        "args",
        "context",
        "fn",
        "home",
        "is_cancelling",
        "is_nested",
        "is_taken",
        "kwargs",
        "losses",
        "number",
        "options",
        "packed",
        "pin",
        "seat",
        "sink",
    )

    sink: Sink

    def __init__(
        self,
        home: Home,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context,
    ) -> None:
        self.home = home
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        # A copy of its own for each call: an eager start enters it, and entering a
        # context that is entered already raises.
        self.context = context
        self.options: Options | None = None
        # The index of the only worker that may run it, if there is one: in a map each item has its own.
        self.pin: int | None = None
        # How many workers that had started it were lost.
        self.losses = 0
        # Of a call for a worker that shares no memory with the pool: what is sent, and under which number.
        self.packed: tuple[int, Sequence[Any], int] | None = None
        self.number: int | None = None
        self.seat: object | None = None
        self.is_cancelling = False
        self.is_nested = False
        self.is_taken = False

    @property
    def title(self) -> str:
        """What to call the task in messages."""
        return title_of(self.fn, self.options)

    def cancel_task(self) -> None:
        """Ask the task to stop; if it has ended already, nothing happens."""
        self.home.cancel(self)

    def cancel_with_waiter(self) -> None:
        """Ask the task to stop because somebody who waits for it has to.

        Not once its own deadline has asked: that is often the waiter's too, and a second time would tear down
        the clean-up. Such a task ends soon, or is given up.
        """
        # The worker deletes the sink when it settles the call; most sinks have no deadline.
        if not getattr(getattr(self, "sink", None), "is_cause", False):
            self.home.cancel(self)

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked child, in which the task will never report."""
        return self.home.is_forked

    def check_wait(self) -> None:
        """Raise if a synchronous wait for the task, here, could never end."""
        self.home.check_wait(self.title)


class Cancel:
    """Ask the task of `call` to stop. Sent after its call on the same link, so never before it."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call


class Leave:
    """Cancel what still runs, clean up, and leave within `grace` seconds."""

    __slots__ = ("grace",)

    def __init__(self, grace: float) -> None:
        self.grace = grace


Command = Call | Cancel | Leave


def title_of(fn: object, options: Options | None) -> str:
    """What to call a task of `fn` in messages: by its own name too, where it has one."""
    if options is None or options.name is None:
        return f"the task {name_of(fn)}()"
    return f"the task {options.name!r}, {name_of(fn)}(),"


def name_of(fn: object) -> str:
    """What to call `fn` in messages to people: its qualified name where it has one."""
    fn = getattr(fn, "func", fn)
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def text_of(thing: object) -> str:
    """What an error, or one of its notes, says, whatever its class makes of that."""
    try:
        return str.__str__(str(thing))  # not one of a class that the other process may not know
    except BaseException as failure:  # noqa: BLE001 - by the user's own __str__
        return f"(its __str__ raised {type(failure).__name__})"
