"""An SDK with a sync and an async face, from one implementation.

The implementation is a connection and what is asked through it, on a loop of the SDK's own. A face hands
calls to that loop: `Phonebook` waits for them in its caller's thread, `AsyncPhonebook` on its caller's loop.
Both work from any thread and any loop, a notebook's too, and nothing is written twice.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

from polyloop import LoopPool, current_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# -- the implementation, which users do not see --------------------------------------------


class Connection:
    """One connection to the server, owned by the loop it was opened on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # One question at a time: the answers have no names.
        self._turn = asyncio.Lock()

    async def ask(self, question: str) -> str:
        """Send a line and return the line that answers it."""
        async with self._turn:
            self._writer.write(f"{question}\n".encode())
            return (await self._reader.readline()).decode().strip()


@asynccontextmanager
async def connection(host: str, port: int) -> AsyncIterator[Connection]:
    """Connect from the running loop, for as long as the block lasts."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def number_of(name: str) -> str:
    """Ask for one number, on the SDK's loop.

    Raises:
        LookupError: The name is not in the book.
    """
    connected: Connection = current_worker().state
    number = await connected.ask(name)
    if not number:
        raise LookupError(f"{name} is not in the phonebook")
    return number


def pool_for(host: str, port: int) -> LoopPool:
    """The SDK's loop, with its connection."""
    return LoopPool(1, lifespan=partial(connection, host, port), name="phonebook")


# -- the two faces -------------------------------------------------------------------------


class Phonebook:
    """The phonebook, for code that is not async."""

    def __init__(self, host: str, port: int) -> None:
        self._pool = pool_for(host, port)

    def __enter__(self) -> Self:
        self._pool.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pool.close()

    def number_of(self, name: str) -> str:
        """The number of one person."""
        return self._pool.call(number_of, name)


class AsyncPhonebook:
    """The phonebook, for code that is async."""

    def __init__(self, host: str, port: int) -> None:
        self._pool = pool_for(host, port)

    async def __aenter__(self) -> Self:
        await self._pool.aopen()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._pool.aclose()

    async def number_of(self, name: str) -> str:
        """The number of one person."""
        return await self._pool.run(number_of, name)


# -- what users write ----------------------------------------------------------------------


def sync_user(host: str, port: int) -> None:
    """A script."""
    with Phonebook(host, port) as phonebook:
        print("sync: ", phonebook.number_of("Ada"))
        try:
            phonebook.number_of("Zoe")
        except LookupError as error:
            print("sync: ", error)


async def async_user(host: str, port: int) -> None:
    """A service."""
    async with AsyncPhonebook(host, port) as phonebook:
        numbers = await asyncio.gather(phonebook.number_of("Ada"), phonebook.number_of("Grace"))
        print("async:", *numbers)


# -- the server they talk to ---------------------------------------------------------------

BOOK = {"Ada": "1815", "Grace": "1906"}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A number for each name, an empty line for an unknown one."""
    while name := (await reader.readline()).decode().strip():
        writer.write(f"{BOOK.get(name, '')}\n".encode())
    writer.close()


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, int]]:
    """Serve from the running loop for as long as the block lasts; yields the address."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()
        yield host, port


async def address() -> tuple[str, int]:
    """Where the server is that this loop runs."""
    host, port = current_worker().state
    return host, port


def main() -> None:
    """Start a server, on a loop of its own, and use it both ways."""
    with LoopPool(1, lifespan=server, name="server") as serving:
        host, port = serving.call(address)
        sync_user(host, port)
        asyncio.run(async_user(host, port))


if __name__ == "__main__":
    main()
