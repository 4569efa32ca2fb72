"""Calls to loops in sub-interpreters: what crosses, what is apart, and what errors become."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool
from polyloop._errors import RemoteError
from tests._gate import PATIENCE
from tests.interpreter import _jobs
from tests.interpreter._needs import needs_interpreters

if TYPE_CHECKING:
    pass

pytestmark = needs_interpreters


def test_one_process_several_interpreters(pool: LoopPool) -> None:
    """Each worker is in an interpreter of its own, and all are in this process."""
    places = pool.broadcast(_jobs.where).result(PATIENCE)

    assert {pid for pid, _ in places} == {os.getpid()}
    assert len({modules for _, modules in places}) == 2


def test_who_it_is(pool: LoopPool) -> None:
    """A worker knows its index, generation, name, backend and how many there are; so does its thread."""
    workers = pool.broadcast(_jobs.who).result(PATIENCE)

    assert workers == [
        (index, 0, f"polyloop-{index}", "interpreter", 2, f"polyloop-{index}") for index in range(2)
    ]


def test_module_state_is_apart(pool: LoopPool) -> None:
    """What a module keeps is each interpreter's own."""
    assert pool.broadcast(_jobs.count).result(PATIENCE) == [1, 1]
    assert pool.options(worker=0).call(_jobs.count) == 2
    assert asyncio.run(_jobs.calls()) == 0


def test_loop_locals(pool: LoopPool) -> None:
    """A loop-local has one value per loop."""
    pool.options(worker=0).call(_jobs.add_thing, "one")

    assert pool.options(worker=0).call(_jobs.add_thing, "two") == ["one", "two"]
    assert pool.options(worker=1).call(_jobs.add_thing, "three") == ["three"]


def test_a_function_without_a_name_is_sent_by_value(pool: LoopPool) -> None:
    """A function that cannot be imported crosses with what it refers to."""
    factor = 3

    async def multiply(number: int) -> int:
        return factor * number

    assert pool.call(multiply, 4) == 12


def test_large_arguments_cross(pool: LoopPool) -> None:
    """What is larger than a socket's buffer arrives as it was."""
    data = bytes(range(256)) * 20_000

    async def echo(data: bytes) -> bytes:
        return data

    assert pool.call(echo, data) == data


def test_threads_beside_the_loop(pool: LoopPool) -> None:
    """What blocks runs in threads beside the loop: by ``to_thread``, ``run_sync`` and for names."""
    view = pool.options(worker=0)

    assert view.call(_jobs.aside).startswith("polyloop-0-beside")
    assert "-beside" in asyncio.run(pool.run_sync(_jobs.thread_name))
    assert view.call(_jobs.look_up)


def test_an_error_arrives_as_it_was_raised(pool: LoopPool) -> None:
    """With its class, its notes and the remote traceback as its cause."""
    with pytest.raises(_jobs.Odd, match="odd") as caught:
        pool.call(_jobs.raise_odd)

    assert caught.value.__notes__ == ["a note"]
    assert "raise_odd" in str(caught.value.__cause__)


def test_an_argument_that_cannot_be_sent(pool: LoopPool) -> None:
    """It is refused where it is submitted, by a sentence that names it."""
    lock: Any = threading.Lock()

    with pytest.raises(TypeError, match=r"argument 1 of double\(\) cannot be sent to another interpreter"):
        pool.call(_jobs.double, lock)


def test_an_argument_that_cannot_be_made_again(pool: LoopPool) -> None:
    """Its own call fails, and says where."""
    stubborn: Any = _jobs.Stubborn()

    with pytest.raises(_jobs.Odd) as caught:
        pool.call(_jobs.double, stubborn)

    assert "the worker's interpreter" in caught.value.__notes__[0]


def test_results_that_cannot_cross(pool: LoopPool) -> None:
    """One that cannot be sent back, or not be made again here, fails its own call."""
    with pytest.raises(TypeError, match="cannot be sent back to the pool"):
        pool.call(_jobs.give_lock)
    with pytest.raises(RemoteError, match="it will not be made again"):
        pool.call(_jobs.give_stubborn)
