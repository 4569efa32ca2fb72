"""The worker's end of the line, without a pool: what it makes of the words that it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from polyloop._codec import Kind, encode
from polyloop._packing import pack
from polyloop._setup import run_worker
from tests._shared import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The pool's end and the worker's."""
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


def test_one_that_is_told_to_leave_before_it_is_up_does_not_enter_its_lifespan(
    line: tuple[socket.socket, socket.socket],
) -> None:
    """A pool that is closed while it opens sends both words at once: there is nobody to wait for."""
    near, far = line

    grace = struct.pack("<d", PATIENCE)
    who = pack((None, (0, 0, "polyloop-0", 1)))
    setup = encode(Kind.SETUP, [(0, *packed) for packed in (who, pack(None), pack(wait_for_ever))])
    leave = encode(Kind.LEAVE, [(0, 0, (grace,), len(grace))])
    near.sendall(b"".join([*setup, *leave]))
    worker = threading.Thread(
        target=run_worker, args=(far, "process", lambda _: None, lambda error: error), daemon=True
    )

    worker.start()
    worker.join(PATIENCE)

    assert not worker.is_alive()


@contextlib.asynccontextmanager
async def wait_for_ever() -> AsyncIterator[None]:
    """A lifespan that never begins."""
    await asyncio.Event().wait()
    yield
