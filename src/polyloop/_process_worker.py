"""What runs in a worker's process: it gets ready, is told who it is, and becomes a `FrameWorker`."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from typing import TYPE_CHECKING

from ._main_module import import_it
from ._setup import as_it_is, run_worker

if TYPE_CHECKING:
    from types import FrameType


__all__ = ["main"]

# How long what runs may take to clean up once the pool's process is gone, in seconds. With what a busy
# machine needs to notice and to end the process, that has to stay below one second.
ORPHAN_SECONDS = 0.65


def main(number: int, parent: int) -> None:
    """The whole life of the process.

    Args:
        number: The descriptor of its end of the line.
        parent: The process of the pool.
    """
    # Ctrl-C reaches all processes of a terminal; what it means is the pool's to decide. Not SIG_IGN: what is
    # started here would inherit that.
    signal.signal(signal.SIGINT, _take_no_notice)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the pool blocks it until here
    os.set_inheritable(number, False)
    threading.Thread(target=_outlive, args=(parent,), name="polyloop-orphan-watch", daemon=True).start()
    sock = socket.socket(fileno=number)
    run_worker(sock, "process", import_it, as_it_is)


def _take_no_notice(_number: int, _frame: FrameType | None) -> None:
    """Of Ctrl-C."""


def _outlive(parent: int) -> None:
    """End this process soon after its parent, also when the loop is blocked and hears of nothing."""
    if hasattr(os, "pidfd_open"):
        try:
            poll = select.poll()
            poll.register(os.pidfd_open(parent), select.POLLIN)
            poll.poll()
        except ProcessLookupError:
            pass  # it is gone by now
    else:
        return
    threading.Event().wait(ORPHAN_SECONDS)
    os._exit(1)
