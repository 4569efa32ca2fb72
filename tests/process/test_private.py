"""What a worker's process shares with others: one private socket, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tests._gate import PATIENCE
from tests.process import _jobs, _looks

if TYPE_CHECKING:
    from polyloop import LoopPool


def test_a_worker_inherits_one_descriptor(pool: LoopPool) -> None:
    """Beside the three of every program it is its end of the line, whatever else is open here."""
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        for descriptors in pool.broadcast(_looks.inherited).result(PATIENCE):
            assert descriptors.pop(0) == "/dev/null"
            assert descriptors.pop(1)
            assert descriptors.pop(2)
            assert [target.partition(":")[0] for target in descriptors.values()] == ["socket"]
    finally:
        os.close(reader)
        os.close(writer)


def test_what_a_worker_starts_inherits_nothing_of_it(pool: LoopPool) -> None:
    """A program that a task starts has the three descriptors only, though it lets others through."""
    assert pool.call(_looks.inherited_by_program) == ["0", "1", "2"]


def test_nobody_listens(pool: LoopPool) -> None:
    """Neither this process nor a worker has a socket with a name, or one that listens."""
    named = listening() | named_sockets()

    for inodes in [own_sockets(), *pool.broadcast(_jobs.call_it, own_sockets).result(PATIENCE)]:
        assert isinstance(inodes, set)
        assert not inodes & named


def own_sockets() -> set[int]:
    """The inodes of this process's sockets."""
    found: set[int] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            status = entry.stat()
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add(status.st_ino)
    return found


def listening() -> set[int]:
    """The inodes of the sockets of all processes that listen on the network."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {int(line[9]) for line in lines if line[3] == "0A"}


def named_sockets() -> set[int]:
    """The inodes of the Unix sockets of all processes that have a name or listen."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {int(line[6]) for line in lines if len(line) > 7 or int(line[3], 16) & 0x10000}


def test_a_worker_reads_nothing_from_the_terminal(pool: LoopPool) -> None:
    """Its standard input is empty."""
    assert pool.call(_looks.read_input) == ""


def test_what_tasks_print_comes_in_whole_lines(pool: LoopPool) -> None:
    """Standard output is line-buffered there, so that lines of several processes do not mix."""
    assert pool.broadcast(_looks.is_line_buffered).result(PATIENCE) == [True, True]
