"""Where a test of the scorecard puts the figure that it measured."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from pathlib import Path

__all__ = ["IS_FULL", "current_backend", "report"]

IS_FULL = bool(os.environ.get("POLYLOOP_SCORECARD") or os.environ.get("POLYLOOP_NIGHTLY"))
"""Whether tests that take minutes in full do so, and are not content with a sample."""

# The backend in the id of a test: its parameter, or the folder of tests for one backend alone.
_BACKEND = re.compile(r"[\[/-](thread|process|interpreter|ray)[\]/-]")


def current_backend() -> str:
    """The backend that the current test is about, or nothing if it is about none."""
    found = _BACKEND.search(os.environ.get("PYTEST_CURRENT_TEST", ""))
    return "" if found is None else found[1]


def report(item: int, figure: str, *, backend: str | None = None) -> None:
    """Print the figure, and append it to the JSON lines of the file that ``POLYLOOP_SCORECARD`` names.

    Args:
        item: The number in the scorecard.
        figure: What was measured, for people; it names what it is a figure of.
        backend: Where that was, or nothing; None is the backend that the current test runs on, if it has one.
    """
    if backend is None:
        backend = current_backend()
    print(f"scorecard {item}: {f'{backend}, ' if backend else ''}{figure}")
    if path := os.environ.get("POLYLOOP_SCORECARD"):
        has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        python = platform.python_version() + ("" if has_gil else "t")
        line = {
            "item": item,
            "python": python,
            "backend": backend,
            "figure": figure,
            "machine": f"{platform.system()} on {os.cpu_count()} processors ({platform.machine()})",
            "day": time.strftime("%Y-%m-%d"),
        }
        with Path(path).open("a", encoding="utf-8") as lines:
            print(json.dumps(line), file=lines)
