"""Pools in processes, and gates across processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from polyloop import LoopPool
from tests.process import _jobs
from tests.process._gates import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if not hasattr(os, "fork"):
    pytest.skip("there is no process backend here", allow_module_level=True)


@pytest.fixture(scope="module")
def pool() -> Iterator[LoopPool]:
    """Two workers that all tests of a file share: for tests that do them no harm."""
    with LoopPool(2, backend="process", grace=1.0) as pool:
        # What is made when it is first needed, and stays until the pool is closed, is made before the first
        # test looks at what there is.
        assert pool.options(timeout=20.0).call(_jobs.double, 1) == 2
        yield pool


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate of the test's own."""
    with Gate(tmp_path / "gate") as gate:
        yield gate
