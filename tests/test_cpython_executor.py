"""CPython's own tests of what an executor has to do, with a pool's.

They come with the interpreter, where that brings its test package along.
"""

from __future__ import annotations

import gc
import importlib
import sys
import unittest
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyloop import LoopPool

NOT_APPLICABLE = {
    "test_max_workers_negative": "an executor of a pool has no max_workers; the pool has its loops and limit",
    "test_max_workers_too_large": "as for test_max_workers_negative",
    "test_map_timeout": "it sleeps for six seconds; tests/test_loop_executor.py has the same without",
}


def find_tests() -> Any:
    """CPython's mixin, or None where it is not installed."""
    # A package since 3.12, and in later releases of 3.11.
    for module in ("test.test_concurrent_futures.executor", "test.test_concurrent_futures"):
        try:
            return importlib.import_module(module).ExecutorTest
        except (ImportError, AttributeError):
            continue
    return None


TESTS = find_tests()
NAMES = [name for name in dir(TESTS) if name.startswith("test_")]


class Mixin(unittest.TestCase):
    """What the tests of every executor of CPython are given."""

    worker_count = 5
    pool: LoopPool

    def setUp(self) -> None:
        """Make the executor."""
        self.executor = self.pool.executor()

    def tearDown(self) -> None:
        """Wait for what was submitted."""
        self.executor.shutdown(wait=True)


@pytest.fixture
def _fast_collections() -> Iterator[None]:
    """Let those tests that collect garbage look at their own only."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.skipif(TESTS is None, reason="this Python came without test.test_concurrent_futures")
@pytest.mark.usefixtures("_fast_collections")
@pytest.mark.parametrize("name", NAMES)
def test_it_does_what_executors_do(steady_pool: LoopPool, name: str) -> None:
    """What CPython asks of its executors holds for those of a pool."""
    if name in NOT_APPLICABLE:
        pytest.skip(NOT_APPLICABLE[name])
    result = unittest.TestResult()
    case = type("Case", (TESTS, Mixin), {"pool": steady_pool})

    case(name).run(result)

    assert result.testsRun == 1
    assert not result.skipped
    assert not [trace for _, trace in result.errors + result.failures]


def test_the_tests_are_there_where_they_should_be() -> None:
    """What is left out is still among CPython's tests, so the list does not outlive them."""
    if TESTS is None:
        pytest.skip(f"{sys.executable} came without test.test_concurrent_futures")
    assert {"test_max_workers_negative", "test_map_timeout"} <= set(NAMES)
