"""How a future without a lock calls back, each callback once and where it belongs.

A callback is stored before the phase is looked at, and the phase is stored before the callbacks are
looked at: whoever comes second sees the other. Who calls a callback, or removes it, takes it first: by
``list.remove``, or by deleting an attribute, each of which lets one thread have it. All of that rests on
single loads, stores, deletions and list operations being atomic and ordered: with the GIL, or by the
objects' own locks without it. Deleting a slot is the exception: without the GIL two threads can both get
past it (seen in 4 of 100 races on 3.13t), so what is claimed like that is no slot.
"""

from __future__ import annotations

import contextlib
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # raises nothing, half the price
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from . import _process
from ._concurrent import DONE, ConcurrentFuture
from ._local import here, replies, report_callback_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._local import Letter
    from ._mailbox import Mailbox

__all__ = ["CallbackFuture"]

T = TypeVar("T")

# The mailbox of the loop it was added under, if any; the context to call it in; what to call.
_Callback = tuple["Mailbox[Letter] | None", Context | None, "Callable[[Any], object]"]


class CallbackFuture(ConcurrentFuture[T]):
    """The part of `Future` that calls back.

    Most futures have one callback, added under a loop. It is kept in the future itself: a list and a
    tuple for each would keep the garbage collector busy for as long as everything else takes together.
    """

    __slots__ = ("_first_fn", "_first_mailbox")

    _first_fn: Callable[[Any], object] | None
    _first_mailbox: Mailbox[Letter]
    _first_context: Context
    # There, or deleted: deleting is how one of several threads gets the place.
    _first_is_free: bool

    _more: list[_Callback] | None = None

    def add_done_callback(self, fn: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Call `fn` with this future when the task has its outcome.

        Args:
            fn: Called on the loop that is running here, if one is, as a callback of that loop;
                otherwise where the future is settled, or at once when it is. What it raises is
                logged.
            context: The context to call it in, on a loop; a copy of the current one if None.

        Raises:
            ForkedPool: The task is with the parent of this process.
        """
        if _process.is_child:
            self._refuse_in_child()  # nobody would ever call it
        loop = _get_running_loop()
        if loop is None:
            self._add((None, context, fn))
            if self._phase in DONE:
                self._call_back()
            return
        mailbox = replies(loop) if here.replies is None or here.loop is not loop else here.replies
        if context is None:
            context = copy_context()
        try:
            del self._first_is_free
        except AttributeError:
            self._add((mailbox, context, fn))
        else:
            self._first_mailbox = mailbox
            self._first_context = context
            self._first_fn = fn  # last, for it says that the other two are there
        if self._phase in DONE:
            mailbox.put(self)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Take every entry of `fn` out again; returns how many there were."""
        removed = 0
        if self._first_fn == fn:
            # The place is not used again: a thread that looked at it before could not tell.
            removed += self._take_first() is not None
        for callback in [callback for callback in self._more or () if callback[2] == fn]:
            removed += self._take(callback)
        return removed

    def arrive(self, mailbox: Mailbox[Letter], /) -> None:
        """For the library: call those callbacks that belong to the running loop."""
        fn = self._first_fn
        if fn is not None and self._first_mailbox is mailbox and (context := self._take_first()) is not None:
            try:
                context.run(fn, self)
            except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the loop of somebody else
                report_callback_error(fn, error)
        if self._more is not None:
            for callback in list(self._more):
                if callback[0] is mailbox:
                    self._call(callback)

    def _call_back(self) -> None:
        """Call those callbacks that belong to no loop, and send word to the loops of the others."""
        if self._more is None:  # the usual case
            self._first_mailbox.put(self)
            return
        mailboxes: list[Mailbox[Letter]] = []
        if self._first_fn is not None:
            mailboxes.append(self._first_mailbox)
            self._first_mailbox.put(self)
        for callback in list(self._more or ()):
            mailbox = callback[0]
            if mailbox is None:
                try:
                    self._call(callback)
                except KeyboardInterrupt:
                    self._call_back()  # the others are owed theirs all the same
                    raise
            elif mailbox not in mailboxes:
                mailboxes.append(mailbox)
                mailbox.put(self)

    def _take_first(self) -> Context | None:
        """The context of the first callback, for the one thread that may call or remove it."""
        try:
            context = self._first_context
            del self._first_context  # one thread only gets past this
        except AttributeError:
            return None
        self._first_fn = None
        return context

    def _add(self, callback: _Callback) -> None:
        # setdefault: of two threads that make the list at the same time, both get the first.
        self.__dict__.setdefault("_more", []).append(callback)

    def _take(self, callback: _Callback) -> bool:
        with contextlib.suppress(ValueError):  # another thread took it
            if self._more is not None:
                self._more.remove(callback)
                return True
        return False

    def _call(self, callback: _Callback) -> None:
        if not self._take(callback):
            return
        _, context, fn = callback
        try:
            if context is None:
                fn(self)
            else:
                context.run(fn, self)
        except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the worker's loop
            report_callback_error(fn, error)
