"""Calls to other processes and interpreters that log. It imports what works everywhere, and no pytest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from tests import _carried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "tests.forwarded"
log = logging.getLogger(NAME)


class Odd:
    """It cannot be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("not me")

    def __str__(self) -> str:
        return "an odd thing"


async def say(text: str, level: int = logging.INFO) -> None:
    """Log that."""
    log.log(level, "%s", text)


async def say_who() -> tuple[int, str, str, str]:
    """Log, and return what the record should have: process, its name, the thread's and the task's."""
    log.warning("here", extra={"order": 7, "odd": Odd(), "pair": (1, 2)}, stack_info=True)
    task = asyncio.current_task()
    name = "" if task is None else task.get_name()
    return os.getpid(), _process_name(), threading.current_thread().name, name


def _process_name() -> str:
    from multiprocessing import current_process  # noqa: PLC0415 - where it is asked for

    return current_process().name


async def say_failure() -> None:
    """Log an error with its traceback."""
    try:
        raise LookupError("as told")
    except LookupError:
        log.exception("it failed")


async def say_odd_things() -> str:
    """Log what cannot be pickled, and what cannot be formatted."""
    log.info("with %s", Odd())
    log.info(Odd())
    log.info("%d and %d", "one")  # noqa: PLE1206 - the slip is what is to be seen
    log.info("after that")
    return "went on"


async def say_in_order(count: int) -> None:
    """Log numbers."""
    for number in range(count):
        log.info("%d", number)


def say_beside(text: str) -> str:
    """Log that in a thread; returns its name."""
    log.info("%s", text)
    return threading.current_thread().name


def say_much_beside(count: int) -> None:
    """Log numbers in a thread, now and then so much that the line is full."""
    for number in range(count):
        log.info("%d", number, extra={"filling": "x" * (5000 if number % 50 == 0 else 5)})


async def say_and_die(text: str) -> None:
    """Log that, and end the process."""
    log.error("%s", text)
    os._exit(3)


async def say_in_child() -> int:
    """Fork; the child logs, and the worker does so after it. Returns the child's exit status."""
    child = os.fork()
    if not child:
        log.error("by the child")
        os._exit(0)
    status = os.waitpid(child, 0)[1]  # noqa: ASYNC222 - nothing else runs here
    log.error("by the worker")
    return status


async def levels() -> tuple[bool, bool, int]:
    """Whether one logger lets debugging pass and another one information, and how many handlers there are."""
    return (
        log.isEnabledFor(logging.DEBUG),
        logging.getLogger("tests.quiet").isEnabledFor(logging.INFO),
        len(logging.root.handlers),
    )


async def say_with_user() -> None:
    """Log by a record factory that looks at a context variable."""
    plain = logging.getLogRecordFactory()

    def with_user(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.user = _carried.user.get()
        return record

    logging.setLogRecordFactory(with_user)
    try:
        log.info("by somebody")
    finally:
        logging.setLogRecordFactory(plain)


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Log at both ends."""
    log.info("beginning")
    yield
    await asyncio.sleep(0)
    log.info("end")


class BadBeginning(contextlib.AbstractAsyncContextManager[None]):
    """Log, and raise."""

    async def __aenter__(self) -> None:
        log.info("about to fail")
        raise LookupError("no start")

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class LateLoop(asyncio.SelectorEventLoop):
    """It logs when it is closed, which is the last thing that happens to it."""

    def close(self) -> None:
        log.error("too late")
        super().close()


@contextlib.asynccontextmanager
async def bad_end() -> AsyncIterator[None]:
    """Raise at the end."""
    yield
    raise LookupError("no end")


async def nothing(number: int = 0) -> int:
    """Return what it is given."""
    return number
