"""Checks of what users hand in: a slip is told where it was made, and by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import cast

__all__ = ["check_key", "count", "flag", "maker", "mapping", "quantity", "seconds", "some_seconds", "text"]


def count(name: str, value: int, *, least: int = 1, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(cast("object", value), int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name}={value} is too small: it must be at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{name}={value} is too large: it must be at most {most}")
    return value


def seconds(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(cast("object", value), int | float):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}={value} must be a finite number of seconds, 0 or more")
    return float(value)


def some_seconds(name: str, value: float) -> float:
    """`value` if it is a number of seconds that is more than none."""
    if not seconds(name, value):
        raise ValueError(f"{name}={value} would be over at once: it must be more than 0 seconds")
    return float(value)


def quantity(name: str, value: float) -> float:
    """`value` if it is so much of something that is shared out: a part of one, or a whole number of them."""
    if isinstance(value, bool) or not isinstance(cast("object", value), int | float):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}={value} must be a finite number, 0 or more")
    if value > 1 and value != int(value):
        raise ValueError(f"{name}={value} must be a whole number: only less than one can be a part")
    return value


def mapping(name: str, value: object) -> None:
    """Check that `value` is a mapping whose keys are strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {value!r}")
    for key in cast("Mapping[object, object]", value):
        text(f"a name in {name}", cast("str", key))


def maker(name: str, value: object) -> None:
    """Check that `value` can be called, or is None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be something to call, not {value!r}")


def text(name: str, value: str) -> str:
    """`value` if it is a string."""
    if not isinstance(cast("object", value), str):
        raise TypeError(f"{name} must be a string, not {value!r}")
    return value


def flag(name: str, value: bool) -> bool:
    """`value` if it is one of the two."""
    if not isinstance(cast("object", value), bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def check_key(key: object, per_key: int | None) -> None:
    """Check a map's function from items to keys, and its cap on the calls of one key."""
    maker("key", key)
    if inspect.iscoroutinefunction(key):
        raise TypeError(
            f"key must be a plain function, not {key!r}: it is called where items are pulled, not awaited"
        )
    if per_key is not None:
        count("per_key", per_key)
        if key is None:
            raise ValueError(f"per_key={per_key} needs key=, the function that says which items it counts")
