"""A call that writes down when it starts and when it has done what it is for. It imports no pytest."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Journal"]


class Journal:
    """What tasks did, by their own account, in two files: they may run in any process."""

    def __init__(self, folder: Path) -> None:
        self._started, self._committed = folder / "started", folder / "committed"

    async def commit(self, number: int, steps: int) -> int:
        """Start, take so many steps, commit, return."""
        _write(self._started, number)
        for _ in range(steps):
            await asyncio.sleep(0)
        _write(self._committed, number)
        return number

    def started(self) -> set[int]:
        """The tasks that have started by now."""
        return _read(self._started)

    def committed(self) -> set[int]:
        """Those that have committed by now."""
        return _read(self._committed)


def _write(file: Path, number: int) -> None:
    end = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(end, b"%d\n" % number)
    finally:
        os.close(end)


def _read(file: Path) -> set[int]:
    return set(map(int, file.read_bytes().split())) if file.exists() else set()
