"""The programs of the how-to guides, for tests that do with them what the guide says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from tests.docs.test_docs import python_blocks

__all__ = ["cells", "load", "save"]

DOCS = Path(__file__).parents[2] / "docs"


def cells(page: str) -> list[str]:
    """The code of every Python block of a page, as in ``cells("how-to/notebook.md")``."""
    return [block.code for block in python_blocks(page, (DOCS / page).read_text("utf-8"))]


def save(page: str, number: int, path: Path, **changes: str) -> None:
    """Write one block of a page into a file.

    Args:
        page: As for `cells`.
        number: Which block, from 0.
        path: The file.
        **changes: Values of keyword arguments that the test needs to be others, as in ``timeout="0.1"``.
    """
    code = cells(page)[number]
    for name, value in changes.items():
        code, found = re.subn(rf"\b{name}=[\w.]+", f"{name}={value}", code)
        assert found, f"{page} has no {name}="
    path.write_text(code, "utf-8")


def load(page: str, number: int, folder: Path, **changes: str) -> Any:
    """Import one block of a page as a module; the other arguments are those of `save`."""
    path = folder / f"{Path(page).stem}_{number}.py"
    save(page, number, path, **changes)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
