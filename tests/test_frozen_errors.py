"""Errors of a class that refuses every assignment, as a frozen dataclass does, also that of a traceback."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, NoReturn

import pytest

from polyloop import LoopLocal, RemoteError, run_coroutine_threadsafe
from tests._calls import double, fail
from tests._gate import PATIENCE

if TYPE_CHECKING:
    from polyloop import LoopPool


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """The class."""

    text: str


def raise_frozen(_: object = None) -> NoReturn:
    """Raise it."""
    raise Frozen("cold")


def test_a_task_may_raise_it(steady_pool: LoopPool, backend: str) -> None:
    """It arrives as any other error does; its attributes cannot be set again on the other side."""
    error = steady_pool.submit(fail, "cold", Frozen).exception(PATIENCE)

    if backend == "thread":
        assert error == Frozen("cold")
    else:
        assert isinstance(error, RemoteError)
        assert (error.type_name, error.text) == (f"{__name__}.Frozen", "cold")


def test_a_coroutine_on_another_loop_may_raise_it() -> None:
    """run_coroutine_threadsafe() brings it back."""

    async def main() -> None:
        future = run_coroutine_threadsafe(fail("cold", Frozen), asyncio.get_running_loop())
        with pytest.raises(Frozen, match="cold"):
            await asyncio.wait_for(future, PATIENCE)

    asyncio.run(main())


def test_the_opening_of_a_loop_local_may_raise_it() -> None:
    """Who asks for the value gets it."""

    async def main() -> None:
        with pytest.raises(Frozen, match="cold"):
            await asyncio.wait_for(LoopLocal(raise_frozen).get(), PATIENCE)

    asyncio.run(main())


@pytest.mark.parametrize("per_key", [None, 1])
def test_a_key_function_may_raise_it(steady_pool: LoopPool, per_key: int | None) -> None:
    """It takes the place of its item, and need not travel for that."""
    stream = steady_pool.map(double, [1], key=raise_frozen, per_key=per_key, errors="return")

    assert list(stream) == [Frozen("cold")]
