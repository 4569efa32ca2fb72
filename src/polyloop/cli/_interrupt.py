"""Ctrl-C and SIGTERM: the first asks, the second insists.

The handlers are Python's own and not the loop's: those would wait for a loop that sits in writing to a
full pipe, and Ctrl-C must help there too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

__all__ = ["Interrupt"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATUS_OF_SIGNAL = 128
SHOW_CURSOR = b"\x1b[?25h"


class Interrupt:
    """While it is entered, in the main thread, signals ask the job to stop.

    Attributes:
        signal: The one that has come; None as long as none has.
        on_first: Called in the main thread, in the middle of anything, when the first comes.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.on_first: Callable[[], object] = lambda: None
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def status(self) -> int | None:
        """The exit status it asks for; None if no signal has come."""
        return None if self.signal is None else STATUS_OF_SIGNAL + self.signal

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # Ignored from the start, as shells do for what runs in the background: then it stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def waking(self, loop: asyncio.AbstractEventLoop) -> Generator[None]:
        """Let signals wake `loop`, which runs in the main thread.

        Python calls handlers when the main thread comes to it. A signal that another thread got, or that came
        just before the loop went to sleep, would wait there for whatever wakes the loop next.
        """
        reader, writer = socket.socketpair()
        with reader, writer:
            reader.setblocking(False)
            writer.setblocking(False)
            loop.add_reader(reader, reader.recv, 4096)
            before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(before)
                loop.remove_reader(reader)

    def _handle(self, number: int, _frame: object) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
            self.on_first()
            return
        if sys.stderr.isatty():
            os.write(2, SHOW_CURSOR)  # the progress bar has hidden it
        # Nothing gentler ends at once: exit handlers and `finally` blocks may wait for what is stuck.
        os._exit(STATUS_OF_SIGNAL + self.signal)
