"""Runs the real command in a real process, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["COMMAND", "environment", "polyloop", "read_line", "records", "started"]

COMMAND = str(Path(sys.executable).with_name("polyloop"))
LIMIT = 30.0


def environment() -> dict[str, str]:
    """As a user's, but a warning is an error."""
    return os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}


def polyloop(
    *arguments: str | Path, folder: Path, stdin: bytes = b"", command: Sequence[str] = (COMMAND,)
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; its output is text."""
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=folder,
        input=stdin,
        capture_output=True,
        timeout=LIMIT,
        env=environment(),
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def started(*arguments: str | Path, folder: Path) -> Generator[subprocess.Popen[str]]:
    """Start it, with pipes for all three streams; what still runs after the block is killed."""
    with subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_line(stream: IO[str] | None) -> str:
    """The next line that the process prints; empty at the end."""
    assert stream is not None
    line = b""
    # Byte by byte: what a buffer reads ahead is lost to communicate(), which reads past it.
    while not line.endswith(b"\n") and (byte := os.read(stream.fileno(), 1)):
        line += byte
    return line.decode()


def records(lines: str) -> list[dict[str, Any]]:
    """The output lines, parsed."""
    return [json.loads(line) for line in lines.splitlines()]
