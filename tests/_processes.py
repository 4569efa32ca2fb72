"""Python programs in processes of their own, for what a test cannot do to its own process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["MAY_MISS_SIGNALS", "Ended", "Program", "run_python"]

MAY_MISS_SIGNALS = sys.version_info < (3, 14) and bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""CPython 3.13 free-threaded misses a signal that comes just before its main thread blocks on a lock.

It hears the next one. Seen in 11 of 63 runs of this with SIGINT sent as soon as it prints; 0 of 566 on 3.11::

    import threading

    threading.Thread(target=threading.Event().wait, daemon=True).start()
    lock = threading.Lock()
    lock.acquire()
    print("ready", flush=True)
    lock.acquire()
"""

LIMIT = 30.0
"""How long a program may run, in seconds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        status: Its exit status; minus the signal that killed it.
        output: What it printed.
        errors: What it printed to stderr.
        seconds: From the line it was told to go on with, or from its start.
    """

    status: int
    output: str
    errors: str
    seconds: float


class Program:
    """A running Python program, given as code or as its file; it does not outlive the test."""

    def __init__(self, code: str | Path, *arguments: object) -> None:
        program = [str(code)] if isinstance(code, Path) else ["-c", textwrap.dedent(code)]
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a group of its own, so that it can be ended with its children
        )
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_for_line(self) -> str:
        """Wait until the program has printed a line, and return it."""
        assert self._process.stdout is not None
        line = b""
        # Byte by byte: what a buffer reads ahead - all the rest, if the program has ended - is lost to
        # communicate(), which reads past it.
        while not line.endswith(b"\n") and (byte := os.read(self._process.stdout.fileno(), 1)):
            line += byte
        self._began = time.monotonic()
        return line.decode().strip()

    def pause(self, seconds: float) -> None:
        """Let the program run for some time; how far it gets is left to chance."""
        time.sleep(seconds)

    def interrupt(self, *, at_rest: bool = False) -> None:
        """Press Ctrl-C; `at_rest`, when its main thread has come to wait for something."""
        if MAY_MISS_SIGNALS or at_rest:
            self._wait_until_it_sleeps()
        self._began = time.monotonic()
        self._process.send_signal(signal.SIGINT)

    def interrupt_group(self, *, at_rest: bool = False) -> None:
        """Press Ctrl-C in its terminal, where the processes that it has started get the signal too.

        With `at_rest`, when its main thread has come to wait: Python looks for signals before it blocks on a
        lock, and one that comes after the look is heard when the waiting ends. (Seen in 6 of 520 runs on 3.11
        under load, and in 0 of 440 at rest.)
        """
        if MAY_MISS_SIGNALS or at_rest:
            self._wait_until_it_sleeps()
        self._began = time.monotonic()
        os.killpg(self._process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Ask it to end, as ``kill`` does."""
        if MAY_MISS_SIGNALS:
            self._wait_until_it_sleeps()
        self._began = time.monotonic()
        self._process.terminate()

    def kill(self) -> None:
        """Kill it, and none of the processes that it has started."""
        self._process.kill()

    def _wait_until_it_sleeps(self) -> None:
        """Return when the program's main thread seems to have come to rest; nothing tells of that."""
        rests = 0
        deadline = time.monotonic() + 1.0
        while rests < 5 and time.monotonic() < deadline:
            state = (
                Path(f"/proc/{self._process.pid}/stat")
                .read_text(encoding="utf-8")
                .rpartition(")")[2]
                .split()[0]
            )
            rests = rests + 1 if state == "S" else 0
            time.sleep(0.01)

    def end(self, limit: float = LIMIT) -> Ended:
        """Wait for its end; one that hangs fails the test with the stacks of its threads."""
        try:
            output, errors = self._process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - self._began
            os.killpg(self._process.pid, signal.SIGABRT)  # faulthandler prints the stacks
            output, errors = self._process.communicate()
            pytest.fail(f"the program still ran after {seconds:.1f} s:\n{output}\n{errors}", pytrace=False)
        return Ended(self._process.returncode, output, errors, time.monotonic() - self._began)


def run_python(code: str | Path, *arguments: object, limit: float = LIMIT) -> Ended:
    """Run a program to its end."""
    with Program(code, *arguments) as program:
        return program.end(limit)
