"""Calls that say over a socket that they run, and go on when the test says so; one kind kills its process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from tests._gate import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Referee", "Run", "die", "pass_by"]


async def pass_by(port: int, number: int) -> int:
    """Return the number, when the test has let this run go on."""
    await _arrive(port, "bystander")
    return number


async def die(port: int) -> Never:
    """End the process, when the test has let this run go on."""
    await _arrive(port, "killer")
    os._exit(3)


async def _arrive(port: int, role: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{role} {os.getpid()}\n".encode())
    await reader.read()  # until the other end is closed
    writer.close()


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a call.

    Attributes:
        role: Which kind of call it is.
        pid: The process it runs in.
        line: Closed to let it go on.
    """

    role: str
    pid: int
    line: socket.socket


class Referee:
    """The test's end of it: sees every run of a call, and holds it up for as long as it wants."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self._runs: list[Run] = []
        self._usher = threading.Thread(target=self._let_pass)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._usher.ident is not None:
            self._usher.join()
        for run in self._runs:
            run.line.close()

    def wait_for(self, count: int) -> None:
        """Wait for so many more runs."""
        for _ in range(count):
            self._wait_for_one()

    def runs_of(self, role: str) -> list[Run]:
        """Those of this kind of call so far, in their order."""
        return [run for run in list(self._runs) if run.role == role]

    def let_all_pass(self) -> None:
        """From now on hold nobody up."""
        self._usher.start()

    def _wait_for_one(self) -> Run:
        line, _ = self._listener.accept()
        with line.makefile() as words:
            role, pid = words.readline().split()
        run = Run(role, int(pid), line)
        self._runs.append(run)
        return run

    def _let_pass(self) -> None:
        try:
            while True:
                self._wait_for_one().line.close()
        except OSError:
            pass  # the test is over
