"""Where `polyloop map` looks for modules, and where it does not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ._command import COMMAND, polyloop, records

if TYPE_CHECKING:
    from pathlib import Path

SAME = "async def same(item): return item\n"
TRAP = "raise RuntimeError('a file of the current directory was imported in place of an installed module')\n"


def test_app_dir(folder: Path) -> None:
    """--app-dir names the directory that the module is in."""
    (folder / "app").mkdir()
    (folder / "app" / "own.py").write_text(SAME)
    done = polyloop("map", "own:same", "--app-dir", "app", folder=folder, stdin=b"a\n")

    assert records(done.stdout)[0]["result"] == "a"


def test_package(folder: Path) -> None:
    """The module may be in a package, and imports its neighbours."""
    (folder / "package").mkdir()
    (folder / "package" / "one.py").write_text("from .two import same\n")
    (folder / "package" / "two.py").write_text(SAME)
    done = polyloop("map", "package.one:same", folder=folder, stdin=b"a\n")

    assert records(done.stdout)[0]["result"] == "a"


@pytest.mark.parametrize("command", [[COMMAND], [sys.executable, "-P", "-m", "polyloop"]])
def test_nothing_is_shadowed(folder: Path, command: list[str]) -> None:
    """A file of the current directory never hides a module of Python or of an installed package."""
    for name in ("asyncio", "json", "csv", "typer", "rich", "queue", "sched"):
        (folder / f"{name}.py").write_text(TRAP)
    (folder / "own.py").write_text("import asyncio, json, csv, queue, sched\n" + SAME)
    done = polyloop("map", "own:same", folder=folder, stdin=b"a\n", command=command)

    assert records(done.stdout)[0]["result"] == "a"


def test_python_m_shadows_little(folder: Path) -> None:
    """`python -m polyloop` takes the current directory from the front of the path as soon as it can."""
    for name in ("csv", "typer", "rich"):
        (folder / f"{name}.py").write_text(TRAP)
    (folder / "own.py").write_text("import csv\n" + SAME)
    command = [sys.executable, "-m", "polyloop"]
    done = polyloop("map", "own:same", folder=folder, stdin=b"a\n", command=command)

    assert records(done.stdout)[0]["result"] == "a"


def test_installed_modules_win(folder: Path) -> None:
    """A module that has the name of an installed one is not found, and the sentence says which was."""
    (folder / "json.py").write_text(SAME)
    done = polyloop("map", "json:same", folder=folder, stdin=b"a\n")

    assert done.returncode == 2
    assert "json/__init__.py) has no same" in done.stderr
