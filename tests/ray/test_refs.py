"""References to what is in Ray's object store: in arguments, in what is set up, and in results."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, current_worker
from tests._gate import PATIENCE
from tests._stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LARGE = b"x" * 1_000_000

kept: list[Any] = []
"""By a worker, beyond a call."""


def ray() -> Any:
    """The module, without its types."""
    return importlib.import_module("ray")


async def size(things: dict[str, list[Any]]) -> int:
    """Of what the only reference in there is to."""
    return len(await things["a"][0])


async def size_got(ref: Any) -> int:
    """The same, by ``ray.get()``, which blocks."""
    return len(await asyncio.to_thread(ray().get, ref))


async def keep(ref: Any) -> None:
    """Take it along."""
    kept.append(ref)


async def kept_size() -> int:
    """Of what was kept."""
    return len(await kept.pop())


async def put(data: bytes) -> Any:
    """Put it into the store, there."""
    return {"ref": ray().put(data)}


async def large(count: int) -> bytes:
    """So many bytes."""
    return bytes(count)


@contextlib.asynccontextmanager
async def opened(ref: Any) -> AsyncGenerator[int]:
    """A lifespan that is given something large."""
    yield len(await ref)


async def state() -> Any:
    """What the lifespan has made."""
    return current_worker().state


def is_counted(name: str) -> bool:
    """Whether Ray keeps something for this program, or for what has got it from here."""
    counts = ray().worker.global_worker.core_worker.get_all_reference_counts()
    return name in counts


def test_a_reference_counts_until_the_call_has_its_outcome() -> None:
    """Though the program has dropped it while the call waits; then Ray lets go what it is to."""
    stage = Stage()
    ref = ray().put(LARGE)
    name = ref.hex()
    with LoopPool(1, backend="ray", limit=1) as pool:
        blocked = pool.submit(stage.wait)
        futures = [
            pool.submit(size_got, ref),
            pool.submit(size, {"a": [ref]}),
            pool.submit(functools.partial(size_got, ref)),
        ]
        del ref
        gc.collect()
        stage.released.set()
        assert blocked.result(PATIENCE) == "released"

        assert [future.result(PATIENCE) for future in futures] == 3 * [len(LARGE)]

        end = time.monotonic() + PATIENCE
        while is_counted(name):  # nothing tells
            assert time.monotonic() < end, "it is counted, and nobody has it"
            time.sleep(0.01)


def test_a_worker_may_keep_a_reference() -> None:
    """Ray counts it there, as with actors of one's own."""
    ref = ray().put(LARGE)
    with LoopPool(1, backend="ray") as pool:
        pool.call(keep, ref)
        del ref
        gc.collect()

        assert pool.call(kept_size) == len(LARGE)


def test_a_lifespan_is_given_a_reference() -> None:
    """Each loop then has what it is to, and it was put once."""
    with LoopPool(2, backend="ray", lifespan=functools.partial(opened, ray().put(LARGE))) as pool:
        assert pool.broadcast(state).result(PATIENCE) == 2 * [len(LARGE)]


def test_a_result_has_a_reference() -> None:
    """To what the worker has put there; it is good for as long as the worker lives."""
    with LoopPool(1, backend="ray") as pool:
        ref = pool.call(put, LARGE)["ref"]

        assert ray().get(ref) == LARGE


def test_a_large_result_arrives() -> None:
    """Through the object store, in pieces."""
    with LoopPool(1, backend="ray") as pool:
        assert pool.call(large, 50_000_000) == bytes(50_000_000)


def test_a_reference_is_for_ray_alone() -> None:
    """In a process nobody would have what it is to, and waiting for that would never end."""
    LoopPool(1, backend="ray")
    with LoopPool(1, backend="process") as pool, pytest.raises(TypeError, match="to loops on Ray alone"):
        pool.call(size_got, ray().put(LARGE))
