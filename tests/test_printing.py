"""What workers print arrives in whole lines: each is one write."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests._gate import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
from polyloop import LoopPool

async def talk(letter):
    for size in (1, 100, 4095, 4096, 8191, 8192, 9000, 100_000):
        print(letter * size)
    sys.stdout.write(f"{letter} begins, ")
    print(letter, "ends")
    print(letter * 9000, file=sys.stderr)

if __name__ == "__main__":
    with LoopPool(2, backend=sys.argv[1]) as pool:
        list(pool.map(talk, "abcd"))
"""
LINES = sorted(
    line
    for letter in "abcd"
    for line in (
        *(letter * size for size in (1, 100, 4095, 4096, 8191, 8192, 9000, 100_000)),
        f"{letter} begins, {letter} ends",
        letter * 9000,
    )
)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.backends("process", "interpreter", why="those of threads print as the program does")
def test_each_line_is_one_write(tmp_path: Path, backend: str, unbuffered: str) -> None:
    """Of any length, on both streams, and with ``python -u``, where print() makes two writes of one."""
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)
    # Each write to it is read by itself.
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(PATIENCE)
    with (
        near,
        far,
        subprocess.Popen(
            [sys.executable, str(script), backend],
            stdout=far.fileno(),
            stderr=far.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        ) as program,
    ):
        far.close()
        written: list[str] = []
        while data := near.recv(1 << 20):
            written.append(data.decode())

    assert program.returncode == 0
    assert sorted(written) == [f"{line}\n" for line in LINES]
