"""Log records as bytes, for a worker that shares no memory with its pool.

What a handler may want of a record crosses: the message as a text, whatever its arguments are, and the text
of the traceback. What else somebody has put on it crosses as it is, if it can, and otherwise as what it says.
"""

from __future__ import annotations

import logging
import pickle
from typing import TYPE_CHECKING, Any

from ._messages import text_of
from ._packing import pack, unpack

if TYPE_CHECKING:
    from ._packing import Packed

__all__ = ["pack_record", "unpack_record"]

_FORMATTER = logging.Formatter()
# What pickle needs nobody's code for.
_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
# Handlers that have seen the record leave these on it.
_TRACES = ("message", "asctime")


def pack_record(record: logging.LogRecord) -> Packed:
    """Pack a record.

    Raises:
        Exception: Its message and its arguments do not go together.
    """
    fields = dict(vars(record))
    for name in _TRACES:
        fields.pop(name, None)
    # A text that is exactly one: the pool need not know the classes of the worker.
    fields["msg"] = str.__str__(record.getMessage())
    fields["args"] = None
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = _FORMATTER.formatException(record.exc_info)
    fields["exc_info"] = None
    others = {name: fields.pop(name) for name in list(fields) if type(fields[name]) not in _PLAIN}
    return pack((fields, {name: _pickled(value) for name, value in others.items()}))


def unpack_record(payload: memoryview, tag: int) -> logging.LogRecord:
    """The record, made by this process's own factory, with what the worker has put on it."""
    fields, others = unpack(payload, tag)
    fields.update((name, _made_again(data)) for name, data in others.items())
    return logging.makeLogRecord(fields)


def _pickled(value: object) -> bytes:
    try:
        return pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001 - pickle raises all kinds
        return pickle.dumps(text_of(value))


def _made_again(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301 - see _packing
    except Exception as error:  # noqa: BLE001 - whatever the class does in this process
        return f"(it cannot be made again in this process: {type(error).__name__}: {text_of(error)})"
