"""Loop-locals on loops that belong to no pool: aclose() or the end of the loop closes their values."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from polyloop import LoopLocal, TaskCancelled
from tests._gate import PATIENCE
from tests._journal import Journal

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Callable

# The first loop of uvloop opens a pipe that the process keeps; no test shall be blamed for it.
uvloop.new_event_loop().close()

every_kind = pytest.mark.parametrize(
    "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)

# Many, for the order in which asyncio cancels tasks is left to chance.
NAMES = "abcdefghij"
OPEN = [f"open {name}" for name in NAMES]
CLOSE = [f"close {name}" for name in reversed(NAMES)]


async def ask(*locals_: LoopLocal[Any]) -> None:
    """Open the values, one after another."""
    for local in locals_:
        await local.get()


class TestEndOfTheLoop:
    """However a loop ends, its values are closed on it, last opened first closed."""

    @every_kind
    def test_asyncio_run(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        """The end of asyncio.run() closes them; the next run has values of its own."""
        journal = Journal()
        locals_ = [LoopLocal(journal.resource(name)) for name in NAMES]

        for _ in range(2):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(ask(*locals_))
                runner.run(ask(*locals_))

        assert journal.all == [*OPEN, *CLOSE] * 2

    @every_kind
    def test_only_the_generators_are_shut_down(
        self, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        """A loop that is ended without cancelling its tasks closes them when it shuts its generators down."""
        journal = Journal()
        locals_ = [LoopLocal(journal.resource(name)) for name in NAMES]
        loop = loop_factory()
        loop.run_until_complete(ask(*locals_))

        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

        assert journal.all == [*OPEN, *CLOSE]

    def test_tasks_end_before_the_values(self) -> None:
        """Tasks that asyncio.run() cancels may use a value to their end, however long that takes."""
        journal = Journal()
        local = LoopLocal(journal.resource("value"))
        kept: list[object] = []

        async def stray() -> None:
            value = await local.get()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(10):
                    await asyncio.sleep(0)
                journal.note(f"stray with {value} and {await local.get()}")

        async def main() -> None:
            kept.append(asyncio.create_task(stray()))
            await local.get()

        asyncio.run(main())

        assert journal.all == ["open value", "stray with value and value", "close value"]

    def test_one_asked_for_at_the_very_end_is_closed(self) -> None:
        """A value that is opened by the clean-up of a task is closed too."""
        journal = Journal()
        local = LoopLocal(journal.resource("value"))
        kept: list[object] = []

        async def stray() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await local.get()

        async def main() -> None:
            kept.append(asyncio.create_task(stray()))
            await asyncio.sleep(0)

        asyncio.run(main())

        assert journal.all == ["open value", "close value"]

    def test_a_loop_that_is_just_closed_keeps_nothing(self, expected_logs: list[logging.LogRecord]) -> None:
        """Values on it cannot be closed any more: asyncio says so, and nothing is kept for ever."""
        closed: list[object] = []
        local = LoopLocal(object, close=closed.append)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask(local))
        loop.close()
        del loop

        asyncio.run(ask(LoopLocal(object)))  # another loop with values, which looks around
        gc.collect()

        assert closed == []
        assert "loop-local object" in expected_logs[0].getMessage()

    @every_kind
    def test_nothing_keeps_a_loop_that_has_ended(
        self, loop_factory: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        """When its last value is closed, the loop is forgotten, though the loop-local lives on."""
        local = LoopLocal(object)
        loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

        async def main() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            await local.get()

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
        del runner
        gc.collect()

        assert loops[0]() is None

    def test_an_eager_task_factory_changes_nothing(self) -> None:
        """On a loop whose tasks start at once, values are opened and closed as on any other."""
        factory = getattr(asyncio, "eager_task_factory", None)
        if factory is None:
            pytest.skip("asyncio has it since 3.12")
        journal = Journal()
        locals_ = [LoopLocal(journal.resource(name)) for name in NAMES]
        plain = LoopLocal(lambda: journal.note("made"))

        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(factory)
            await ask(*locals_, plain)

        asyncio.run(main())

        assert journal.all == [*OPEN, "made", *CLOSE]


class TestAclose:
    """aclose() closes the running loop's value."""

    def test_it_closes_and_the_next_ask_opens(self) -> None:
        """A value that was closed is made anew for the next one who asks."""
        journal = Journal()
        local = LoopLocal(journal.resource("a"))

        async def main() -> None:
            await local.get()
            await local.aclose()
            journal.note("closed")
            await local.get()

        asyncio.run(main())

        assert journal.all == ["open a", "close a", "closed", "open a", "close a"]

    def test_what_was_not_opened_is_not_closed(self) -> None:
        """Without a value there is nothing to do, however often."""
        journal = Journal()
        local = LoopLocal(journal.resource("a"))

        async def main() -> None:
            await local.aclose()
            await local.get()
            await asyncio.gather(local.aclose(), local.aclose())
            await local.aclose()

        asyncio.run(main())

        assert journal.all == ["open a", "close a"]

    def test_it_raises_what_the_closing_raises(self) -> None:
        """Who waits for the end gets its error; it is not logged as well."""

        def close(_: object) -> None:
            raise ValueError("on the way out")

        async def main() -> None:
            local = LoopLocal(object, close=close)
            await local.get()
            with pytest.raises(ValueError, match="on the way out"):
                await local.aclose()

        asyncio.run(main())

    def test_a_closing_that_is_cancelled_is_an_error(self) -> None:
        """Who waits was not cancelled, so they do not see a CancelledError."""

        async def close(_: object) -> None:
            raise asyncio.CancelledError

        async def main() -> None:
            local = LoopLocal(object, close=close)
            await local.get()
            with pytest.raises(TaskCancelled, match="the closing of the loop-local object was cancelled"):
                await local.aclose()

        asyncio.run(main())

    def test_cancelling_it_does_not_stop_the_closing(self) -> None:
        """The closing goes on by itself; who asks meanwhile waits for its end, and gets a new value."""
        journal = Journal()

        async def main() -> None:
            may_close = asyncio.Event()

            async def close(_: object) -> None:
                await may_close.wait()
                journal.note("closed")

            local = LoopLocal(object, close=close)
            first = await local.get()
            closing = asyncio.create_task(local.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            asking = asyncio.create_task(local.get())
            await asyncio.sleep(0)
            assert not asking.done()
            may_close.set()
            async with asyncio.timeout(PATIENCE):
                assert await asking is not first
            assert journal.all == ["closed"]

        asyncio.run(main())

    def test_it_waits_for_an_opening(self) -> None:
        """A value that is being opened is closed when it has been."""
        journal = Journal()

        async def main() -> None:
            may_open = asyncio.Event()

            @contextlib.asynccontextmanager
            async def make() -> AsyncIterator[str]:
                await may_open.wait()
                async with journal.resource("a")() as value:
                    yield value

            local = LoopLocal(make)
            asking = asyncio.create_task(local.get())
            await asyncio.sleep(0)
            closing = asyncio.create_task(local.aclose())
            await asyncio.sleep(0)
            may_open.set()
            assert await asking == "a"
            await closing
            assert journal.all == ["open a", "close a"]

        asyncio.run(main())


def test_somebody_who_cancels_every_task_closes_them_in_order() -> None:
    """A value whose owner is cancelled is closed after the later ones, and opened anew when asked for."""
    journal = Journal()
    locals_ = [LoopLocal(journal.resource(name)) for name in NAMES]

    async def main() -> None:
        await ask(*locals_)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others)
        assert journal.all == [*OPEN, *CLOSE]
        await ask(*locals_)

    asyncio.run(main())

    assert journal.all == [*OPEN, *CLOSE] * 2
