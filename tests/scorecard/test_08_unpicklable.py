"""What cannot be pickled, or cannot be made again: who suffers, and how soon is the caller told?

What each error says is for ``tests/process/test_errors.py``.
"""

from __future__ import annotations

import threading
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from tests._gate import PATIENCE, Gate
from tests._scorecard import report
from tests.process import _failures, _jobs, _looks, _misfits

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

BYSTANDERS = 100

pytestmark = pytest.mark.backends("process", "interpreter", "ray", why="threads pickle nothing")


ARGUMENTS: dict[str, Callable[[], object]] = {
    "a lock": threading.Lock,
    "a generator": _misfits.generator,
    "one that refuses": _misfits.refusing,
    "one that cannot be made again": lambda: _misfits.Sealed("x"),
    "one that ends programs when made again": lambda: _misfits.Raising(SystemExit),
}
"""Of these, the first three are refused when they are handed in."""
RESULTS: dict[str, Callable[[], object]] = {
    "a lock": _misfits.lock,
    "one that refuses": _misfits.refusing,
    "something deep inside": _misfits.nested,
}
RAISING = [LookupError, SystemExit, KeyboardInterrupt]
ERRORS = [*_failures.MISFITS, _failures.evil]


def test_it_is_its_own_calls_error(open_pool: OpenPool) -> None:
    """Each is an error of that call, soon, and neither its worker nor another call takes any notice."""
    gate = Gate()
    with open_pool(2) as pool:
        workers = pool.broadcast(_looks.where).result(PATIENCE)
        bystanders = [pool.submit(gate.passage, number) for number in range(BYSTANDERS)]
        gate.wait_started(BYSTANDERS)
        attempts: list[tuple[Callable[..., Any], object]] = [
            *((_jobs.echo, make()) for make in ARGUMENTS.values()),
            *((_jobs.call_it, make) for make in RESULTS.values()),
            *((_jobs.make_raising, kind) for kind in RAISING),
            *((_failures.raise_made, make) for make in ERRORS),
        ]
        seconds: list[float] = []
        told = 0
        for function, argument in attempts:
            for index in range(2):
                began = perf_counter()
                told += fails(pool, index, function, argument)
                seconds.append(perf_counter() - began)
                assert pool.options(worker=index).submit(_looks.where).result(PATIENCE) == workers[index]
        gate.open()
        well = sum(future.result(PATIENCE) == number for number, future in enumerate(bystanders))
        replaced = sum(worker.generation for worker in pool.statistics().workers)

    report(
        8,
        f"{len(ARGUMENTS)} kinds of arguments, {len(RESULTS) + len(RAISING)} of results, {len(ERRORS)} of "
        f"errors: {told} of {2 * len(attempts)} callers told, after at most {max(seconds) * 1000:.0f} ms; "
        f"{well} of {BYSTANDERS} bystanders well, {replaced} workers replaced",
    )
    assert told == 2 * len(attempts)
    assert median(seconds) <= 0.5  # a busy machine may delay some of them
    assert well == BYSTANDERS
    assert replaced == 0


def fails(pool: LoopPool, index: int, function: Callable[..., Any], argument: object) -> bool:
    """Whether the caller is told that this cannot be, by an error that is none of the pool's."""
    try:
        future = pool.options(worker=index).submit(function, argument)
    except TypeError as refusal:
        return "cannot be sent" in str(refusal)
    error = future.exception(PATIENCE)
    return error is not None and not isinstance(error, polyloop.WorkerLost | polyloop.PoolClosed)
