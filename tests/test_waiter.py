"""What a task awaits to go on in the moment in which it is woken."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from polyloop import LoopPool, _waiter
from polyloop._waiter import Waiter
from tests.model.looks import interrupted_at_each_look
from tests.model.steps import codes_of

whose: ContextVar[str] = ContextVar("whose")


class Sleeper:
    """A task that waits, on a loop that has run until it does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiter = Waiter(loop)
        self.steps: list[str] = []
        self.task = loop.create_task(self._sleep())
        self.turn()

    async def _sleep(self) -> None:
        await self.waiter
        self.steps.append("woken")
        await asyncio.sleep(0)
        self.steps.append("later")

    def turn(self) -> None:
        """Let the loop run what is ready."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def wake(self) -> None:
        """Wake it in a callback of the loop."""
        self.loop.call_soon(self.waiter.wake)
        self.turn()


def test_the_task_goes_on_before_wake_returns() -> None:
    """And only up to where it waits next."""
    with asyncio.Runner() as runner:
        sleeper = Sleeper(runner.get_loop())
        steps: list[list[str]] = []

        def wake() -> None:
            sleeper.waiter.wake()
            steps.append(list(sleeper.steps))

        sleeper.loop.call_soon(wake)
        sleeper.loop.run_until_complete(sleeper.task)

        assert steps == [["woken"]]
        assert sleeper.steps == ["woken", "later"]


def test_a_second_wake_does_nothing() -> None:
    """What it is called for may come twice: see `Mailbox`."""
    with asyncio.Runner() as runner:
        sleeper = Sleeper(runner.get_loop())

        sleeper.wake()
        sleeper.waiter.wake()
        sleeper.loop.run_until_complete(sleeper.task)

        assert sleeper.steps == ["woken", "later"]


def test_what_was_woken_before_is_not_waited_for() -> None:
    """The order of the two does not matter."""

    async def main() -> None:
        waiter = Waiter(asyncio.get_running_loop())
        waiter.wake()
        await waiter

    asyncio.run(main())


def test_the_task_goes_on_as_itself() -> None:
    """In its own context, and not in that of whoever wakes it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop)
        whose.set("the caller's")
        loop.call_soon(waiter.wake)
        whose.set("the task's")
        task = asyncio.current_task()
        await waiter
        assert (whose.get(), asyncio.current_task()) == ("the task's", task)

    asyncio.run(main())


@pytest.mark.parametrize("message", [None, "enough"])
def test_a_cancellation_ends_the_waiting(message: str | None) -> None:
    """It keeps its message, and to be woken after that is harmless."""

    async def main() -> None:
        waiter = Waiter(asyncio.get_running_loop())
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel, message)
        with pytest.raises(asyncio.CancelledError) as raised:
            await waiter
        assert raised.value.args == (() if message is None else (message,))
        waiter.wake()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_task_that_is_cancelled_before_it_waits_does_not() -> None:
    """The cancellation comes with the first await."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await Waiter(asyncio.get_running_loop())

    asyncio.run(main())


def test_a_timeout_ends_the_waiting() -> None:
    """Asyncio's time limits are cancellations of the task."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await Waiter(asyncio.get_running_loop())

    asyncio.run(main())


def test_the_task_of_another_loop_cannot_wait_for_it() -> None:
    """Asyncio refuses it, as it does for a future."""
    with asyncio.Runner() as runner:
        waiter = Waiter(runner.get_loop())

        async def main() -> None:
            with pytest.raises(RuntimeError, match="attached to a different loop"):
                await waiter

        asyncio.run(main())


class TestDebugMode:
    """asyncio's debug mode times each turn of a task: there the task goes on with a turn of its own."""

    def test_the_task_goes_on_with_the_next_turn(self) -> None:
        """So what is timed, and named when it blocks the loop, is the task."""
        with asyncio.Runner(debug=True) as runner:
            sleeper = Sleeper(runner.get_loop())

            sleeper.waiter.wake()
            assert sleeper.steps == []
            sleeper.loop.run_until_complete(sleeper.task)

            assert sleeper.steps == ["woken", "later"]

    def test_a_cancellation_after_the_waking_wins(self) -> None:
        """As it does over a result that a future has."""
        with asyncio.Runner(debug=True) as runner:
            sleeper = Sleeper(runner.get_loop())
            sleeper.loop.call_soon(sleeper.waiter.wake)
            sleeper.loop.call_soon(sleeper.task.cancel)
            with pytest.raises(asyncio.CancelledError):
                sleeper.loop.run_until_complete(sleeper.task)

            assert sleeper.steps == []


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_what_ends_the_program_gets_through(ending: type[BaseException]) -> None:
    """The task raises it, so the loop does, and the waiter can be woken once more."""

    async def end(waiter: Waiter) -> None:
        await waiter
        raise ending

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        waiter = Waiter(loop)
        task = loop.create_task(end(waiter))
        loop.call_soon(waiter.wake)
        with pytest.raises(ending):
            loop.run_until_complete(task)
        waiter.wake()

        assert isinstance(task.exception(), ending)


def test_ctrl_c_at_every_look_of_waking() -> None:
    """Wherever Ctrl-C lands, the task goes on, once it is woken again, or has ended with it."""
    ends: set[str] = set()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        for at, sleeper in interrupted_at_each_look(
            frozenset(codes_of(_waiter)), lambda: Sleeper(loop), Sleeper.wake
        ):
            sleeper.wake()
            assert sleeper.task.done() or sleeper.steps, f"it sleeps for ever after Ctrl-C at look {at}"
            if not sleeper.task.done():
                loop.run_until_complete(sleeper.task)
            error = sleeper.task.exception()
            assert error is None or isinstance(error, KeyboardInterrupt)
            ends.add(type(error).__name__)
    assert ends == {"NoneType", "KeyboardInterrupt"}


def test_ctrl_c_in_one_caller_does_not_keep_the_others_from_going_on() -> None:
    """What came with the same wake-up is handed out when the loop runs on."""

    async def ring() -> None:
        pass

    async def interrupt(pool: LoopPool) -> None:
        await pool.run(ring)
        raise KeyboardInterrupt

    with LoopPool(1) as pool, asyncio.Runner() as runner:
        loop = runner.get_loop()
        tasks = [loop.create_task(interrupt(pool) if at == 3 else pool.run(ring)) for at in range(10)]
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.wait(tasks))
        loop.run_until_complete(asyncio.wait(tasks))

        assert [at for at, task in enumerate(tasks) if task.exception() is not None] == [3]
