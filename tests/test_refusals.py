"""What cannot be submitted is refused at once and by name; what can be, is not."""

from __future__ import annotations

import asyncio
import functools
import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from tests._calls import double
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

VERBS = ["submit", "run", "call", "map", "starmap", "broadcast"]


def plain(number: int) -> int:
    """Return twice the number, with nothing to await."""
    return 2 * number


async def generate(number: int) -> AsyncIterator[int]:
    """One number."""
    yield number


class Service:
    """What can be called in several ways."""

    async def method(self, number: int) -> int:
        """The plainest."""
        return 2 * number

    @classmethod
    async def class_method(cls, number: int) -> int:
        """Of the class."""
        return 2 * number

    @staticmethod
    async def static_method(number: int) -> int:
        """Of nobody."""
        return 2 * number

    def plain_method(self, number: int) -> Awaitable[int]:
        """Not async itself."""
        return self.method(number)

    async def __call__(self, number: int) -> int:
        """The instance itself."""
        return 2 * number


class Generator:
    """Its instances are called for many results."""

    async def __call__(self, number: int) -> AsyncIterator[int]:
        """Many results."""
        yield number


def _use(pool: polyloop.LoopPool, verb: str, fn: Any, *args: Any) -> object:
    """Hand `fn` to the pool in one of the ways there are, and wait for what comes of it."""
    match verb:
        case "submit":
            return pool.submit(fn, *args).result(PATIENCE)
        case "run":
            return asyncio.run(pool.run(fn, *args))
        case "call":
            return pool.call(fn, *args)
        case "map":
            return list(pool.map(fn, args))
        case "starmap":
            return list(pool.starmap(fn, [args]))
        case _:
            return pool.broadcast(fn, *args).result(PATIENCE)


@pytest.mark.parametrize("verb", VERBS)
def test_a_coroutine_object_is_refused_and_closed(steady_pool: LoopPool, verb: str) -> None:
    """The commonest slip of all: the message shows the right call, and nothing says "never awaited" (A1)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coroutine: Coroutine[Any, Any, int] = double(1)
        with pytest.raises(TypeError, match=rf"{verb}\(double, \.\.\.\), not a coroutine object"):
            _use(steady_pool, verb, coroutine, 1)

        assert coroutine.cr_frame is None  # type: ignore[attr-defined]  # it has been closed


def test_a_coroutine_object_is_closed_by_a_pool_that_is_not_open_too(open_pool: OpenPool) -> None:
    """Refusing it for one reason does not leave it open for another (A1)."""
    pool = open_pool()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError):
            _ = pool.submit(double(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (generate, "generate: it is an async generator function"),
        (functools.partial(generate, 1), "generate: it is an async generator function"),
        (Generator(), "Generator: it is an async generator function"),
        (Service, "not the class Service"),
        (time.sleep, r"not the builtin sleep\(\), which would block the loop"),
        (print, r"not the builtin print\(\)"),
        (functools.partial(time.sleep, 1), r"not the builtin sleep\(\)"),
        (None, "not NoneType None"),
        (42, "not int 42"),
        ("double", "not str 'double'"),
    ],
    ids=str,
)
def test_what_can_never_be_a_call_is_refused_at_once(
    steady_pool: LoopPool, verb: str, fn: object, message: str
) -> None:
    """The error is raised by the very call that handed it in, and says what it is and what to do."""
    with pytest.raises(TypeError, match=message):
        _use(steady_pool, verb, fn, 1)


@pytest.mark.parametrize("verb", VERBS)
def test_an_async_generator_object_is_refused(steady_pool: LoopPool, verb: str) -> None:
    """It belongs to the loop that iterates it."""
    with pytest.raises(TypeError, match=r"not the async generator that generate\(\)"):
        _use(steady_pool, verb, generate(1), 1)


@pytest.mark.parametrize(
    "make", [asyncio.Future, lambda: asyncio.ensure_future(double(1))], ids=["future", "task"]
)
def test_another_loops_future_is_refused(steady_pool: LoopPool, make: Any) -> None:
    """An awaitable that exists already belongs to the loop that made it (A10)."""

    async def main() -> None:
        future = make()
        with pytest.raises(TypeError, match="it belongs to the loop that made it"):
            _ = steady_pool.submit(future)
        future.cancel()

    asyncio.run(main())


@pytest.mark.parametrize("verb", ["submit", "run", "call"])
@pytest.mark.parametrize("fn", [plain, functools.partial(plain), lambda number: number], ids=str)
def test_a_plain_function_fails_its_own_call(steady_pool: LoopPool, verb: str, fn: object) -> None:
    """What it returns shows that it was no coroutine function; the message says what to do instead."""
    with pytest.raises(TypeError, match=r"is not a coroutine function: it returned int.*async def"):
        _use(steady_pool, verb, fn, 1)

    assert steady_pool.call(double, 21) == 42


def test_a_plain_function_fails_its_item(steady_pool: LoopPool) -> None:
    """In a map it is the first item's error."""
    with pytest.raises(TypeError, match=r"plain.* is not a coroutine function"):
        list(steady_pool.map(plain, [1]))  # type: ignore[arg-type]


def test_an_error_of_a_plain_function_is_its_own(steady_pool: LoopPool) -> None:
    """One that raises before it returns anything is an error of its call."""

    def fail() -> Awaitable[None]:
        raise LookupError("before it returned")

    with pytest.raises(LookupError, match="before it returned"):
        steady_pool.call(fail)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "fn",
    [
        double,
        functools.partial(double),
        functools.partial(functools.partial(double)),
        Service().method,
        Service.class_method,
        Service.static_method,
        Service().plain_method,
        Service(),
        functools.partial(Service()),
        lambda number: double(number),  # noqa: PLW0108 - a lambda it has to be
        lambda number: asyncio.ensure_future(double(number)),
    ],
    ids=[
        "coroutine function", "partial", "partial of partial", "method", "class method", "static method",
        "method that returns an awaitable", "callable object", "partial of callable object",
        "lambda", "lambda that makes a task",
    ],
)  # fmt: skip
def test_what_returns_an_awaitable_is_accepted(steady_pool: LoopPool, verb: str, fn: object) -> None:
    """Coroutine functions in every dress, and whatever else returns something to await on the loop."""
    result = _use(steady_pool, verb, fn, 21)

    assert result == {"map": [42], "starmap": [42], "broadcast": [42, 42]}.get(verb, 42)


def test_a_partial_keeps_its_arguments(steady_pool: LoopPool) -> None:
    """Those of the partial come before those of the call."""

    async def join(*parts: str, end: str) -> str:
        return "".join(parts) + end

    assert steady_pool.call(functools.partial(join, "a", end="!"), "b") == "ab!"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"loops": 0}, ValueError),
        ({"loops": -1}, ValueError),
        ({"loops": 1_000_000}, ValueError),
        ({"loops": True}, TypeError),
        ({"loops": 2.0}, TypeError),
        ({"loops": "3"}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": -5}, ValueError),
        ({"limit": True}, TypeError),
        ({"limit": 1.5}, TypeError),
        ({"limit": None}, TypeError),
        ({"backlog": -1}, ValueError),
        ({"backlog": False}, TypeError),
        ({"backlog": 1.0}, TypeError),
        ({"grace": -0.1}, ValueError),
        ({"grace": math.nan}, ValueError),
        ({"grace": math.inf}, ValueError),
        ({"grace": True}, TypeError),
        ({"grace": "5"}, TypeError),
        ({"grace": None}, TypeError),
        ({"backend": "fibre"}, ValueError),
        ({"loop_factory": 5}, TypeError),
        ({"lifespan": 5}, TypeError),
        ({"name": 5}, TypeError),
    ],
    ids=str,
)
def test_a_pools_parameters_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    """A slip is told by name, where it was made, before anything is started."""
    with pytest.raises(error, match=next(iter(options))):
        polyloop.LoopPool(**options)


@pytest.mark.parametrize("option", ["drain", "grace"])
@pytest.mark.parametrize("value", [-1, math.nan, True, "1"])
def test_the_patience_of_close_is_checked(steady_pool: LoopPool, option: str, value: Any) -> None:
    """A wrong drain or grace is refused, and the steady_pool stays as it was."""
    with pytest.raises((TypeError, ValueError), match=option):
        steady_pool.close(**{option: value})

    assert steady_pool.call(double, 21) == 42


def test_loops_can_be_left_to_the_machine() -> None:
    """Without `loops` there are as many as make sense here, at least one."""
    with polyloop.LoopPool() as pool:
        assert len(pool.statistics().workers) >= 1
        assert pool.call(double, 21) == 42
