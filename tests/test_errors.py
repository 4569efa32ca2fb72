"""Errors: the library's own, those that end programs, those that nobody looks at."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import pickle
import re
import threading
import traceback
from typing import TYPE_CHECKING

import pytest

import polyloop
from polyloop._errors import RemoteTraceback
from tests._bad_errors import Frozen
from tests._calls import double, fail
from tests._gate import PATIENCE, Gate
from tests._stage import until

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable
    from types import TracebackType

    from polyloop import LoopPool
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
        self, steady_pool: LoopPool, error: type[BaseException], way: str
    ) -> None:
        """Errors that end loops and programs end in the task's future only; the loop lives on (C1)."""
        view = steady_pool.options(worker=0)
        gate = Gate()

        def get() -> int:
            match way:
                case "result":
                    return view.submit(fail, error=error).result(PATIENCE)
                case "call":
                    return view.call(fail, error=error)
                case "await":
                    return asyncio.run(_awaited(view.submit(fail, error=error)))
                case _:
                    return asyncio.run(view.run(fail, error=error))

        bystander = view.submit(gate.passage, "unharmed")
        with pytest.raises(error, match="from a task"):
            get()
        gate.open()

        assert bystander.result(PATIENCE) == "unharmed"
        assert view.submit(double, 21).result(PATIENCE) == 42
        assert steady_pool.statistics().workers[0].generation == 0

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
    def test_after_an_await_it_is_the_same(self, steady_pool: LoopPool, error: type[BaseException]) -> None:
        """Not only in the first step of a task."""
        view = steady_pool.options(worker=0)

        async def fail_later() -> None:
            await asyncio.sleep(0)
            raise error("from a task")

        with pytest.raises(error):
            view.submit(fail_later).result(PATIENCE)

        assert view.submit(double, 21).result(PATIENCE) == 42

    @pytest.mark.parametrize("way", ["submit", "map", "key", "loop-local"])
    def test_an_error_whose_attributes_cannot_be_set(self, steady_pool: LoopPool, way: str) -> None:
        """A frozen dataclass is an error like any other, wherever it is raised."""
        local = polyloop.LoopLocal(raise_frozen)

        def get() -> None:
            match way:
                case "submit":
                    steady_pool.submit(raise_frozen_later).result(PATIENCE)
                case "map":
                    list(steady_pool.map(lambda _: raise_frozen_later(), [1]))
                case "key":
                    list(steady_pool.map(double, [1], key=lambda _: raise_frozen(), per_key=1))
                case _:
                    steady_pool.submit(local.get).result(PATIENCE)

        with pytest.raises(Frozen):
            get()

        assert steady_pool.submit(double, 21).result(PATIENCE) == 42

    def test_a_coroutine_on_a_workers_own_loop_may_raise_such_an_error(self, open_pool: OpenPool) -> None:
        """run_coroutine_threadsafe() brings it to the task that used it there."""

        async def threadsafe() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.wrap_future(polyloop.run_coroutine_threadsafe(raise_frozen_later(), loop))

        with open_pool() as pool, pytest.raises(Frozen):
            pool.submit(threadsafe).result(PATIENCE)

    @pytest.mark.parametrize("is_coroutine", [False, True])
    def test_stop_iteration_reaches_its_caller_as_a_runtime_error(
        self, steady_pool: LoopPool, is_coroutine: bool
    ) -> None:
        """No future can carry a StopIteration: whoever awaited it would never be resumed (C3)."""

        def stop_at_once() -> Awaitable[None]:
            raise StopIteration("from a plain function")

        async def stop() -> None:
            await fail(error=StopIteration)

        async def main() -> None:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await steady_pool.submit(stop if is_coroutine else stop_at_once)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await steady_pool.run(stop if is_coroutine else stop_at_once)

        asyncio.run(asyncio.wait_for(main(), PATIENCE))
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            steady_pool.submit(stop if is_coroutine else stop_at_once).result(PATIENCE)

        assert "StopIteration: from a" in _printed(caught.value)

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
    def test_a_bare_callback_does_not_take_the_loop_with_it(
        self,
        steady_pool: LoopPool,
        backend: str,
        expected_logs: list[logging.LogRecord],
        error: type[BaseException],
    ) -> None:
        """What a task schedules on its loop may raise what ends loops; it is logged and the loop goes on."""

        def raises() -> None:
            raise error

        async def schedule() -> None:
            asyncio.get_running_loop().call_soon(raises)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        view = steady_pool.options(worker=0)
        view.submit(schedule).result(PATIENCE)

        assert view.submit(double, 21).result(PATIENCE) == 42
        assert steady_pool.statistics().workers[0].generation == 0
        assert len(expected_logs) == (1 if backend == "thread" else 0), "it is logged where the loop is"

    def test_a_wrong_argument_is_an_error_of_its_call(self, steady_pool: LoopPool) -> None:
        """It shows the function's own complaint, and only its call fails."""
        wrong = steady_pool.submit(double, 1, 2, 3)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"double\(\) takes 1 positional argument but 3"):
            wrong.result(PATIENCE)

        assert steady_pool.call(double, 21) == 42


class TestTracebacks:
    """What an error tells of where it comes from."""

    def test_it_shows_where_the_task_raised(self, steady_pool: LoopPool) -> None:
        """The last line is the user's, and nothing of the library stands after the user's frames."""
        with pytest.raises(LookupError) as caught:
            steady_pool.submit(fail).result(PATIENCE)

        assert _where_raised(caught.value) == "fail"

    @pytest.mark.parametrize("way", ["result", "await"])
    def test_it_does_not_grow(self, steady_pool: LoopPool, way: str) -> None:
        """However often the error is raised, its traceback has the frames of one time (C6)."""

        async def await_often() -> int:
            return max([await _frames_of_await(future) for _ in range(100)])

        future = steady_pool.submit(fail)
        if way == "result":
            frames = max(_frames_of_result(future) for _ in range(100))
        else:
            frames = asyncio.run(await_often())

        assert frames <= 10

    def test_the_cause_comes_along(self, steady_pool: LoopPool) -> None:
        """`raise ... from` in a task is seen by its caller."""

        async def fail_for_a_reason() -> None:
            try:
                await fail()
            except LookupError as error:
                raise ValueError("consequence") from error

        with pytest.raises(ValueError, match="consequence") as caught:
            steady_pool.call(fail_for_a_reason)

        printed = _printed(caught.value)
        assert "LookupError: from a task" in printed
        assert "the direct cause" in printed


class TestErrorsNobodyCollects:
    """They are logged, once, with where the call came from (P11, A11)."""

    def test_it_is_logged_with_the_place_of_the_submit(
        self, steady_pool: LoopPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """File and line of the submit, the function's name and the error's traceback."""
        _ = steady_pool.submit(fail)
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        del _
        _let_go(steady_pool)

        (record,) = expected_logs
        assert record.name == "polyloop"
        assert f"the task fail(), submitted at {__file__}:{line}, failed" in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)

    @pytest.mark.parametrize("way", ["result", "exception", "await", "gather", "callback"])
    def test_one_that_was_collected_is_not_logged(self, steady_pool: LoopPool, way: str) -> None:
        """Taking the error in any way counts; `no_leaks` fails this test if something is logged."""

        async def main() -> None:
            future = steady_pool.submit(fail)
            if way == "await":
                with pytest.raises(LookupError):
                    await future
            else:
                await asyncio.gather(future, return_exceptions=True)

        if way in {"await", "gather"}:
            asyncio.run(main())
        elif way == "result":
            with pytest.raises(LookupError):
                steady_pool.submit(fail).result()
        elif way == "exception":
            assert steady_pool.submit(fail).exception()
        else:
            gate, called = Gate(), threading.Event()
            future = steady_pool.submit(_fail_after, gate)
            future.add_done_callback(lambda future: future.exception())
            future.add_done_callback(lambda _: called.set())
            del future
            gate.open()
            until(called)
        _let_go(steady_pool)

    def test_a_cancellation_is_not_an_error(self, steady_pool: LoopPool) -> None:
        """Dropping a future that was cancelled says nothing, nor does one that is to be."""
        gate = Gate()
        kept, dropped = steady_pool.submit(gate.passage), steady_pool.submit(gate.passage)
        gate.wait_started(2)
        dropped.cancel()
        del dropped
        kept.cancel()
        kept.wait(PATIENCE)
        del kept
        _let_go(steady_pool)

    def test_a_broadcasts_error_is_logged_too(
        self, steady_pool: LoopPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """As one group, with the place of the broadcast."""
        _ = steady_pool.broadcast(fail)
        del _
        _let_go(steady_pool)

        (record,) = expected_logs
        assert f"the broadcast of fail(), submitted at {__file__}:" in record.getMessage()


def _let_go(pool: LoopPool) -> None:
    """What was handed in before has been settled, and nothing refers to it by accident."""
    pool.broadcast(double, 0).result(PATIENCE)
    gc.collect()


def _printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _where_raised(error: BaseException) -> str:
    """The innermost function of its traceback, on whatever backend that was."""
    if isinstance(error.__cause__, RemoteTraceback):
        return str(re.findall(r", in (\w+)$", str(error.__cause__), re.MULTILINE)[-1])
    return traceback.extract_tb(error.__traceback__)[-1].name


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
