"""A pool that tests share, and pipes."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

from tests._gate import PATIENCE
from tests._steady import open_steady_pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyloop import LoopPool


class Pipe:
    """A pipe whose ends calls in other interpreters get as numbers."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def hear(self) -> bytes:
        """Wait for the next byte."""
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), "a call did not say what the test waits for"
        return os.read(self.reader, 1)

    def open(self) -> None:
        """Let go on who reads."""
        os.write(self.writer, b"o")

    def close(self) -> None:
        """Give both ends back."""
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture(scope="module")
def pool() -> Iterator[LoopPool]:
    """Two workers that all tests of a file share: for tests that do them no harm."""
    with open_steady_pool("interpreter") as pool:
        yield pool


@pytest.fixture
def said() -> Iterator[Pipe]:
    """What calls write to."""
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def gate() -> Iterator[Pipe]:
    """What calls wait for."""
    pipe = Pipe()
    yield pipe
    pipe.close()
