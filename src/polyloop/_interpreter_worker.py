"""What runs in a worker's sub-interpreter: it gets ready, is told who it is, and becomes a `FrameWorker`."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from ._extensions import explain
from ._main_module import import_it
from ._setup import run_worker

if TYPE_CHECKING:
    from ._extensions import Extension

__all__ = ["main"]


def main(number: int, over: int) -> None:
    """The whole life of the worker.

    Args:
        number: The descriptor of its end of the line, which is its to close.
        over: The descriptor that is closed once nothing runs in this interpreter any more.
    """
    home = _Home()
    try:
        run_worker(socket.socket(fileno=number), "interpreter", home.prepare, home.explain)
    finally:
        # In a thread of its own. This one is of another interpreter: where the process ends while it waits in
        # here, CPython hangs or crashes.
        threading.Thread(target=_see_threads_out, args=(over,), name="polyloop-last").start()


def _see_threads_out(over: int) -> None:
    """Wait for the threads that what ran here has left behind."""
    try:
        # As at the end of any interpreter, which would do it itself in a moment: idle executors end then.
        for call in reversed(getattr(threading, "_threading_atexits", ())):
            call()
        # The main thread is that of the process.
        for thread in set(threading.enumerate()) - {threading.main_thread()}:
            # This one, and the worker's, which this interpreter has not started, cannot be joined.
            with contextlib.suppress(RuntimeError):
                thread.join()
    finally:
        os.close(over)


class _Home:
    """The program that this interpreter is a part of."""

    def __init__(self) -> None:
        self._extensions: list[Extension] = []

    def prepare(self, preparation: tuple[dict[str, Any], list[Extension]]) -> None:
        """Import the program's main module."""
        main_module, self._extensions = preparation
        # Not the main thread of this interpreter, which is that of the process.
        threading.current_thread().name = main_module["name"]
        import_it(main_module)

    def explain(self, error: BaseException) -> BaseException:
        """See `polyloop._extensions`."""
        return explain(error, self._extensions)
