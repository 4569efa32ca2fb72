"""What a test may leave behind: nothing.

Two fixtures that every test gets without asking. One compares threads, file descriptors and child
processes after the test with those before it. The other fails a test in which polyloop or asyncio
logged a warning, which is also how a task that was destroyed while pending shows.

Exceptions in threads and in finalizers, and coroutines nobody awaited, are not looked for here: pytest
makes warnings of them, and our settings make those errors.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests._open_pool import ON_RAY
from tests._scorecard import current_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["expected_logs", "log_watch", "logged", "no_late_logs", "no_leaks", "verdicts"]

PATIENCE = 2.0
"""How long to wait, in seconds, for threads and processes that are just ending."""

WATCHED_LOGGERS = ("asyncio", "polyloop")

verdicts: Counter[tuple[str, bool]] = Counter()
"""How many tests on which backend, if any, have left nothing behind, and how many something."""


@pytest.fixture(autouse=True)
def no_leaks(log_watch: LogWatch) -> Iterator[None]:
    """Fail a test that leaves a thread, a file descriptor or a child process behind.

    It comes after `log_watch`, so that what an ending thread logs is still seen.
    """
    before = Inventory.take()
    yield
    leaks = before.leaks()
    verdicts[current_backend(), not leaks] += 1
    if leaks:
        pytest.fail("the test left behind:\n  " + "\n  ".join(leaks), pytrace=False)


@pytest.fixture(autouse=True)
def log_watch() -> Iterator[LogWatch]:
    """Fail a test in which a watched logger warned, unless it asked for `expected_logs`."""
    with LogWatch() as watch:
        yield watch
    watch.check("the test logged what it did not expect")


@pytest.fixture
def expected_logs(log_watch: LogWatch) -> list[logging.LogRecord]:
    """What polyloop and asyncio logged at WARNING or above; a test that asks for it may cause some."""
    log_watch.are_expected = True
    return log_watch.records


@pytest.fixture
def logged(expected_logs: list[logging.LogRecord], capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """All that was logged, wherever: a worker in another process or interpreter writes it to stderr."""
    if ON_RAY:
        pytest.skip("on Ray what workers write goes to Ray's own logs, on their node")
    written: list[str] = []

    def text() -> str:
        written.append(capfd.readouterr().err)
        return "\n".join([*map(logging.Formatter().format, expected_logs), *written])

    return text


@pytest.fixture(scope="session", autouse=True)
def no_late_logs() -> Iterator[None]:
    """Fail the run if destroying the last cyclic garbage logs something, as a pending task does.

    Not after each test: a full collection takes longer than most tests do.
    """
    yield
    with LogWatch() as watch:
        gc.collect()
    watch.check("some test, not necessarily this one, left garbage that logged")


class LogWatch(logging.Handler):
    """Collects what the watched loggers say at WARNING or above, from any thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.are_expected = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record; `Handler.handle` holds the handler's lock meanwhile."""
        self.records.append(record)

    def __enter__(self) -> Self:
        for name in WATCHED_LOGGERS:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in WATCHED_LOGGERS:
            logging.getLogger(name).removeHandler(self)

    def check(self, complaint: str) -> None:
        """Fail the test if something was logged that nobody expected."""
        if self.records and not self.are_expected:
            formatter = logging.Formatter("%(levelname)s %(name)s: %(message)s")
            pytest.fail("\n".join([complaint + ":", *map(formatter.format, self.records)]), pytrace=False)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What this process holds at one moment."""

    threads: frozenset[threading.Thread]
    descriptors: frozenset[Descriptor]
    children: frozenset[int]

    @classmethod
    def take(cls) -> Inventory:
        """Look at this process now."""
        return cls(_running_threads(), _open_descriptors(), _child_processes())

    def leaks(self) -> list[str]:
        """Describe what came since, once what is just ending has had the time to end."""
        deadline = time.monotonic() + PATIENCE
        for thread in _running_threads() - self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        # Nothing tells when a child is reaped or a descriptor closed by something that is no `Thread`,
        # so this looks again; a test that leaks nothing does not get here twice.
        while (found := self._describe_new()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def _describe_new(self) -> list[str]:
        now = Inventory.take()
        return [
            *(f"thread {thread!r}" for thread in now.threads - self.threads),
            *(f"file descriptor {d.number} ({d.target()})" for d in now.descriptors - self.descriptors),
            *(f"child process {pid} ({_command_of(pid)})" for pid in now.children - self.children),
        ]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A file descriptor; device and inode tell whether its number stands for another file by now."""

    number: int
    device: int
    inode: int

    def target(self) -> str:
        """What it refers to, where the system tells."""
        try:
            return str(Path(f"/proc/self/fd/{self.number}").readlink())
        except OSError:
            return "unknown target"


def _running_threads() -> frozenset[threading.Thread]:
    # A thread that was not started by `threading` but asked for its `current_thread` stays in the list
    # for ever on 3.11 and 3.12. It is gone when it has no frame any more.
    running = sys._current_frames()
    return frozenset(
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread) or thread.ident in running
    )


def _open_descriptors() -> frozenset[Descriptor]:
    found: set[Descriptor] = set()
    if ON_RAY:
        return frozenset()  # Ray keeps connections to actors that are gone for a while
    for directory in ("/proc/self/fd", "/dev/fd"):
        if Path(directory).is_dir():
            for name in os.listdir(directory):  # noqa: PTH208 - iterdir() makes a Path of each for nothing
                _add_descriptor(found, int(name))
            break
    return frozenset(found)


def _add_descriptor(found: set[Descriptor], number: int) -> None:
    try:
        status = os.fstat(number)
    except OSError:
        return  # it was closed since, as the one that was opened to list the directory
    found.add(Descriptor(number, status.st_dev, status.st_ino))


def _child_processes() -> frozenset[int]:
    # Linux keeps the list by the thread that started the child. Elsewhere children are not looked for.
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, children.read_text().split()))
        except OSError:
            continue  # the thread ended since; its children are listed with another
    return frozenset(found)


def _command_of(pid: int) -> str:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "it has ended since"
    return arguments.strip() or "it ended, and was not waited for"
