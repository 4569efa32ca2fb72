"""Errors as bytes: each gets across, as itself or at least as what it said.

Nothing here raises, whatever the class of an error does: it would be the worker that is lost for it.
"""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING

from ._codec import MOST_BYTES
from ._errors import RemoteError, RemoteTraceback
from ._messages import text_of
from ._packing import pack, unpack

if TYPE_CHECKING:
    from ._packing import Packed

__all__ = ["pack_error", "unpack_error"]

# Of the text of a traceback. The rest of one that is longer says the same again, as with a recursion.
MOST_TEXT = 1 << 16
MOST_NOTES = 100


def pack_error(error: BaseException) -> Packed:
    """Pack an error that a task has raised. This works for all of them: see `unpack_error`."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        data = b"".join(pack(error, may_have_buffers=False)[1])
    except BaseException:  # noqa: BLE001 - by the user's code; then only what it said gets across
        data = b""
    if len(data) > MOST_BYTES // 2:
        data = b""
    return pack((name, text_of(error)[:MOST_TEXT], _notes_of(error), _traceback_of(error), data))


def _notes_of(error: BaseException) -> list[str]:
    try:
        return [text_of(note)[:MOST_TEXT] for note in error.__notes__[:MOST_NOTES]]
    except BaseException:  # noqa: BLE001 - there are none, or what has their name is no list
        return []


def _traceback_of(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error))
    except BaseException as failure:  # noqa: BLE001 - by the user's code, or too deep a chain of causes
        text = f"(it could not be formatted: {type(failure).__name__})\n"
    if len(text) > MOST_TEXT:
        left_out = f"[... {len(text) - MOST_TEXT} characters left out ...]"
        text = "\n".join((text[: MOST_TEXT // 2], left_out, text[-MOST_TEXT // 2 :]))
    return text


def unpack_error(payload: memoryview, tag: int) -> BaseException:
    """The error of a task, as it was raised and with the remote traceback as its cause.

    One that cannot be made again here - its class needs other arguments, or holds a lock - is told by a
    `RemoteError`.
    """
    name, message, notes, text, data = unpack(payload, tag)
    remote = RemoteTraceback(text)
    try:
        error = pickle.loads(data) if data else None  # noqa: S301 - see _packing
    except BaseException as failure:  # noqa: BLE001 - whatever the class does in this process
        remote.add_note(
            f"It cannot be made again in this process: {type(failure).__name__}: {text_of(failure)}"
        )
        error = None
    if not isinstance(error, BaseException):
        error = RemoteError(f"{name}: {message}" if message else name, name, message, text)
        for note in notes:
            error.add_note(note)
    # Not by assignment, which the class may refuse: that of a frozen dataclass does.
    BaseException.__setattr__(error, "__cause__", remote)
    return error
