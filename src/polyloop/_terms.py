"""On which terms a call is handed in: what options fix for it, and the deadline that it inherits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ._deadline import Deadline, current_deadline
from ._options import slot_of_hash

if TYPE_CHECKING:
    from ._deadlines import Deadlines
    from ._dispatch import Dispatch
    from ._messages import Call
    from ._options import Options

__all__ = ["accept_on_terms", "drop_terms", "inherited_deadline", "set_terms"]


class Home(Protocol):
    """The pool that a call is made for."""

    @property
    def deadlines(self) -> Deadlines:
        """Who watches the deadlines of its calls."""
        ...

    @property
    def slots(self) -> int:
        """How many workers it has."""
        ...


def inherited_deadline() -> Deadline | None:
    """The deadline of the task that is running here, for what it calls and waits for."""
    source = current_deadline.get()
    # A task that was left running in the background is not hit by the deadline of the call that began it.
    return None if source is None or source.is_over else source


def set_terms(call: Call, options: Options | None, home: Home, source: Deadline | None) -> None:
    """Fix what the options say and what is inherited, for a call with a sink that was not handed in yet.

    Args:
        call: The call.
        options: What its maker fixed for it.
        home: The pool that it is for.
        source: The deadline that it inherits.
    """
    timeout = None
    if options is not None:
        call.options = options
        if options.pin is not None:
            call.pin = options.pin
        elif options.key is not None:
            # Now, and not when the options were made: the pool may have another size since.
            call.pin = slot_of_hash(options.key, home.slots)
        timeout = options.timeout
    if timeout is not None or source is not None:
        try:
            home.deadlines.watch(call, timeout, source)
        except BaseException:
            drop_terms(call)  # nobody hands it in any more
            raise
    elif current_deadline.get() is not None:
        # Nor do those inherit it that this one calls: its context is a copy of the caller's.
        call.context.run(current_deadline.set, None)


def accept_on_terms(
    dispatch: Dispatch,
    call: Call,
    options: Options | None,
    source: Deadline | None,
    *,
    is_awaited: bool = False,
) -> None:
    """Fix its terms and hand the call in. Arguments as for `set_terms` and `Dispatch.accept`.

    Raises:
        ValueError: There is no such worker any more.
        Exception: As for `set_terms` and `Dispatch.accept`.
    """
    if options is not None and options.pin is not None:
        dispatch.check_worker(options.pin)
    try:
        set_terms(call, options, dispatch, source)
        dispatch.accept(call, is_awaited=is_awaited)
    except BaseException:
        # Ctrl-C may come when it was accepted already: such a call goes on, and so does its deadline.
        if call.seat is None:
            drop_terms(call)
        raise


def drop_terms(call: Call) -> None:
    """The call was refused."""
    sink = getattr(call, "sink", None)  # the worker deletes it when it settles a call that Ctrl-C called off
    if isinstance(sink, Deadline):
        sink.drop()
