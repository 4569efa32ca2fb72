"""Events that cross processes: a call says that it has come so far, and waits for the test to let it go on.

They are two named pipes in a folder of the test's. The test holds both ends of each, so that nobody blocks
in opening them, and nothing is lost when a worker is killed.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING, Self

from tests._gate import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Gate", "block_at", "pass_through", "say", "write_down"]


class Gate:
    """The test's side; ``path`` is what calls are given."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = str(folder)
        self._ends: list[int] = []
        for name in ("said", "opened"):
            os.mkfifo(folder / name)
            self._ends.append(os.open(folder / name, os.O_RDWR))
        self._said, self._opened = self._ends
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for end in self._ends:
            os.close(end)

    def hear(self) -> str:
        """Wait for the next word that a call has said."""
        poll = select.poll()
        poll.register(self._said, select.POLLIN)
        while b"\n" not in self._rest:
            assert poll.poll(PATIENCE * 1000), "a call did not say what the test waits for"
            self._rest += os.read(self._said, 4096)
        word, _, self._rest = self._rest.partition(b"\n")
        return word.decode()

    def hear_pid(self) -> int:
        """Wait for a call to start; returns its process."""
        return int(self.hear())

    def hears_nothing(self) -> bool:
        """Whether no call has said anything more so far."""
        poll = select.poll()
        poll.register(self._said, select.POLLIN)
        return not self._rest and not poll.poll(0)

    def open(self) -> None:
        """Let everybody through, now and later."""
        os.write(self._opened, b".")


def say(path: str, word: object | None = None) -> None:
    """Tell the test: the number of this process, or a word."""
    write_down(f"{path}/said", os.getpid() if word is None else word)


def write_down(file: str, word: object) -> None:
    """Append a line to a file, in one piece whoever else does so."""
    end = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(end, f"{word}\n".encode())
    finally:
        os.close(end)


async def pass_through(path: str) -> None:
    """Wait until the gate is open."""
    loop = asyncio.get_running_loop()
    is_open = asyncio.Event()
    end = os.open(f"{path}/opened", os.O_RDONLY | os.O_NONBLOCK)
    try:
        loop.add_reader(end, is_open.set)
        await is_open.wait()
    finally:
        loop.remove_reader(end)
        os.close(end)


def block_at(path: str) -> None:
    """Block this thread until the gate is open."""
    end = os.open(f"{path}/opened", os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.poll()
    finally:
        os.close(end)
