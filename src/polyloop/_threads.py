"""How the library starts its threads."""

from __future__ import annotations

import threading
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["daemon_thread", "start_thread"]


def daemon_thread(target: Callable[..., object], name: str, *args: object) -> threading.Thread:
    """A thread, not started yet, that does not keep the process alive, where Python allows that.

    A sub-interpreter has no daemons: at its end it waits for all its threads.
    """
    try:
        return threading.Thread(target=target, args=args, name=name, daemon=True)
    except RuntimeError:
        return threading.Thread(target=target, args=args, name=name, daemon=False)


def start_thread(thread: threading.Thread) -> None:
    """Start a thread, in a context of its own: free-threaded builds let it inherit that of its starter.

    Raises:
        KeyboardInterrupt: Ctrl-C; the thread may have been started.
        Exception: It could not be started.
    """
    try:
        Context().run(thread.start)
    except Exception as error:
        # Ctrl-C can land between two lines of threading's own locks, which then raise another error in its
        # place ("cannot release un-acquired lock"). Taken for what it looks like, there would be no thread,
        # and there is one.
        origin: BaseException | None = error
        while origin is not None and not isinstance(origin, KeyboardInterrupt):
            origin = origin.__context__
        if origin is None:
            raise
        raise origin from None
