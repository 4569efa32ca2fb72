"""Which modules of a folder go along to machines that do not have it."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from polyloop.cli._own_modules import own_modules

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules, packages with and without an __init__: what was imported from the folder, and nothing else."""
    for name in ("own_package/__init__", "own_package/part", "own_space/part", "own_module", "own_other"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for name in ("own_package.part", "own_space.part", "own_module"):
        importlib.import_module(name)

    names = ("own_module.py", "own_package", "own_space")
    assert own_modules(tmp_path) == [str(tmp_path / name) for name in names]


def test_a_folder_that_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be named by another path than the one that modules were found by."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "own_linked.py").touch()
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "real")])
    importlib.import_module("own_linked")

    assert own_modules(tmp_path / "link") == [str(tmp_path / "real" / "own_linked.py")]


def test_nothing_was_imported(tmp_path: Path) -> None:
    """An installed target needs nothing of the folder."""
    (tmp_path / "own_unused.py").touch()

    assert own_modules(tmp_path) == []
