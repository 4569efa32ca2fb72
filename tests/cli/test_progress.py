"""What a user sees while `polyloop map` runs: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ._command import COMMAND, environment, polyloop, records

if TYPE_CHECKING:
    from pathlib import Path

SHOW_CURSOR = "\x1b[?25h"


def on_terminal(arguments: list[str], folder: Path, *, stdout: bool = False, term: str = "xterm") -> str:
    """What the command shows on a terminal of its own."""
    import pty  # noqa: PLC0415 - not there on Windows

    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [COMMAND, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=theirs if stdout else subprocess.DEVNULL,
            stderr=theirs,
            env=environment() | {"TERM": term, "COLUMNS": "100"},
        ):
            os.close(theirs)
            theirs = -1
            return "".join(iter(lambda: read_terminal(ours), ""))
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def read_terminal(descriptor: int) -> str:
    """What comes next; nothing once nobody writes to it any more."""
    try:
        return os.read(descriptor, 65536).decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_bar(folder: Path) -> None:
    """On a terminal a bar shows how many are done and failed, and it is left as it was in the end."""
    (folder / "in.txt").write_text("1\n2\n3\n" * 100)
    shown = on_terminal(["map", "jobs:odd_fails", "in.txt", "-o", "out.jsonl"], folder)

    assert "300 done" in shown
    assert "200 failed" in shown
    assert "300 items in" in shown
    assert SHOW_CURSOR in shown


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("stdout", "term"), [(True, "xterm"), (False, "dumb")])
def test_no_bar(folder: Path, stdout: bool, term: str) -> None:
    """No bar is drawn on a terminal that the results go to, nor on one that cannot redraw a line."""
    (folder / "in.txt").write_text("1\n")
    shown = on_terminal(["map", "jobs:same", "in.txt"], folder, stdout=stdout, term=term)

    assert "\x1b[" not in shown
    assert "1 item in" in shown


def test_lines(folder: Path) -> None:
    """Where there is no terminal, a line now and then says how far it is and how long it takes yet."""
    (folder / "in.txt").write_text("0\n1.2\n0\n")
    done = polyloop("map", "jobs:waits", "in.txt", "--unordered", folder=folder)

    lines = [line for line in done.stderr.splitlines() if " done, " in line]
    assert len(records(done.stdout)) == 3
    assert len(lines) == 1
    assert lines[0].startswith("polyloop: 2 done, 0 failed, ")
    assert lines[0].endswith("s left")
