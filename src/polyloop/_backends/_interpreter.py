"""Workers in sub-interpreters of this process: each with a GIL of its own, none with memory in common.

They are not shielded from each other as processes are: what crashes one, crashes all. And CPython can neither
end one that runs nor be forked while there are any.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import platform
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._extensions import loaded_extensions
from .._frame_backend import FrameBackend
from .._main_module import can_be_imported, main_module
from .._process import dread_forks, welcome_forks
from .._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    import asyncio
    import contextlib
    import socket
    from collections.abc import Callable, Sequence

    from .._extensions import Extension
    from .._local import Worker
    from .._log_handling import LogListener
    from .._variables import Variable

__all__ = ["Interpreter", "InterpreterBackend"]

logger = logging.getLogger("polyloop")

SINCE = (3, 14)
# How long the worker may take to come out of there once it has hung up, in seconds: nothing keeps it but what
# else the machine does.
RETURN_SECONDS = 2.0
# How long threads beside the loop may take to end once that has, in seconds.
LAST_SECONDS = 0.4
# To close an interpreter takes some 50 ms, and more on a machine that has much else to do.
CLOSING_SECONDS = 5.0

# As for processes: the path is set before anything is imported.
_PROGRAM = """\
import sys
sys.path[:] = path
from polyloop._interpreter_worker import main
"""

_FORK = (
    "this process has sub-interpreters and is about to be forked: CPython crashes in the child (gh-101437, "
    "gh-139759); start processes with subprocess, or with multiprocessing's 'spawn' or 'forkserver', or fork "
    "while no pool with backend='interpreter' is open"
)


class InterpreterBackend(FrameBackend):
    """Makes workers that live in sub-interpreters: see `Backend`.

    Args:
        loop_factory: Makes each worker's loop, there; None is asyncio's own.
        lifespan: Entered and left on each worker's loop, there.
        carry: The context variables that calls take along.
        logs: Handles what is logged there, if that is wanted.

    Raises:
        RuntimeError: This Python, or this system, does not have them.
    """

    def __init__(
        self,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        *,
        carry: Sequence[Variable] = (),
        logs: LogListener | None = None,
    ) -> None:
        if sys.version_info < SINCE or platform.python_implementation() != "CPython":
            raise RuntimeError(
                "backend='interpreter' needs CPython 3.14 or later, and this is "
                f"{platform.python_implementation()} {platform.python_version()}; use 'process' or 'thread'"
            )
        super().__init__(
            "interpreter",
            loop_factory,
            lifespan,
            make_place=Interpreter,
            prepare=_preparation,
            imports_main=can_be_imported(),
            carry=carry,
            logs=logs,
        )


def _preparation(name: str) -> tuple[dict[str, Any], list[Extension]]:
    main = main_module(name)
    # The directory is the process's, and the program may go to another one meanwhile.
    main.pop("dir", None)
    return main, loaded_extensions()


class _Interpreter(Protocol):
    """Of ``concurrent.interpreters.Interpreter``, what is used here: type checkers of 3.11 know of none."""

    def prepare_main(self, **names: object) -> None: ...
    def exec(self, code: str, /) -> None: ...
    def close(self) -> None: ...


class Interpreter:
    """A sub-interpreter, and the thread that it runs in: see `Place`.

    The thread is a daemon, for one that is stuck must not keep the process alive. It closes the interpreter
    as soon as nothing runs there any more, however late that is.
    """

    can_be_ended = False
    may_lose_words = False

    def __init__(self, worker: Worker) -> None:
        self._name = worker.name
        self._thread: threading.Thread | None = None
        self._is_given_up = False
        self._has_returned = threading.Event()
        self._is_quiet = threading.Event()
        self._is_pythons = False
        self._closing = threading.Lock()
        self._became = "interpreter was never started"

    def begin(self, sock: socket.socket, /) -> None:
        """See `Place`."""
        interpreters = importlib.import_module("concurrent.interpreters")
        interpreter = cast("_Interpreter", interpreters.create())
        dread_forks(self, _FORK)
        # At the end of the process Python closes those that are left, in its main thread. Threads run on
        # meanwhile: one that closed the same interpreter crashed the process, or hung it up.
        atexit.register(self._leave_to_python)
        descriptors: list[int] = []
        try:
            interpreter.prepare_main(path=tuple(map(str, sys.path)))
            interpreter.exec(_PROGRAM)
            descriptors += os.pipe()
            descriptors.append(os.dup(sock.fileno()))
            thread = daemon_thread(self._main, self._name, interpreter, *descriptors)
            start_thread(thread)
        except BaseException:
            for number in descriptors:
                os.close(number)
            self._close(interpreter)
            raise
        self._thread = thread

    def sentinel(self) -> int | None:
        """See `Place`: the end of the line is all there is to see."""
        return None

    def kill(self) -> None:
        """See `Place`."""
        self._is_given_up = True

    def end(self, timeout: float) -> str:
        """See `Place`."""
        if self._is_given_up:
            return "interpreter was left to itself"
        if self._thread is not None:
            self._has_returned.wait(RETURN_SECONDS)
            if self._is_quiet.wait(LAST_SECONDS):
                self._thread.join(CLOSING_SECONDS)
            else:
                logger.warning(
                    "the interpreter of %s cannot be closed yet: a thread beside its loop still runs; the "
                    "program cannot exit before that has ended",
                    self._name,
                )
        return self._became

    def forked(self) -> None:
        """See `Place`: CPython has crashed by then."""

    def _main(self, interpreter: _Interpreter, reader: int, writer: int, number: int) -> None:
        try:
            interpreter.exec(f"main({number}, {writer})")
            self._became = "interpreter ended"
            self._has_returned.set()
            # Until nothing runs there any more. Not in close(), which would wait for that too, and may not
            # be under way when the process ends.
            os.read(reader, 1)
        except Exception as error:  # noqa: BLE001 - what it says is all that comes out of an interpreter
            self._became = f"interpreter ended: {error}"
        finally:
            self._has_returned.set()
            self._is_quiet.set()
            os.close(reader)
            self._close(interpreter)

    def _close(self, interpreter: _Interpreter) -> None:
        with self._closing:
            if not self._is_pythons:
                try:
                    interpreter.close()
                except Exception:
                    logger.exception("the interpreter of %s could not be closed", self._name)
                atexit.unregister(self._leave_to_python)
                welcome_forks(self)
                return
        # For ever: to return would be to drop the last reference, which closes it too.
        threading.Event().wait()

    def _leave_to_python(self) -> None:
        with self._closing:
            self._is_pythons = True
