"""Programs that end while a pool of theirs is open, on any backend."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tests._processes import Program

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Leaving"]

PROGRAM = """
import asyncio, os, sys, threading
import polyloop

async def work(file):
    try:
        await asyncio.Event().wait()
    finally:
        CLEAN_UP
        end = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.write(end, b".")
        os.close(end)

async def nothing():
    pass

if __name__ == "__main__":
    pool = polyloop.LoopPool(2, backend="BACKEND", name="left-open")
    pool.open()
    futures = [pool.submit(work, sys.argv[1]) for _ in range(TASKS)]
    pool.broadcast(nothing).result()  # what was sent before has started
    print("ready", flush=True)
"""


class Leaving:
    """A program with tasks that wait for ever and then clean up, and does something in the end.

    Args:
        folder: Where its files are.
        backend: Of its pool.
        then: What it does when all tasks have started.
        tasks: How many there are.
        clean_up: What each does in its ``finally`` beforehand.
    """

    def __init__(
        self, folder: Path, backend: str, then: str = "", *, tasks: int = 10, clean_up: str = "pass"
    ) -> None:
        self._file = folder / "cleaned"
        self._file.touch()
        script = folder / "program.py"
        code = PROGRAM.replace("BACKEND", backend).replace("TASKS", str(tasks)).replace("CLEAN_UP", clean_up)
        script.write_text(code + textwrap.indent(textwrap.dedent(then), "    "), encoding="utf-8")
        self.program = Program(script, self._file)

    @property
    def cleaned(self) -> int:
        """How many tasks have cleaned up."""
        return self._file.stat().st_size
