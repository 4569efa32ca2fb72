"""Where a test of the scorecard puts the figure that it measured."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

__all__ = ["report"]


def report(item: int, figure: str) -> None:
    """Print the figure, and append it to the JSON lines of the file that ``POLYLOOP_SCORECARD`` names.

    Args:
        item: The number in the scorecard.
        figure: What was measured, for people; it names what it is a figure of.
    """
    print(f"scorecard {item}: {figure}")
    if path := os.environ.get("POLYLOOP_SCORECARD"):
        has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        python = platform.python_version() + ("" if has_gil else "t")
        with Path(path).open("a", encoding="utf-8") as lines:
            print(json.dumps({"item": item, "python": python, "figure": figure}), file=lines)
