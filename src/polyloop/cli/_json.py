"""JSON as this command line reads and writes it: strict, one value a line, as UTF-8.

NaN and infinities, which Python's json lets through in both directions, are not JSON and are refused.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

__all__ = ["decode", "encode", "one_line"]

# Outside of strings, JSON has only the first two, as space; inside, only the others.
LINE_ENDS = str.maketrans({"\r": " ", "\n": " ", "\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _encode_other(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
"""The value of a JSON text; raises ValueError or RecursionError."""

_readable = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_encode_other).encode
_escaped = json.JSONEncoder(ensure_ascii=True, allow_nan=False, default=_encode_other).encode


def encode(value: Any) -> str:
    """The JSON text of a value; bytes become text, or an object with "base64".

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A number in it is not finite, or it contains itself.
        RecursionError: It is nested too deeply.
    """
    text = _readable(value)
    if text.isascii():
        return text
    # Half of a surrogate pair cannot be written as UTF-8, only as an escape.
    return one_line(text) if _is_writable(text) else _escaped(value)


def one_line(text: str) -> str:
    """A JSON text, without what some readers take for the end of a line."""
    return text.translate(LINE_ENDS)


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
