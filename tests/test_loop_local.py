"""A loop-local: what its value is, and when it is opened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import DeadlineExceeded, LoopLocal, TaskCancelled
from tests._gate import PATIENCE, Gate
from tests._journal import Journal
from tests._shared import Flag, Notes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

variable: ContextVar[str] = ContextVar("variable", default="nothing")


class Client:
    """A value of which there may be many; the name tells one from the others, also in another process."""

    def __init__(self) -> None:
        self.name = f"{os.getpid()} {id(self)}"


class TestOncePerLoop:
    """Each loop has one value, its own."""

    def test_every_loop_has_its_own(self, open_pool: OpenPool) -> None:
        """The value is made and closed in the thread of its loop."""
        journal = Journal()
        local = LoopLocal(journal.resource("a"))

        with open_pool(2) as pool:
            pool.broadcast(local.get).result(PATIENCE)

        assert sorted(journal.entries) == [
            (f"polyloop-{index}", what) for index in range(2) for what in ("close a", "open a")
        ]

    def test_it_is_opened_on_first_use(self, open_pool: OpenPool) -> None:
        """A loop that nobody asks on has no value."""
        journal = Journal()
        local = LoopLocal(journal.resource("a"))

        async def ask() -> str:
            return await local.get() + await local.get()

        with open_pool(1) as pool:
            assert journal.all == []
            assert pool.call(ask) == "aa"

        assert journal.all == ["open a", "close a"]

    def test_a_thousand_that_ask_at_once_get_one(self, steady_pool: LoopPool) -> None:
        """However many ask while it is opened, it is opened once."""
        gate = Gate()
        local = LoopLocal(lambda: gate.passage(object()))

        async def ask() -> int:
            return id(await local.get())

        futures = [steady_pool.options(worker=0).submit(ask) for _ in range(1000)]
        gate.wait_started()
        gate.open()
        values = {future.result(PATIENCE) for future in futures}

        assert len(values) == 1
        assert gate.entered == 1

    def test_two_loop_locals_have_two_values(self, steady_pool: LoopPool) -> None:
        """What tells values apart is the loop-local, not its factory."""
        one, other = LoopLocal(Client), LoopLocal(Client)

        async def are_two() -> bool:
            return await one.get() is not await other.get()

        assert steady_pool.call(are_two)

    def test_a_new_pool_has_new_values(self, open_pool: OpenPool) -> None:
        """A loop-local outlives pools; its values do not."""
        journal = Journal()
        local = LoopLocal(journal.resource("a"))

        for _ in range(2):
            with open_pool(1) as pool:
                pool.call(local.get)

        assert journal.all == ["open a", "close a"] * 2


class TestKindsOfFactories:
    """A context manager, an awaitable or a value, looked at in this order."""

    def test_a_context_manager_is_entered_and_left(self, steady_pool: LoopPool) -> None:
        """The value is what entering it gives, which need not be the context manager itself."""
        journal = Journal()
        local = LoopLocal(journal.resource("inner"))

        async def ask_and_close() -> str:
            value = await local.get()
            await local.aclose()
            return value

        assert steady_pool.call(ask_and_close) == "inner"
        assert journal.all == ["open inner", "close inner"]

    def test_an_awaitable_is_awaited(self, open_pool: OpenPool) -> None:
        """The value is its result, taken as it is; a sync `close` is called with it."""
        closed: Notes[str] = Notes()

        async def make() -> Client:
            return Client()

        def close(value: Client) -> None:
            closed.append(value.name)

        with open_pool(1) as pool:
            value = pool.call(LoopLocal(make, close=close).get)

        assert closed == [value.name]

    def test_a_plain_value_is_taken_as_it_is(self, open_pool: OpenPool) -> None:
        """An async `close` is awaited on the value's loop."""
        journal = Journal()

        async def close(value: Client) -> None:
            await asyncio.sleep(0)
            journal.note(f"close {value.name}")

        with open_pool(1) as pool:
            value = pool.call(LoopLocal(Client, close=close).get)

        assert isinstance(value, Client)
        assert journal.entries == [("polyloop-0", f"close {value.name}")]

    def test_none_is_a_value(self, steady_pool: LoopPool) -> None:
        """A factory that makes None is not called again."""
        calls: Notes[None] = Notes()

        def make() -> None:
            calls.append(None)

        local: LoopLocal[object] = LoopLocal(make)

        async def ask() -> list[object]:
            return [await local.get(), await local.get()]

        assert steady_pool.call(ask) == [None, None]

        assert len(calls) == 1

    def test_what_is_both_is_entered(self, steady_pool: LoopPool) -> None:
        """Many pools can be awaited and entered; entered, they can be closed again."""

        class Both:
            async def __aenter__(self) -> str:
                return "entered"

            async def __aexit__(self, *exc_info: object) -> None:
                pass

            def __await__(self) -> Any:
                raise AssertionError

        assert steady_pool.call(LoopLocal(Both).get) == "entered"

    @pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore, asyncio.Condition])
    def test_what_would_be_acquired_is_refused(self, steady_pool: LoopPool, kind: Any) -> None:
        """A lock is not left acquired, and the error says how to have one per loop."""

        async def ask() -> tuple[str, bool]:
            made: list[Any] = []

            def make() -> Any:
                made.append(kind())
                return made[-1]

            try:
                await LoopLocal(make).get()
            except TypeError as error:
                return str(error), made[0].locked()
            return "", True

        async def make_in_coroutine() -> Any:
            return kind()

        async def is_there() -> bool:
            return isinstance(await LoopLocal(make_in_coroutine).get(), kind)

        message, is_locked = steady_pool.call(ask)
        assert f"async def make(): return {kind.__name__}" in message
        assert not is_locked
        assert steady_pool.call(is_there)

    def test_an_undecorated_generator_is_refused(self, steady_pool: LoopPool) -> None:
        """An async generator function that somebody forgot to decorate is told from a value."""

        async def session() -> AsyncIterator[str]:
            yield "session"

        with pytest.raises(TypeError, match="asynccontextmanager"):
            steady_pool.call(LoopLocal(session).get)

    def test_close_beside_a_context_manager_is_refused(self, steady_pool: LoopPool) -> None:
        """A context manager closes its value itself, so there is no second way; it is not even entered."""
        journal = Journal()
        local = LoopLocal[str](journal.resource("a"), close=len)  # type: ignore[arg-type]

        with pytest.raises(TypeError, match="close= is for what is none"):
            steady_pool.call(local.get)

        assert journal.all == []

    def test_a_value_instead_of_a_factory_is_refused(self) -> None:
        """A value that was made already belongs to one loop, or none."""
        for wrong in (Client(), asyncio.sleep(0)):
            with pytest.raises(TypeError, match="LoopLocal takes a factory"):
                LoopLocal(wrong)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="close must be something to call"):
            LoopLocal(Client, close="aclose")  # type: ignore[call-overload]


class TestOpening:
    """Whoever asks, the opening belongs to nobody."""

    def test_a_failing_factory_fails_those_who_asked(self, steady_pool: LoopPool) -> None:
        """All who wait get its error, with a traceback of its own length; the next one tries again."""
        is_reachable = Flag()

        async def make() -> str:
            await asyncio.sleep(0)
            if not is_reachable.is_set():
                raise OSError("no server")
            return "connected"

        local = LoopLocal(make)

        async def ask() -> tuple[set[str], int, int]:
            errors = await asyncio.gather(*[local.get() for _ in range(100)], return_exceptions=True)
            assert isinstance(errors[0], OSError)
            depth = len(list(traceback.walk_tb(errors[0].__traceback__)))
            return set(map(repr, errors)), len(set(map(id, errors))), depth

        pinned = steady_pool.options(worker=0)
        errors, different, depth = pinned.call(ask)
        is_reachable.set()
        again = pinned.call(local.get)

        assert errors == {"OSError('no server')"}
        assert different == 1
        assert depth < 10
        assert again == "connected"

    @pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
    def test_it_cannot_take_the_loop_along(self, steady_pool: LoopPool, kind: type[BaseException]) -> None:
        """Whatever the factory raises ends in those who asked."""

        def make() -> None:
            raise kind

        future = steady_pool.submit(LoopLocal(make).get)

        assert isinstance(future.exception(PATIENCE), kind)
        assert [worker.generation for worker in steady_pool.statistics().workers] == [0, 0]

    def test_a_cancelled_caller_does_not_stop_it(self, steady_pool: LoopPool) -> None:
        """The one who asked first may go; the others get the value of that opening."""
        gate = Gate()
        local = LoopLocal(lambda: gate.passage("value"))
        pinned = steady_pool.options(worker=0)

        first = pinned.submit(local.get)
        gate.wait_started()
        other = pinned.submit(local.get)
        first.cancel()
        assert first.wait(PATIENCE)
        gate.open()

        assert first.cancelled()
        assert other.result(PATIENCE) == "value"
        assert gate.entered == 1

    def test_an_opening_that_is_cancelled_is_an_error(self, steady_pool: LoopPool) -> None:
        """Those who wait were not cancelled, so they do not see a CancelledError."""

        async def make() -> None:
            raise asyncio.CancelledError

        with pytest.raises(TaskCancelled, match="the opening of the loop-local"):
            steady_pool.call(LoopLocal(make).get)

    def test_it_sees_no_callers_context(self, steady_pool: LoopPool) -> None:
        """The context variables of who asks first are not those of the value."""
        assert steady_pool.call(ask_in_context) == "nothing"

    def test_no_callers_deadline_ends_it(self, steady_pool: LoopPool) -> None:
        """The deadline of who asked first ends their waiting, and not the opening."""
        gate = Gate()
        local = LoopLocal(lambda: gate.passage("value"))
        pinned = steady_pool.options(worker=0)

        error = steady_pool.options(worker=0, timeout=0.05).submit(local.get).exception(PATIENCE)
        # Asked for again, if it had not begun by then.
        other = pinned.submit(local.get)
        gate.wait_started()
        gate.open()

        assert isinstance(error, DeadlineExceeded)
        assert (other.result(PATIENCE), gate.entered) == ("value", 1)

    @pytest.mark.backends("thread", why="calls to the pool are refused inside another process or interpreter")
    def test_no_callers_deadline_ends_what_it_calls(self, open_pool: OpenPool) -> None:
        """The deadline of who asked first does not reach a call that the opening waits for."""
        gate = Gate()
        pool = open_pool(1)
        local = LoopLocal(lambda: pool.run(gate.passage, "value"))

        with pool:
            error = pool.options(timeout=0.05).submit(local.get).exception(PATIENCE)
            gate.wait_started()
            gate.open()
            value = pool.call(local.get)

        assert isinstance(error, DeadlineExceeded)
        assert (value, gate.entered) == ("value", 1)

    def test_one_may_ask_for_another(self, open_pool: OpenPool) -> None:
        """A factory may use other loop-locals; what it uses is closed after it."""
        journal = Journal()
        inner = LoopLocal(journal.resource("inner"))

        @contextlib.asynccontextmanager
        async def make() -> AsyncIterator[str]:
            async with journal.resource(f"outer of {await inner.get()}")() as value:
                yield value

        with open_pool(1) as pool:
            assert pool.call(LoopLocal(make).get) == "outer of inner"

        assert journal.all == ["open inner", "open outer of inner", "close outer of inner", "close inner"]

    def test_threads_do_not_share_it(self) -> None:
        """Loops that run at the same time, in threads that nobody's pool owns, have a value each."""
        local = LoopLocal(Client)
        barrier = threading.Barrier(4)
        values: list[Client] = []

        async def ask() -> None:
            barrier.wait(PATIENCE)
            values.extend([await local.get() for _ in range(10)])

        threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

        assert len(values) == 40
        assert len(set(values)) == 4

    def test_where_no_loop_runs_it_says_so(self) -> None:
        """Asked outside of a loop it raises at once, and leaves no coroutine that nobody awaits."""
        with pytest.raises(RuntimeError, match=r"LoopLocal\(Client\) has a value for each event loop"):
            LoopLocal(Client).get()  # type: ignore[unused-coroutine]  # there is none


# Of this module, for a context variable cannot be sent by value.
async def look_at_variable() -> str:
    """What the variable is where a value is opened."""
    await asyncio.sleep(0)
    return variable.get()


looking = LoopLocal(look_at_variable)


async def ask_in_context() -> str:
    """Ask for it where the variable is something else."""
    variable.set("the caller's")
    return await looking.get()
