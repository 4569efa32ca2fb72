"""A model check takes thousands of turns between threads, and as long as the machine takes for that."""

from __future__ import annotations

from pathlib import Path

import pytest

# Half a minute where nothing else runs and there is no GIL; several times that where something does.
LIMIT = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their time limit."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(LIMIT))
