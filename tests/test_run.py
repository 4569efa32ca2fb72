"""`run` for code that awaits and `call` for code that does not: one call, its value or its error."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._calls import cancel_oneself, clean_up_behind, double, fail, forever, worker_name
from tests._gate import PATIENCE, Gate
from tests._processes import MAY_MISS_SIGNALS
from tests._shared import Flag, Notes

if TYPE_CHECKING:
    from polyloop import LoopPool
    from polyloop._messages import Command
    from tests._open_pool import OpenPool

nests = pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")


class TestRun:
    """`run`."""

    def test_it_returns_the_value_or_raises_the_error(self, open_pool: OpenPool) -> None:
        """The call runs on another loop, and what comes of it comes back here."""

        async def main() -> None:
            async with open_pool(1, name="elsewhere") as pool:
                assert await pool.run(double, 7, times=3) == 42
                assert await pool.run(worker_name) == "elsewhere-0"
                with pytest.raises(LookupError, match="nothing"):
                    await pool.run(fail, "nothing")

        asyncio.run(main())

    def test_many_at_once(self, open_pool: OpenPool) -> None:
        """Thousands of calls gathered on one loop, over the limit, all come back."""

        async def main() -> None:
            async with open_pool(2, limit=100) as pool:
                results = await asyncio.gather(*(pool.run(double, number) for number in range(5_000)))

            assert list(results) == [2 * number for number in range(5_000)]

        asyncio.run(main())

    def test_the_callers_loop_stays_free(self, steady_pool: LoopPool) -> None:
        """While a call waits, other tasks of the caller's loop go on."""

        async def main() -> None:
            gate = Gate()
            waiting = asyncio.create_task(steady_pool.run(gate.passage, "late"))
            await asyncio.to_thread(gate.wait_started)
            for _ in range(10):
                await asyncio.sleep(0)
            gate.open()

            assert await waiting == "late"

        asyncio.run(main())

    def test_cancelling_it_cancels_the_task_and_waits_for_it(self, steady_pool: LoopPool) -> None:
        """It returns only when the clean-up on the other loop is over (B3)."""

        async def main() -> None:
            gate = Gate()
            running = asyncio.create_task(steady_pool.run(clean_up_behind, gate))
            await asyncio.sleep(0)
            await steady_pool.broadcast(double, 0)  # it has started by now
            running.cancel()
            await asyncio.to_thread(gate.wait_started)
            is_early = running.done()
            gate.open()
            with pytest.raises(asyncio.CancelledError):
                await running

            assert not is_early

        asyncio.run(main())

    def test_cancelling_it_while_it_waits_for_a_place(self, open_pool: OpenPool) -> None:
        """A call that has not started never starts (B1')."""

        async def main() -> None:
            gate, never = Gate(), Gate()
            async with open_pool(1, limit=1) as pool:
                first = pool.submit(gate.passage)
                waiting = asyncio.create_task(pool.run(never.passage))
                await asyncio.to_thread(gate.wait_started)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                gate.open()
                await first

            assert never.entered == 0

        asyncio.run(main())

    def test_ones_own_cancellation_wins_over_a_value(self, steady_pool: LoopPool) -> None:
        """Who was cancelled is cancelled, though the task returned something in the end (B5)."""

        async def main() -> None:
            gate = Gate()

            async def finish_anyway() -> int:
                try:
                    await gate.passage()
                except asyncio.CancelledError:
                    pass
                return 42

            running = asyncio.create_task(steady_pool.run(finish_anyway))
            await asyncio.to_thread(gate.wait_started)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

        asyncio.run(main())

    def test_an_error_of_the_clean_up_is_raised(self, steady_pool: LoopPool) -> None:
        """It is not swallowed by the cancellation that caused it."""

        async def main() -> None:
            gate = Gate()

            async def fail_in_cleaning_up() -> None:
                try:
                    await gate.passage()
                finally:
                    raise LookupError("in the clean-up")

            running = asyncio.create_task(steady_pool.run(fail_in_cleaning_up))
            await asyncio.to_thread(gate.wait_started)
            running.cancel()
            with pytest.raises(LookupError, match="in the clean-up"):
                await running

        asyncio.run(main())

    def test_a_timeout_around_it(self, steady_pool: LoopPool) -> None:
        """asyncio.timeout() ends the task and raises TimeoutError."""

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await steady_pool.run(forever)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(steady_pool.run(forever), 0.01)

            assert steady_pool.statistics().in_flight == 0

        asyncio.run(main())

    def test_a_task_that_somebody_else_cancelled(self, steady_pool: LoopPool) -> None:
        """The caller gets TaskCancelled, an Exception, and a task group hears of it (P5, B8)."""

        async def main() -> None:
            with pytest.raises(polyloop.TaskCancelled, match=r"cancel_oneself\(\) was cancelled"):
                await steady_pool.run(cancel_oneself)
            with pytest.raises(BaseExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(steady_pool.run(cancel_oneself))

            assert [type(error) for error in caught.value.exceptions] == [polyloop.TaskCancelled]

        asyncio.run(main())

    @nests
    def test_a_task_can_run_calls_of_its_own_pool(self, open_pool: OpenPool) -> None:
        """A thousand parents at the limit, each awaiting a child: no deadlock (F5)."""

        async def parent(pool: polyloop.LoopPool, number: int) -> int:
            return await pool.run(double, number)

        with open_pool(2, limit=10) as pool:
            futures = [pool.submit(parent, pool, number) for number in range(1000)]

            assert [future.result(PATIENCE) for future in futures] == [2 * number for number in range(1000)]

    def test_it_refuses_as_submit_does(self, open_pool: OpenPool) -> None:
        """A closed pool raises PoolClosed when it is awaited."""

        async def main() -> None:
            async with open_pool() as pool:
                pass
            with pytest.raises(polyloop.PoolClosed):
                await pool.run(double, 1)

        asyncio.run(main())


class TestCall:
    """`call`."""

    def test_it_returns_the_value_or_raises_the_error(self, steady_pool: LoopPool) -> None:
        """A program without asyncio in sight calls a coroutine function."""
        assert steady_pool.call(double, 7, times=3) == 42
        with pytest.raises(LookupError, match="nothing"):
            steady_pool.call(fail, "nothing")

    def test_a_task_that_somebody_else_cancelled(self, steady_pool: LoopPool) -> None:
        """The caller gets TaskCancelled."""
        with pytest.raises(polyloop.TaskCancelled):
            steady_pool.call(cancel_oneself)

    @nests
    def test_on_one_of_the_pools_own_loops_it_is_refused(self, open_pool: OpenPool) -> None:
        """It raises BlockingCall and the function is never called (A6)."""
        gate = Gate()

        async def call_here(pool: polyloop.LoopPool) -> None:
            with pytest.raises(polyloop.BlockingCall, match=r"passage\(\).*await it"):
                pool.call(gate.passage)

        with open_pool() as pool:
            pool.submit(call_here, pool).result(PATIENCE)

        assert gate.entered == 0

    @nests
    def test_closing_on_one_of_the_pools_own_loops_is_refused(self, open_pool: OpenPool) -> None:
        """A task that closes its own pool would wait for itself: BlockingCall, and the pool goes on (A6)."""

        async def close_here(pool: polyloop.LoopPool) -> None:
            with pytest.raises(polyloop.BlockingCall):
                pool.close()
            with pytest.raises(polyloop.BlockingCall):
                await pool.aclose()

        with open_pool() as pool:
            pool.submit(close_here, pool).result(PATIENCE)

            assert pool.call(double, 21) == 42

    def test_ctrl_c_cancels_the_task(self, steady_pool: LoopPool) -> None:  # noqa: PLR0915 - as below
        """Ctrl-C in the waiting thread ends the task, waits for its clean-up, and is raised (G3)."""
        gate = Gate()
        cleaned_up: Notes[bool] = Notes()
        ended = threading.Event()

        async def run_and_clean_up() -> None:
            try:
                await gate.passage()
            finally:
                await asyncio.sleep(0)
                cleaned_up.append(True)

        def interrupt() -> None:
            gate.wait_started()
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)  # also ends the system call it waits in
            while MAY_MISS_SIGNALS and not ended.wait(1):
                signal.pthread_kill(main, signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            steady_pool.call(run_and_clean_up)
        ended.set()
        seen = list(cleaned_up)
        interrupter.join(PATIENCE)

        assert seen == [True]
        assert steady_pool.call(double, 21) == 42

    def test_ctrl_c_in_the_middle_of_sending(  # noqa: PLR0915 - one story, with its calls in it
        self, steady_pool: LoopPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call that was on its way by then, and has started, is cancelled once, and waited for (P3)."""
        started, cleaned_up, cleaning = Flag(), Flag(), Gate()
        desk = steady_pool._dispatch._desks()[0]
        send = desk.send

        async def stay() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await cleaning.passage()
                cleaned_up.set()

        def send_and_be_hit(command: Command) -> None:
            send(command)
            monkeypatch.undo()
            started.block()
            raise KeyboardInterrupt

        def go_on() -> None:
            cleaning.wait_started()
            cleaning.open()

        helper = threading.Thread(target=go_on)
        helper.start()
        monkeypatch.setattr(desk, "send", send_and_be_hit)
        with pytest.raises(KeyboardInterrupt):
            steady_pool.options(worker=0).call(stay)
        seen = cleaned_up.is_set()
        helper.join(PATIENCE)

        assert seen
