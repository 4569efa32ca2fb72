"""`polyloop map` over more lines than anyone would hold in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ._command import COMMAND, environment, polyloop

if TYPE_CHECKING:
    from pathlib import Path

FEW = 5_000
MANY = 100_000

if sys.platform == "win32":
    pytest.skip("the figures come from wait4()", allow_module_level=True)


def peak(count: int, folder: Path, *, piped: bool) -> int:
    """The most memory, in bytes, of a command that maps so many JSON lines."""
    lines, output = folder / f"{count}.jsonl", folder / "out.jsonl"
    with lines.open("w") as written:
        written.writelines(f'{{"id": {n}, "text": "{n:0100}"}}\n' for n in range(count))
    command: list[str | Path] = [
        COMMAND,
        "map",
        "jobs:same",
        "-" if piped else lines.name,
        "--format=jsonl",
        "-o",
        output,
    ]
    with (
        lines.open("rb") as file,
        subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat,
        subprocess.Popen(
            command, cwd=folder, stdin=cat.stdout, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process,
    ):
        assert cat.stdout is not None
        assert process.stderr is not None
        cat.stdout.close()
        summary = process.stderr.read().splitlines()[-1]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cat.kill()
    assert process.returncode == 0, summary
    with output.open() as read:
        assert sum(json.loads(line)["index"] == n for n, line in enumerate(read)) == count
    print(summary)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
def test_constant_memory(folder: Path, piped: bool) -> None:
    """Twenty times the lines take no more memory, in the order of the input, from a file and from a pipe."""
    growth = peak(MANY, folder, piped=piped) - peak(FEW, folder, piped=piped)

    print(f"{MANY:,} lines in place of {FEW:,}: {growth / 2**20:.1f} MiB more")
    assert growth < 10 * 2**20


def test_endless_input(folder: Path) -> None:
    """An input without an end is mapped for as long as anyone reads the output."""
    command = ["sh", "-c", 'yes | "$0" "$@" | head -n 50000 | tail -n 1', COMMAND]
    done = polyloop("map", "jobs:same", folder=folder, command=command)

    assert json.loads(done.stdout) == {"index": 49_999, "item": "y", "result": "y"}
