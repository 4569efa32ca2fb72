"""A model check takes thousands of turns between threads, and as long as the machine takes for that."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

# A few seconds where nothing else runs; many times that where something does, or there is no GIL.
LIMIT = 300
NOT_HERE = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and not os.environ.get("POLYLOOP_NIGHTLY"),
    reason="one thread runs at a time here, so that it is all one whether there is a GIL, and each turn "
    "takes far longer without; POLYLOOP_NIGHTLY=1 runs it",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time limit."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(LIMIT))
            item.add_marker(NOT_HERE)
