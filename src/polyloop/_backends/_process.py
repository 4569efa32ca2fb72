"""Workers in processes: started anew, never forked, with one private socket and nothing else of the pool.

``forkserver`` listens on a named socket and leaves its directory behind, and ``fork`` copies locks that
nobody lets go of any more. So this is ``subprocess``, with the main module prepared as multiprocessing's
spawn does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from multiprocessing import spawn, util
from typing import TYPE_CHECKING, Any

from .._frame_backend import FrameBackend
from .._main_module import can_be_imported, main_module

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Sequence

    from .._local import Worker
    from .._log_handling import LogListener
    from .._variables import Variable

__all__ = ["Process", "ProcessBackend"]

# The path is set before anything is imported: a module of the working directory must not take the place of
# one of the standard library, and this library may have been found where only the program looks.
_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from polyloop._process_worker import main
main(*map(int, sys.argv[2:]))
"""


class ProcessBackend(FrameBackend):
    """Makes workers that live in processes of their own: see `Backend`.

    Args:
        loop_factory: Makes each worker's loop, there; None is asyncio's own.
        lifespan: Entered and left on each worker's loop, there.
        stall_limit: Seconds that a loop may not answer until its process is killed; None is for ever.
        carry: The context variables that calls take along.
        logs: Handles what is logged there, if that is wanted.

    Raises:
        RuntimeError: Not on this system.
    """

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        stall_limit: float | None = None,
        *,
        carry: Sequence[Variable] = (),
        logs: LogListener | None = None,
    ) -> None:
        super().__init__(
            "process",
            loop_factory,
            lifespan,
            make_place=Process,
            prepare=main_module,
            imports_main=can_be_imported(),
            stall_limit=stall_limit,
            carry=carry,
            logs=logs,
        )


class Process:
    """A process of its own: see `Place`."""

    can_be_ended = True
    may_lose_words = False

    def __init__(self, _worker: Worker) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._sentinel: int | None = None

    def begin(self, sock: socket.socket, /) -> None:
        """See `Place`."""
        path = json.dumps(sys.path, default=str)
        number = sock.fileno()
        interpreter: Any = util
        flags: list[str] = interpreter._args_from_interpreter_flags()  # as multiprocessing does
        # Of this thread, which no signal is for; the process inherits it, and is deaf to Ctrl-C until it has
        # said what that means there.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process = subprocess.Popen(  # noqa: S603 - this program, and no shell
            [
                os.fsdecode(spawn.get_executable()),
                *flags,
                "-P",
                "-c",
                _PROGRAM,
                path,
                str(number),
                str(os.getpid()),
            ],
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
        )
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(
                OSError
            ):  # an old kernel: then the end of the line is all there is to see
                self._sentinel = os.pidfd_open(self._process.pid)

    def sentinel(self) -> int | None:
        """See `Place`."""
        return self._sentinel

    def kill(self) -> None:
        """See `Place`."""
        if self._process is not None:
            self._process.kill()  # which does nothing to one that has been waited for

    def end(self, timeout: float) -> str:
        """See `Place`."""
        process = self._process
        if process is None:
            return "process was never started"
        if timeout and self._sentinel is not None:
            poll = select.poll()
            poll.register(self._sentinel, select.POLLIN)
            poll.poll(timeout * 1000)
        elif timeout:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
        process.kill()
        status = process.wait()
        if self._sentinel is not None:
            os.close(self._sentinel)
            self._sentinel = None
        if status >= 0:
            return f"process {process.pid} ended with exit status {status}"
        return f"process {process.pid} was killed by {signal.Signals(-status).name}"

    def forked(self) -> None:
        """See `Place`."""
        if self._sentinel is not None:
            os.close(self._sentinel)
        if self._process is not None:
            self._process.returncode = 0  # so that nobody here waits for it, or is told that nobody did
