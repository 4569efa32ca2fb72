"""What pools are opened with, where that runs in workers' processes: lifespans, loops, clients."""

from __future__ import annotations

import os
import time
from typing import Self

from polyloop import current_worker
from tests.process._gates import block_at, pass_through, say, write_down


class Client:
    """What is opened once per loop."""

    def __init__(self, file: str) -> None:
        self.file = file

    async def name(self) -> str:
        """The file."""
        return self.file

    async def __aenter__(self) -> str:
        write_down(self.file, f"open {current_worker().index}")
        return f"client {current_worker().index}"

    async def __aexit__(self, *exc_info: object) -> None:
        write_down(self.file, f"close {current_worker().index}")


def make_client() -> Client:
    """A client that writes to the file that the environment names."""
    return Client(os.environ["POLYLOOP_TEST_CLIENTS"])


class Lifespan:
    """A factory of lifespans that is its own lifespan."""

    def __call__(self) -> Self:
        """As a function that makes one."""
        return self

    async def __aenter__(self) -> object:
        return None

    async def __aexit__(self, *exc_info: object) -> None:
        return None


class Failing(Lifespan):
    """A lifespan that raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    async def __aenter__(self) -> None:
        raise self._error("no start")


class Dying(Lifespan):
    """A lifespan that ends the process: each time, or only of a worker that replaces another."""

    def __init__(self, status: int, generation: int = 0) -> None:
        self._status = status
        self._generation = generation

    async def __aenter__(self) -> None:
        if int(current_worker().generation) >= self._generation:
            os._exit(self._status)


class Stuck(Lifespan):
    """A lifespan that blocks the loop until the gate is open."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def __aenter__(self) -> None:
        say(self._path)
        block_at(self._path)


class Meeting(Stuck):
    """A lifespan that waits for the gate, and does not block."""

    async def __aenter__(self) -> None:
        say(self._path)
        await pass_through(self._path)


class StuckAtEnd(Stuck):
    """A lifespan that blocks the loop when it is left, until the gate is open."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *exc_info: object) -> None:
        say(self._path)
        block_at(self._path)


class Noting(Lifespan):
    """A lifespan that writes down whose it is."""

    def __init__(self, file: str) -> None:
        self._file = file

    async def __aenter__(self) -> None:
        write_down(self._file, f"enter {current_worker().generation}")

    async def __aexit__(self, *exc_info: object) -> None:
        write_down(self._file, f"leave {current_worker().generation}")


class Slow(Lifespan):
    """A lifespan that blocks the loop for some time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> None:
        time.sleep(self._seconds)
