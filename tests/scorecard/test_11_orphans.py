"""The pool's process is killed: when are its workers gone, and what is left of them?"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests._processes import Program
from tests._scorecard import IS_FULL, report
from tests.process._watch import ends_within, is_gone

ROUNDS = 20 if IS_FULL else 3
# Seconds. As a sample one round is enough, and another one if the machine was busy with other things.
ENOUGH = 0.0 if IS_FULL else 1.0

PROGRAM = """
import asyncio, os, sys, time
import polyloop

async def wait():
    print(os.getpid(), flush=True)
    await asyncio.Event().wait()

async def block():
    print(os.getpid(), flush=True)
    time.sleep(60)

async def compute():
    print(os.getpid(), flush=True)
    while True:
        pass

async def swallow():
    print(os.getpid(), flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

if __name__ == "__main__":
    jobs = [wait, block, compute, swallow]
    with polyloop.LoopPool(len(jobs), backend="process") as pool:
        futures = [pool.options(worker=index).submit(job) for index, job in enumerate(jobs)]
        futures[0].result()
"""
WORKERS = 4


@pytest.mark.timeout(300 if IS_FULL else 60)
def test_no_worker_outlives_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they do just then, all are gone within a second, and leave neither processes nor files."""
    script, place = tmp_path / "program.py", tmp_path / "place"
    script.write_text(PROGRAM)
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TMPDIR", str(place))
    seconds: list[float] = []
    processes, files = 0, 0
    while len(seconds) < ROUNDS and min(seconds, default=ENOUGH) >= ENOUGH:
        with Program(script) as program:
            workers = [int(program.wait_for_line()) for _ in range(WORKERS)]
            family = group_of(workers[0])
            began = time.monotonic()
            program.kill()
            for worker in workers:
                assert ends_within(worker, 20.0)
            seconds.append(time.monotonic() - began)
            processes += sum(not is_gone(pid) for pid in family)
            ended = program.end()
        assert ended.errors == ""
        files += len(list(place.iterdir()))

    slowest = max(seconds) if IS_FULL else min(seconds)
    report(
        11,
        f"parent killed {len(seconds)} x: {len(seconds) * WORKERS} workers that wait, block, compute or "
        f"swallow cancellation gone within {slowest:.2f} s, "
        f"{processes} other processes and {files} files left",
        backend="process",
    )
    assert (processes, files) == (0, 0)
    assert slowest < 1.0


def group_of(pid: int) -> list[int]:
    """All processes of the group that this one is in."""
    group = _group(pid)
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [other for other in pids if _group(other) == group]


def _group(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[2]
