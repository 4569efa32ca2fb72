"""Pools in processes, and gates across processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests._steady import open_steady_pool
from tests.process._gates import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from polyloop import LoopPool

if not hasattr(os, "fork"):
    pytest.skip("there is no process backend here", allow_module_level=True)


@pytest.fixture(scope="module")
def pool() -> Iterator[LoopPool]:
    """Two workers that all tests of a file share: for tests that do them no harm."""
    with open_steady_pool("process") as pool:
        yield pool


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate of the test's own."""
    with Gate(tmp_path / "gate") as gate:
        yield gate
