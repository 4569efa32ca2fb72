"""Results, one JSON object a line, written soon after they come.

A result that JSON cannot hold is an error of its item. An output that fails ends the job.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Any, cast

from ._json import encode
from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ._inputs import Item

__all__ = ["Sink", "empty_output", "error_line", "open_output", "result_line"]

STANDARD_OUTPUT = 1

# Lines are kept back until there are so many bytes of them, or so many seconds have passed: a system call
# for each would cost more than a small item does.
FLUSH_BYTES = 64 * 1024
FLUSH_SECONDS = 0.1


def result_line(item: Item, result: Any) -> str:
    """The line of an item that went well.

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold the result.
    """
    return f'{{"index": {item.index}, "item": {item.text}, "result": {encode(result)}}}\n'


def error_line(item: Item, error: BaseException) -> str:
    """The line of an item that failed."""
    described = encode({"type": type(error).__qualname__, "message": _message_of(error)})
    return f'{{"index": {item.index}, "item": {item.text}, "error": {described}}}\n'


def _message_of(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001 - any error's __str__ may raise anything
        return f"(its text could not be made: {type(second).__name__})"
    if isinstance(error, BaseExceptionGroup):
        # The message of a group says only how many it holds.
        group = cast("BaseExceptionGroup[BaseException]", error)
        inner = "; ".join(f"{type(inner).__qualname__}: {_message_of(inner)}" for inner in group.exceptions)
        return f"{message}: {inner}"
    return message


def open_output(name: str, source_file: int) -> int:
    """The descriptor of an output, not emptied yet; of standard output for ``-``.

    Args:
        name: A path, or ``-``.
        source_file: The descriptor of the input, which must not be overwritten.

    Raises:
        WrongUsage: It cannot be written to, or is the input.
    """
    if name == "-":
        if sys.stdout is None:
            raise WrongUsage("standard output is closed; name a file to write to with -o")
        return STANDARD_OUTPUT
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        if os.path.sameopenfile(descriptor, source_file):
            os.close(descriptor)
            raise WrongUsage(f"{name} is the input too; writing to it would destroy what is still to be read")
    except OSError as error:
        raise WrongUsage(f"cannot write to {name}: {error.strerror}") from None
    return descriptor


def empty_output(descriptor: int) -> None:
    """Cut off what an output that was opened has in it; what somebody else opened may be appended to."""
    # A pipe or a device has nothing to cut off.
    if descriptor != STANDARD_OUTPUT and stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.ftruncate(descriptor, 0)


class Sink:
    """Writes lines to a descriptor, in batches; owned by one loop.

    Once writing has failed, `error` is set and every other line is dropped.

    Args:
        descriptor: Where to.
        loop: Whose timer ends the waiting for a batch to fill.
        on_error: Called once, when writing has failed.
    """

    def __init__(
        self, descriptor: int, loop: asyncio.AbstractEventLoop, on_error: Callable[[], None]
    ) -> None:
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._loop = loop
        self._on_error = on_error
        self._parts: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: str) -> None:
        """Write it, or keep it until it is worth writing."""
        data = line.encode()
        self._parts.append(data)
        self._size += len(data)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was kept back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self.error is not None:
            return
        try:
            _write_all(self._descriptor, data)
        except OSError as error:
            self.error = error
            self._on_error()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Somebody who shares the descriptor has made it non-blocking.
            select.select([], [descriptor], [])
