"""Errors: the library's own, those that end programs, those that nobody looks at."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

import polyloop
from tests._bad_errors import Frozen
from tests._calls import double, fail
from tests._gate import PATIENCE, Gate

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable
    from types import TracebackType

    from tests._open_pool import OpenPool

ERRORS = [
    error
    for error in vars(polyloop).values()
    if inspect.isclass(error) and issubclass(error, BaseException) and error is not polyloop.WorkerLost
]

ENDS_PROGRAMS = [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, BaseException]


def raise_frozen() -> None:
    """Raise one whose attributes cannot be set."""
    raise Frozen


async def raise_frozen_later() -> None:
    """In a task."""
    raise Frozen


class TestOwnErrors:
    """The classes."""

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_they_survive_pickling(self, error: type[Exception], protocol: int) -> None:
        """Type, message and attributes come through."""
        original = error("what happened")
        original.add_note("and where")

        copy = pickle.loads(pickle.dumps(original, protocol))

        assert type(copy) is error
        assert (str(copy), copy.args, copy.__notes__) == (str(original), original.args, ["and where"])

    def test_worker_lost_survives_pickling_with_its_facts(self) -> None:
        """Which worker it was and whether the task may have run are kept; the text is the message alone."""
        original = polyloop.WorkerLost("gone", worker=3, may_have_run=False)

        copy = pickle.loads(pickle.dumps(original))

        assert (str(copy), copy.worker, copy.may_have_run) == ("gone", 3, False)

    @pytest.mark.parametrize("error", [*ERRORS, polyloop.WorkerLost], ids=lambda error: error.__name__)
    def test_they_have_one_root_and_are_never_asyncios_cancelled_error(self, error: type[Exception]) -> None:
        """`except PolyloopError` catches all of them; a task group takes none for a cancellation (P5)."""
        assert issubclass(error, polyloop.PolyloopError)
        assert not issubclass(error, asyncio.CancelledError)

    def test_they_derive_from_the_built_in_whose_meaning_they_have(self) -> None:
        """Code that does not know polyloop catches the right thing."""
        assert issubclass(polyloop.TaskCancelled, concurrent.futures.CancelledError)
        for error in (polyloop.PoolClosed, polyloop.PoolFull, polyloop.BlockingCall, polyloop.WorkerLost):
            assert issubclass(error, RuntimeError)


class TestErrorsOfTasks:
    """One task cannot hurt another (P6)."""

    @pytest.mark.parametrize("error", ENDS_PROGRAMS)
    @pytest.mark.parametrize("way", ["result", "call", "await", "run"])
    def test_its_caller_gets_it_and_nobody_else(
        self, open_pool: OpenPool, error: type[BaseException], way: str
    ) -> None:
        """Errors that end loops and programs end in the task's future only; the loop lives on (C1)."""
        gate = Gate()

        def get() -> int:
            match way:
                case "result":
                    return pool.submit(fail, error=error).result(PATIENCE)
                case "call":
                    return pool.call(fail, error=error)
                case "await":
                    return asyncio.run(_awaited(pool.submit(fail, error=error)))
                case _:
                    return asyncio.run(pool.run(fail, error=error))

        with open_pool() as pool:
            bystander = pool.submit(gate.passage, "unharmed")
            with pytest.raises(error, match="from a task"):
                get()
            gate.open()

            assert bystander.result(PATIENCE) == "unharmed"
            assert pool.submit(double, 21).result(PATIENCE) == 42
            assert [worker.generation for worker in pool.statistics().workers] == [0]

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
    def test_after_an_await_it_is_the_same(self, open_pool: OpenPool, error: type[BaseException]) -> None:
        """Not only in the first step of a task."""

        async def fail_later() -> None:
            await asyncio.sleep(0)
            raise error("from a task")

        with open_pool() as pool:
            with pytest.raises(error):
                pool.submit(fail_later).result(PATIENCE)

            assert pool.submit(double, 21).result(PATIENCE) == 42

    @pytest.mark.parametrize("way", ["submit", "map", "key", "loop-local", "threadsafe"])
    def test_an_error_whose_attributes_cannot_be_set(self, open_pool: OpenPool, way: str) -> None:
        """A frozen dataclass is an error like any other, wherever it is raised."""
        local = polyloop.LoopLocal(raise_frozen)

        async def threadsafe() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.wrap_future(polyloop.run_coroutine_threadsafe(raise_frozen_later(), loop))

        def get() -> None:
            match way:
                case "submit":
                    pool.submit(raise_frozen_later).result(PATIENCE)
                case "map":
                    list(pool.map(lambda _: raise_frozen_later(), [1]))
                case "key":
                    list(pool.map(double, [1], key=lambda _: raise_frozen(), per_key=1))
                case "loop-local":
                    pool.submit(local.get).result(PATIENCE)
                case _:
                    pool.submit(threadsafe).result(PATIENCE)

        with open_pool() as pool:
            with pytest.raises(Frozen):
                get()

            assert pool.submit(double, 21).result(PATIENCE) == 42

    @pytest.mark.parametrize("is_coroutine", [False, True])
    def test_stop_iteration_reaches_its_caller_as_a_runtime_error(
        self, open_pool: OpenPool, is_coroutine: bool
    ) -> None:
        """No future can carry a StopIteration: whoever awaited it would never be resumed (C3)."""

        def stop_at_once() -> Awaitable[None]:
            raise StopIteration("from a plain function")

        async def stop() -> None:
            await fail(error=StopIteration)

        async def main() -> None:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await pool.submit(stop if is_coroutine else stop_at_once)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await pool.run(stop if is_coroutine else stop_at_once)

        with open_pool() as pool:
            asyncio.run(asyncio.wait_for(main(), PATIENCE))
            with pytest.raises(RuntimeError, match="StopIteration") as caught:
                pool.submit(stop if is_coroutine else stop_at_once).result(PATIENCE)

        assert isinstance(caught.value.__cause__, StopIteration)

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
    def test_a_bare_callback_does_not_take_the_loop_with_it(
        self, open_pool: OpenPool, expected_logs: list[logging.LogRecord], error: type[BaseException]
    ) -> None:
        """What a task schedules on its loop may raise what ends loops; it is logged and the loop goes on."""

        def raises() -> None:
            raise error

        async def schedule() -> None:
            asyncio.get_running_loop().call_soon(raises)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        with open_pool() as pool:
            pool.submit(schedule).result(PATIENCE)

            assert pool.submit(double, 21).result(PATIENCE) == 42
        assert len(expected_logs) == 1

    def test_a_wrong_argument_is_an_error_of_its_call(self, open_pool: OpenPool) -> None:
        """It shows the function's own complaint, and only its call fails."""
        with open_pool() as pool:
            wrong = pool.submit(double, 1, 2, 3)  # type: ignore[call-arg]
            with pytest.raises(TypeError, match=r"double\(\) takes 1 positional argument but 3"):
                wrong.result(PATIENCE)

            assert pool.call(double, 21) == 42


class TestTracebacks:
    """What an error tells of where it comes from."""

    def test_it_shows_where_the_task_raised(self, open_pool: OpenPool) -> None:
        """The last line is the user's, and nothing of the library stands after the user's frames."""
        with open_pool() as pool, pytest.raises(LookupError) as caught:
            pool.submit(fail).result(PATIENCE)

        assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"

    @pytest.mark.parametrize("way", ["result", "await"])
    def test_it_does_not_grow(self, open_pool: OpenPool, way: str) -> None:
        """However often the error is raised, its traceback has the frames of one time (C6)."""

        async def await_often() -> int:
            return max([await _frames_of_await(future) for _ in range(100)])

        with open_pool() as pool:
            future = pool.submit(fail)
            if way == "result":
                frames = max(_frames_of_result(future) for _ in range(100))
            else:
                frames = asyncio.run(await_often())

        assert frames <= 10

    def test_the_cause_comes_along(self, open_pool: OpenPool) -> None:
        """`raise ... from` in a task is seen by its caller."""

        async def fail_for_a_reason() -> None:
            try:
                await fail()
            except LookupError as error:
                raise ValueError("consequence") from error

        with open_pool() as pool, pytest.raises(ValueError, match="consequence") as caught:
            pool.call(fail_for_a_reason)

        assert repr(caught.value.__cause__) == "LookupError('from a task')"


class TestErrorsNobodyCollects:
    """They are logged, once, with where the call came from (P11, A11)."""

    def test_it_is_logged_with_the_place_of_the_submit(
        self, open_pool: OpenPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """File and line of the submit, the function's name and the error's traceback."""
        with open_pool() as pool:
            _ = pool.submit(fail)
            line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
            del _
            pool.call(double, 0)
            pool.close()
        gc.collect()

        (record,) = expected_logs
        assert record.name == "polyloop"
        assert f"the task fail(), submitted at {__file__}:{line}, failed" in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)

    @pytest.mark.parametrize("way", ["result", "exception", "await", "gather", "callback"])
    def test_one_that_was_collected_is_not_logged(self, open_pool: OpenPool, way: str) -> None:
        """Taking the error in any way counts; `no_leaks` fails this test if something is logged."""

        async def main() -> None:
            future = pool.submit(fail)
            if way == "await":
                with pytest.raises(LookupError):
                    await future
            else:
                await asyncio.gather(future, return_exceptions=True)

        with open_pool() as pool:
            if way in {"await", "gather"}:
                asyncio.run(main())
            elif way == "result":
                with pytest.raises(LookupError):
                    pool.submit(fail).result()
            elif way == "exception":
                assert pool.submit(fail).exception()
            else:
                gate = Gate()
                pool.submit(_fail_after, gate).add_done_callback(lambda future: future.exception())
                gate.open()
        gc.collect()

    def test_a_cancellation_is_not_an_error(self, open_pool: OpenPool) -> None:
        """Dropping a future that was cancelled says nothing."""
        gate = Gate()
        with open_pool() as pool:
            future = pool.submit(gate.passage)
            gate.wait_started()
            future.cancel()
            del future
        gc.collect()

    def test_a_broadcasts_error_is_logged_too(
        self, open_pool: OpenPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """As one group, with the place of the broadcast."""
        with open_pool(2) as pool:
            _ = pool.broadcast(fail)
            del _
        gc.collect()

        (record,) = expected_logs
        assert f"the broadcast of fail(), submitted at {__file__}:" in record.getMessage()


async def _awaited(future: polyloop.Future[int]) -> int:
    return await future


async def _fail_after(gate: Gate) -> None:
    await gate.passage()
    raise LookupError("from a task")


def _length(tb: TracebackType | None) -> int:
    return len(list(traceback.walk_tb(tb)))


def _frames_of_result(future: polyloop.Future[int]) -> int:
    try:
        future.result(PATIENCE)
    except LookupError as error:
        return _length(error.__traceback__)
    raise AssertionError


async def _frames_of_await(future: polyloop.Future[int]) -> int:
    try:
        await future
    except LookupError as error:
        return _length(error.__traceback__)
    raise AssertionError
