"""Calls of items with keys: what there is of a key at a time, where it runs."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests._calls import turn, where

__all__ = ["Pair", "second", "where_of", "where_pair", "work"]

Pair = tuple[str, int]

_running: Counter[str] = Counter()


async def where_of(_: object) -> int:
    """The index of the worker that runs it."""
    return await where()


async def where_pair(_key: str, _number: int) -> int:
    """As `where_of`, of two arguments."""
    return await where()


async def second(item: Pair) -> int:
    """The item's number."""
    return item[1]


async def work(item: Pair) -> tuple[int, int, int]:
    """Take some steps; returns the number, how many of the key ran when this began, and when it began."""
    key, number = item
    _running[key] += 1
    running, began = _running[key], await turn()
    for _ in range(number % 3):
        await asyncio.sleep(0)
    _running[key] -= 1
    return number, running, began
