"""What asyncio and concurrent.futures offer for their own futures works on ours, the same on every Python."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

import polyloop
from tests._calls import clean_up_behind, double, fail, forever
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from polyloop import LoopPool


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main` on a loop that is not the pool's."""
    asyncio.run(main())


async def _begun(pool: LoopPool) -> None:
    """What was handed in has begun, on this loop and on the pool's."""
    await asyncio.sleep(0)
    await pool.broadcast(double, 0)


class TestGather:
    """asyncio.gather()."""

    def test_it_returns_the_results_in_order(self, steady_pool: LoopPool) -> None:
        """Our futures and plain coroutines mix."""

        async def main() -> None:
            results = await asyncio.gather(
                steady_pool.submit(double, 1), double(2), steady_pool.submit(double, 3)
            )

            assert list(results) == [2, 4, 6]

        _run(main)

    def test_it_raises_the_first_error(self, steady_pool: LoopPool) -> None:
        """An error ends the gather; the other tasks run on, as with asyncio."""

        async def main() -> None:
            other = steady_pool.submit(double, 21)
            with pytest.raises(LookupError, match="first"):
                await asyncio.gather(steady_pool.submit(fail, "first"), other)

            assert await other == 42

        _run(main)

    def test_it_can_return_errors(self, steady_pool: LoopPool) -> None:
        """return_exceptions=True puts errors in the place of results, and they count as collected."""

        async def main() -> None:
            error, result = await asyncio.gather(
                steady_pool.submit(fail, "kept"), steady_pool.submit(double, 1), return_exceptions=True
            )

            assert (repr(error), result) == ("LookupError('kept')", 2)

        _run(main)

    def test_cancelling_it_cancels_the_tasks(self, steady_pool: LoopPool) -> None:
        """The gather ends with CancelledError once its tasks have ended on their own loops (B3)."""

        async def main() -> None:
            gates = [Gate(), Gate()]
            futures = [steady_pool.submit(clean_up_behind, gate) for gate in gates]
            gathering = asyncio.gather(*futures)
            await _begun(steady_pool)
            gathering.cancel()
            for gate in gates:
                await asyncio.to_thread(gate.wait_started)
            are_done = gathering.done()
            for gate in gates:
                gate.open()
            with pytest.raises(asyncio.CancelledError):
                await gathering

            await asyncio.wait(futures)  # type: ignore[type-var]
            assert not are_done
            assert all(future.cancelled() for future in futures)

        _run(main)

    def test_a_child_that_somebody_else_cancelled(self, steady_pool: LoopPool) -> None:
        """The gather raises TaskCancelled, an Exception: its own caller was not cancelled (P5)."""

        async def main() -> None:
            future = steady_pool.submit(forever)
            future.cancel()
            with pytest.raises(polyloop.TaskCancelled):
                await asyncio.gather(future, steady_pool.submit(double, 1))

        _run(main)

    def test_a_cancelled_gather_that_returns_errors(self, steady_pool: LoopPool) -> None:
        """With return_exceptions=True too, a cancelled gather ends as cancelled."""

        async def main() -> None:
            gathering = asyncio.gather(steady_pool.submit(forever), return_exceptions=True)
            gathering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gathering

        _run(main)


class TestWait:
    """asyncio.wait() and as_completed()."""

    @pytest.mark.parametrize("many", [1, 2000])
    def test_it_waits_for_all(self, steady_pool: LoopPool, many: int) -> None:
        """All are done when it returns, and its callbacks have been taken back."""

        async def main() -> None:
            futures = [steady_pool.submit(double, number) for number in range(many)]
            done, pending = await asyncio.wait(futures)  # type: ignore[type-var]

            assert (done, pending) == (set(futures), set())

        _run(main)

    def test_first_completed(self, steady_pool: LoopPool) -> None:
        """It returns when one of them is done, and leaves the rest alone."""

        async def main() -> None:
            gate = Gate()
            slow, fast = steady_pool.submit(gate.passage), steady_pool.submit(double, 1)
            done, pending = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]  # asyncio's stubs name its own class
            gate.open()

            assert (done, pending) == ({fast}, {slow})

        _run(main)

    def test_first_exception(self, steady_pool: LoopPool) -> None:
        """It returns when one of them has failed."""

        async def main() -> None:
            gate = Gate()
            slow, bad = steady_pool.submit(gate.passage), steady_pool.submit(fail, "bad")
            done, pending = await asyncio.wait([slow, bad], return_when=asyncio.FIRST_EXCEPTION)  # type: ignore[type-var]
            gate.open()

            assert (done, pending) == ({bad}, {slow})
            assert repr(bad.exception()) == "LookupError('bad')"

        _run(main)

    def test_with_a_timeout_nothing_is_cancelled(self, steady_pool: LoopPool) -> None:
        """When the time is over, what is pending stays so."""

        async def main() -> None:
            gate = Gate()
            future = steady_pool.submit(gate.passage, "in the end")
            _, pending = await asyncio.wait([future], timeout=0.01)  # type: ignore[type-var]
            gate.open()

            assert pending == {future}
            assert await future == "in the end"

        _run(main)

    def test_as_completed(self, steady_pool: LoopPool) -> None:
        """Results come in the order in which the tasks end."""

        async def main() -> None:
            gates = [Gate() for _ in range(3)]
            results = []
            futures = [steady_pool.submit(gate.passage, number) for number, gate in enumerate(gates)]
            opening = iter([1, 0])
            gates[2].open()
            for awaitable in asyncio.as_completed(futures):
                results.append(await awaitable)
                gates[next(opening, 0)].open()

            assert results == [2, 1, 0]

        _run(main)


class TestTimeouts:
    """asyncio.wait_for() and asyncio.timeout()."""

    def test_wait_for_returns_the_result(self, steady_pool: LoopPool) -> None:
        """In time, it is as if it were not there."""

        async def main() -> None:
            assert await asyncio.wait_for(steady_pool.submit(double, 21), PATIENCE) == 42

        _run(main)

    def test_wait_for_raises_timeout_after_the_task_has_ended(self, steady_pool: LoopPool) -> None:
        """TimeoutError, on every Python, and only when the clean-up on the other loop is over (B3, B5)."""

        async def main() -> None:
            gate = Gate()
            future = steady_pool.submit(clean_up_behind, gate)
            await _begun(steady_pool)
            waiting = asyncio.create_task(asyncio.wait_for(future, 0.01))
            await asyncio.to_thread(gate.wait_started)
            is_early = waiting.done()
            gate.open()
            with pytest.raises(TimeoutError):
                await waiting

            assert not is_early
            assert future.cancelled()

        _run(main)

    def test_a_second_cancel_does_not_change_what_wait_for_raises(self, steady_pool: LoopPool) -> None:
        """TimeoutError also when somebody cancels the task once more during its clean-up."""

        async def main() -> None:
            gate = Gate()
            future = steady_pool.submit(clean_up_behind, gate)
            await _begun(steady_pool)
            waiting = asyncio.create_task(asyncio.wait_for(future, 0.01))
            await asyncio.to_thread(gate.wait_started)
            future.cancel()
            gate.open()
            with pytest.raises(TimeoutError):
                await waiting

        _run(main)

    def test_cancelling_wait_for_cancels_the_task(self, steady_pool: LoopPool) -> None:
        """The cancellation goes through to the task and comes back as CancelledError."""

        async def main() -> None:
            future = steady_pool.submit(forever)
            waiting = asyncio.create_task(asyncio.wait_for(future, PATIENCE))
            await _begun(steady_pool)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

            assert future.cancelled()

        _run(main)

    def test_timeout_cancels_the_task(self, steady_pool: LoopPool) -> None:
        """asyncio.timeout() around an await raises TimeoutError when the task has ended."""

        async def main() -> None:
            future = steady_pool.submit(forever)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await future

            assert future.cancelled()

        _run(main)


class TestShield:
    """asyncio.shield()."""

    def test_it_protects_the_task(self, steady_pool: LoopPool) -> None:
        """Cancelling who awaits the shield leaves the task running to its result."""

        async def main() -> None:
            gate = Gate()
            future = steady_pool.submit(gate.passage, "unharmed")
            waiting = asyncio.ensure_future(asyncio.shield(future))
            await asyncio.to_thread(gate.wait_started)
            waiting.cancel()
            await asyncio.wait([waiting])
            gate.open()

            assert waiting.cancelled()
            assert await future == "unharmed"

        _run(main)

    def test_results_and_errors_go_through_it(self, steady_pool: LoopPool) -> None:
        """A shield hands on what the task comes out with."""

        async def main() -> None:
            assert await asyncio.shield(steady_pool.submit(double, 21)) == 42
            with pytest.raises(LookupError, match="through"):
                await asyncio.shield(steady_pool.submit(fail, "through"))

        _run(main)


def test_a_task_group_hears_of_a_task_that_was_lost_to_it(steady_pool: LoopPool) -> None:
    """A task cancelled by somebody else fails the group; the naive way ends it in silence (B8)."""

    async def main() -> None:
        future = steady_pool.submit(forever)

        async def child() -> None:
            await future

        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - what raises is the whole block
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                threading.Timer(0, future.cancel).start()

        assert [type(error) for error in caught.value.exceptions] == [polyloop.TaskCancelled]

    _run(main)


def test_wrap_future_can_be_awaited(steady_pool: LoopPool) -> None:
    """asyncio.wrap_future() of ours gives something to await, with its result, error and cancellation."""

    async def main() -> None:
        assert await asyncio.wrap_future(steady_pool.submit(double, 21)) == 42
        with pytest.raises(LookupError):
            await asyncio.wrap_future(steady_pool.submit(fail, "wrapped"))
        future = steady_pool.submit(forever)
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        await asyncio.wait([wrapped])

        assert future.cancelled()

    _run(main)


def test_ensure_future_and_isfuture_take_it(steady_pool: LoopPool) -> None:
    """Asyncio takes it for a future, so nothing is wrapped around it."""

    async def main() -> None:
        future = steady_pool.submit(double, 21)
        is_future = asyncio.isfuture(cast("object", future))

        assert is_future
        assert cast("object", asyncio.ensure_future(future)) is future
        assert await future == 42

    _run(main)


def test_run_until_complete_takes_it(steady_pool: LoopPool) -> None:
    """A loop that is not running yet can be run until our future is done."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def main() -> int:
            return await steady_pool.submit(double, 21)

        assert loop.run_until_complete(main()) == 42


class TestConcurrentWait:
    """concurrent.futures.wait() and as_completed() in threads."""

    def test_all_completed(self, steady_pool: LoopPool) -> None:
        """It returns when all are done, whatever their outcome."""
        futures: list[polyloop.Future[int]] = [
            steady_pool.submit(double, 1),
            steady_pool.submit(fail, "one"),
            steady_pool.submit(forever),
        ]
        futures[2].cancel()
        done, pending = concurrent.futures.wait(futures, timeout=PATIENCE)

        assert (done, pending) == (set(futures), set())
        assert isinstance(futures[1].exception(), LookupError)

    def test_first_completed(self, steady_pool: LoopPool) -> None:
        """It returns when one is done and leaves the rest alone."""
        gate = Gate()
        slow: polyloop.Future[Any] = steady_pool.submit(gate.passage)
        fast: polyloop.Future[Any] = steady_pool.submit(double, 1)
        done, pending = concurrent.futures.wait(
            [slow, fast], timeout=PATIENCE, return_when=concurrent.futures.FIRST_COMPLETED
        )
        gate.open()

        assert (done, pending) == ({fast}, {slow})

    @pytest.mark.parametrize("end", ["fail", "cancel"])
    def test_first_exception(self, steady_pool: LoopPool, end: str) -> None:
        """It returns when one has failed; a cancellation is no failure, as with standard futures."""
        gate = Gate()
        slow: polyloop.Future[Any] = steady_pool.submit(gate.passage)
        bad: polyloop.Future[Any] = (
            steady_pool.submit(fail, "bad") if end == "fail" else steady_pool.submit(forever)
        )
        if end == "cancel":
            bad.cancel()
            gate.open()
        done, _ = concurrent.futures.wait(
            [slow, bad], timeout=PATIENCE, return_when=concurrent.futures.FIRST_EXCEPTION
        )
        gate.open()

        assert bad in done
        assert bad.cancelled() or bad.exception() is not None

    def test_a_timeout(self, steady_pool: LoopPool) -> None:
        """When the time is over it says what is pending."""
        gate = Gate()
        future = steady_pool.submit(gate.passage)
        done, pending = concurrent.futures.wait([future], timeout=0.01)
        gate.open()

        assert (done, pending) == (set(), {future})

    def test_as_completed(self, steady_pool: LoopPool) -> None:
        """Futures come in the order in which their tasks end."""
        gates = [Gate() for _ in range(3)]
        futures = [steady_pool.submit(gate.passage, number) for number, gate in enumerate(gates)]
        results = []
        gates[2].open()
        opening = iter([1, 0])
        for future in concurrent.futures.as_completed(futures, timeout=PATIENCE):
            results.append(future.result())
            gates[next(opening, 0)].open()

        assert results == [2, 1, 0]

    @pytest.mark.parametrize("return_when", ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"])
    def test_it_races_with_the_outcome(
        self, steady_pool: LoopPool, return_when: str, rapid_switches: None
    ) -> None:
        """Thousands of times wait() begins while a task ends, and never misses it."""
        for number in range(1500):
            future = steady_pool.submit(double, number)
            done, _ = concurrent.futures.wait([future], timeout=PATIENCE, return_when=return_when)

            assert done == {future}
            assert future.result(0) == 2 * number

    def test_several_threads_wait_while_it_ends(self, steady_pool: LoopPool, rapid_switches: None) -> None:
        """result(), wait() and as_completed() of three threads all hear of the same outcome."""
        rounds = 500
        start = threading.Barrier(4)
        current: list[polyloop.Future[int]] = []
        heard: list[int] = []

        def listen(wait: Callable[[polyloop.Future[int]], object]) -> None:
            for _ in range(rounds):
                start.wait(PATIENCE)
                wait(current[-1])
                heard.append(current[-1].result(0))
                start.wait(PATIENCE)

        ways: list[Callable[[polyloop.Future[int]], object]] = [
            lambda f: f.result(PATIENCE),
            lambda f: concurrent.futures.wait([f], timeout=PATIENCE),
            lambda f: list(concurrent.futures.as_completed([f], timeout=PATIENCE)),
        ]
        threads = [threading.Thread(target=listen, args=(way,)) for way in ways]
        for thread in threads:
            thread.start()
        for number in range(rounds):
            current.append(steady_pool.submit(double, number))
            start.wait(PATIENCE)
            start.wait(PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)

        assert sorted(heard) == sorted([2 * number for number in range(rounds)] * 3)


@pytest.fixture
def rapid_switches() -> Iterator[None]:
    """Let threads take turns as often as they can, so that races have more chances."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
