"""A loop-local that is pickled stays the same one."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]  # it has no types

from polyloop import LoopLocal
from tests._gate import PATIENCE
from tests._processes import run_python

if TYPE_CHECKING:
    from collections.abc import Callable


def make() -> list[str]:
    """Make a value."""
    return []


def close(value: list[str]) -> None:
    """Close a value."""
    value.append("closed")


def test_in_the_same_process_it_is_the_same_object() -> None:
    """Whatever pickles it, and whatever copies it, the result is the object itself."""
    local = LoopLocal(make, close=close)

    assert pickle.loads(pickle.dumps(local)) is local
    assert cloudpickle.loads(cloudpickle.dumps(local)) is local
    assert copy.deepcopy(local) is local


def test_two_with_the_same_factory_stay_two() -> None:
    """The identity is that of the loop-local, not that of its factory."""
    one, other = pickle.loads(pickle.dumps([LoopLocal(make), LoopLocal(make)]))

    assert one is not other


def test_a_function_by_value_finds_the_same_one() -> None:
    """A function that is sent by value, as those of ``__main__`` are, refers to the same loop-local."""
    local = LoopLocal(make)

    async def work() -> list[str]:
        return await local.get()

    copies: list[Callable[[], Any]] = [cloudpickle.loads(cloudpickle.dumps(work)) for _ in range(2)]

    async def main() -> None:
        values = [await copied() for copied in copies]
        assert values[0] is values[1] is await local.get()

    asyncio.run(main())


PROGRAM = """
import asyncio, pickle, subprocess, sys
import cloudpickle
import polyloop

if len(sys.argv) > 1:
    # The other process: it has never seen the objects, and gets each of the pickles by itself.
    async def main():
        copies = [pickle.loads(pickled) for pickled in pickle.load(sys.stdin.buffer)]
        values = [await copied() for copied in copies]
        print(len(values), len(set(map(id, values))))

    asyncio.run(main())
else:
    class Client:
        pass

    local = polyloop.LoopLocal(Client)

    async def work():
        return await local.get()

    pickles = pickle.dumps([cloudpickle.dumps(work) for _ in range(3)])
    program = [sys.executable, "-c", sys.orig_argv[sys.orig_argv.index("-c") + 1], "other"]
    subprocess.run(program, input=pickles, check=True)
"""


def test_in_another_process_there_is_one_for_all_copies() -> None:
    """However many functions arrive by value, the loop-local that they share has one value per loop."""
    ended = run_python(PROGRAM)

    assert (ended.output.strip(), ended.errors) == ("3 1", "")


def test_it_is_kept_while_its_value_is_open() -> None:
    """A copy that nobody else refers to lives as long as its value, so that the next copy finds it."""
    pickled = pickle.dumps(LoopLocal(make))
    gc.collect()

    async def ask() -> object:
        return await pickle.loads(pickled).get()

    async def main() -> None:
        assert await ask() is await ask()

    asyncio.run(main())


def test_nothing_keeps_one_that_is_not_used() -> None:
    """The identity keeps no loop-local alive."""
    local = LoopLocal(make)
    reference = weakref.ref(local)
    asyncio.run(_ask(local))

    del local
    gc.collect()

    assert reference() is None


async def _ask(local: LoopLocal[Any]) -> None:
    await local.get()


def test_threads_that_unpickle_at_once_get_one() -> None:
    """Of the copies that arrive in many threads at the same moment, one is made."""
    pickled = pickle.dumps(LoopLocal(make))
    gc.collect()
    barrier = threading.Barrier(8)
    found: list[Any] = []

    def load() -> None:
        barrier.wait(PATIENCE)
        found.append(pickle.loads(pickled))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(found) == 8
    assert len(set(found)) == 1
