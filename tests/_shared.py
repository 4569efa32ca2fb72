"""What a test and its calls have in common, wherever the calls run.

A thing that is `Shared` stays in the test's process. Calls on threads have the thing itself; pickled to
another process or interpreter it becomes an `Elsewhere`, which does there what it is told by asking back
here. So a test is written once: ``flag.set()`` and ``await flag.wait()`` are the same to it on each backend.

An object that is not `Shared` itself but has such attributes, a `tests._gate.Gate` say, is copied with them.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import itertools
import pickle
import shutil
import socket
import struct
import tempfile
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

__all__ = ["PATIENCE", "Elsewhere", "Flag", "Level", "Notes", "Shared", "Tally", "blocking", "put_away"]

PATIENCE = 20.0
"""How long a test waits, in seconds, for what has to happen: far longer than it takes."""

T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

_LENGTH = struct.Struct("!I")

_keys = itertools.count()


def blocking(way: str) -> Callable[[F], F]:
    """Mark a method that blocks its thread: asked from elsewhere, the coroutine method `way` does it here."""

    def mark(method: F) -> F:
        method.way = way  # type: ignore[attr-defined]  # a function takes any attribute
        return method

    return mark


class Shared:
    """Something that stays here, in whatever calls it is passed on."""

    key: int | None = None
    """Which it is, for those elsewhere who ask for it."""

    def __reduce_ex__(self, _protocol: object, /) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickled, it is where to ask for it."""
        return _found, (type(self), *_Desk.current().register(self))


class Flag(Shared):
    """Like an event: set once, in any thread or process, and waited for in any."""

    def __init__(self) -> None:
        self._future: concurrent.futures.Future[None] = concurrent.futures.Future()

    def set(self) -> None:
        """Let everybody on."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self._future.set_result(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._future.done()

    async def wait(self) -> None:
        """Wait until it is set, and leave the loop free meanwhile."""
        # Shielded: who is cancelled while waiting may not cancel it for the others.
        await asyncio.shield(asyncio.wrap_future(self._future))

    @blocking("wait")
    def block(self) -> None:
        """Block this thread until it is set, and fail the test if it never is."""
        done, _ = concurrent.futures.wait([self._future], PATIENCE)
        assert done, "what the test waits for did not happen"


class Notes(list[T], Shared):
    """A list that anybody may append to."""

    def append(self, note: T, /) -> None:
        """Write down."""
        super().append(note)

    __reduce_ex__ = Shared.__reduce_ex__


class Tally(Shared):
    """Counts what happens, in whatever process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def add(self) -> int:
        """Count one more; returns how many there are now."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()
            return self._count

    def count(self) -> int:
        """How many there are."""
        return self._count

    def wait_for(self, count: int) -> None:
        """Block this thread of the test until there are so many, and fail the test if it takes too long."""
        with self._condition:
            assert self._condition.wait_for(lambda: self._count >= count, PATIENCE), "too few have come"


class Level(Shared):
    """How many are inside at once: ``with level:`` around what is counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self._most = 0

    def enter(self) -> None:
        """One more is inside."""
        with self._lock:
            self._now += 1
            self._most = max(self._most, self._now)

    def leave(self) -> None:
        """One less."""
        with self._lock:
            self._now -= 1

    def most(self) -> int:
        """The most that were inside at once."""
        return self._most

    def now(self) -> int:
        """How many are inside."""
        return self._now

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *exc_info: object) -> None:
        self.leave()


class Elsewhere:
    """Stands for what is `Shared`, in another process or interpreter than its own.

    Args:
        kind: Its class, which says which methods are coroutine functions.
        address: Where its own process is asked.
        key: Which it is.
    """

    def __init__(self, kind: type[Shared], address: str, key: int) -> None:
        self._kind = kind
        self._address = address
        self._key = key

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _found, (self._kind, self._address, self._key)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._kind, name)
        way: str = getattr(method, "way", name)
        if inspect.iscoroutinefunction(method):
            return lambda *args: self._ask_beside_others(way, args)
        return lambda *args: self._ask(way, args)

    def __len__(self) -> int:
        length: int = self._ask("__len__", ())
        return length

    def __enter__(self) -> None:
        self._ask("__enter__", ())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ask("__exit__", (None, None, None))

    def _ask(self, name: str, args: tuple[object, ...]) -> Any:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self._address)
            sock.sendall(_packed((self._key, name, args)))
            with sock.makefile("rb") as answers:
                return pickle.loads(answers.read())

    async def _ask_beside_others(self, name: str, args: tuple[object, ...]) -> Any:
        reader, writer = await asyncio.open_unix_connection(self._address)
        try:
            writer.write(_packed((self._key, name, args)))
            return pickle.loads(await reader.read())
        finally:
            writer.close()


def _packed(thing: object) -> bytes:
    data = pickle.dumps(thing)
    return _LENGTH.pack(len(data)) + data


def _found(kind: type[Shared], address: str, key: int) -> Shared | Elsewhere:
    """The thing itself where it lives."""
    desk = _Desk.made
    if desk is not None and desk.address == address:
        return desk.things[key]
    return Elsewhere(kind, address, key)


def put_away() -> None:
    """End what a test has needed to share things."""
    desk, _Desk.made = _Desk.made, None
    if desk is not None:
        desk.close()


class _Desk:
    """Where others ask for the things of this process: a server in a thread, made when the first is sent."""

    made: _Desk | None = None

    @classmethod
    def current(cls) -> _Desk:
        """The one of this process, made if there is none."""
        if cls.made is None:
            cls.made = cls()
        return cls.made

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="polyloop-test-")
        self.address = f"{self._folder}/desk"
        self.things: WeakValueDictionary[int, Shared] = WeakValueDictionary()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        is_ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(is_ready),))
        self._thread.start()
        is_ready.wait()

    def register(self, thing: Shared) -> tuple[str, int]:
        """Where it can be asked for."""
        if thing.key is None:
            thing.key = next(_keys)
        self.things[thing.key] = thing
        return self.address, thing.key

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder)

    async def _serve(self, is_ready: threading.Event) -> None:
        server = await asyncio.start_unix_server(self._answer, self.address)
        is_ready.set()
        await self._closing.wait()
        # Before it is closed, those who have come are let in to the end: asyncio would forget their sockets.
        self._loop.remove_reader(server.sockets[0].fileno())
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._answering:
                task.cancel()
            await asyncio.wait(others)
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            await self._answer_one(reader, writer)
        finally:
            self._answering.discard(task)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A call that was cancelled, or whose worker was killed, does not wait for its answer.
        with contextlib.suppress(
            asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError, KeyError
        ):
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            key, name, args = pickle.loads(await reader.readexactly(length))
            answer = getattr(self.things[key], name)(*args)
            if inspect.iscoroutine(answer):
                answer = await _unless_gone(reader, answer)
            writer.write(pickle.dumps(answer))
            await writer.drain()
        writer.close()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await writer.wait_closed()  # whatever ended it: looked at


async def _unless_gone(reader: asyncio.StreamReader, answer: Coroutine[Any, Any, T]) -> T:
    """Wait for the answer; cancelled when nobody asks for it any more."""
    answering = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(reader.read())
    gone.add_done_callback(lambda task: task.cancelled() or task.exception())  # whatever ended it: looked at
    try:
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ConnectionError
        return answering.result()
    finally:
        answering.cancel()
        gone.cancel()
