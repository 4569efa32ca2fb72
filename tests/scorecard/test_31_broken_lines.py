"""What comes from a worker is torn, too large or no frame at all, or the worker is gone after its last word.

Frames alone, with any bytes that Hypothesis finds, are for ``tests/test_codec.py``.
"""

from __future__ import annotations

import contextlib
import random
import resource
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from polyloop import WorkerLost
from polyloop._codec import MOST_BYTES, MOST_ENTRIES, Kind, encode
from tests._gate import PATIENCE
from tests._scorecard import IS_FULL, report
from tests._stage import Stage
from tests.process import _jobs, _looks
from tests.process._gates import Gate
from tests.process._watch import wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from polyloop import Future, LoopPool
    from tests._open_pool import OpenPool

pytestmark = [
    pytest.mark.backends("process", why="only a process can be killed, and what it says be no frame"),
    pytest.mark.usefixtures("expected_logs"),
]

CHANCE = random.Random(31)
ROUNDS = 100 if IS_FULL else 2


def header(kind: int, count: int, size: int) -> bytes:
    """The header of a frame, right or wrong."""
    return struct.pack("<2sBBIQ", b"pl", 1, kind, count, size)


def frame(kind: Kind, number: int = 1 << 40, payload: bytes = b"no pickle") -> bytes:
    """A whole one."""
    return b"".join(map(bytes, encode(kind, [(number, 255, (payload,), len(payload))])))


TORN = header(Kind.DONE, 1, 1_000_000) + bytes(100_000)
# Those that a worker says before its process is killed, and those that it stays alive after.
LAST_WORDS = [TORN, header(Kind.DONE, 1, 17)[:5], b"p"]
WORDS = [
    header(Kind.DONE, 1, MOST_BYTES + 1000),
    frame(Kind.STARTED),
    CHANCE.randbytes(1000),
    header(Kind.DONE, MOST_ENTRIES + 1, 1 << 32),
    header(Kind.DONE, 1, 1 << 62),
    header(99, 0, 0),
    b"pl\x02" + bytes(50),
    header(Kind.DONE, 1, 17) + struct.pack("<QQB", 1, 5, 0),
    *(frame(kind) for kind in (Kind.HELLO, Kind.CALLS, Kind.PING, Kind.SETUP)),
    *(CHANCE.randbytes(CHANCE.randrange(16, 5000)) for _ in range(20)),
]
"""None of them can be waited for: a frame that is announced as larger than those may be is none."""


@pytest.mark.timeout(300 if IS_FULL else 60)
def test_a_worker_that_is_not_understood_is_replaced(open_pool: OpenPool) -> None:
    """Soon a new one is at work; what it had started is lost, and another worker takes no notice."""
    cases = [(data, True) for data in LAST_WORDS] + [(data, False) for data in WORDS]
    if not IS_FULL:
        cases = [cases[0], *cases[3:5]]
    slowest = 0.0
    with open_pool(2) as pool:
        pool.call(_jobs.pid)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        other = pool.options(worker=1).call(_jobs.pid)
        for data, is_killed in cases:
            stage = Stage()
            bystander = pool.options(worker=0).submit(stage.stay)
            stage.started.block()
            began = time.monotonic()
            spoiling = pool.options(worker=0).submit(_jobs.spoil_line, data, is_killed=is_killed)
            for lost in (spoiling, bystander):
                assert isinstance(lost.exception(PATIENCE), WorkerLost)
            _, delay = pool.options(worker=0).submit(_looks.pid_and_delay).result(PATIENCE)
            # On a machine that is busy with other things a process takes its time to start.
            slowest = max(slowest, time.monotonic() - began - delay)
        assert pool.statistics().workers[0].generation == len(cases)
        assert pool.options(worker=1).call(_jobs.pid) == other
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    report(
        31,
        f"{len(cases)} lines torn, too large, or no frames: a new worker works "
        f"within {slowest:.2f} s, 0 hangs, {grown / 1024:.0f} MiB more memory at the peak",
    )
    assert not IS_FULL or slowest <= 1.0
    assert grown * 1024 < MOST_BYTES


@contextlib.contextmanager
def held_up(pool: LoopPool) -> Iterator[None]:
    """Holds up the thread that carries what comes from the only worker, for as long as the block lasts."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        is_held.set()
        is_over.wait(PATIENCE)

    pool.submit(_jobs.pid).add_done_callback(hold)
    assert is_held.wait(PATIENCE)
    try:
        yield
    finally:
        is_over.set()


@dataclass
class Killed:
    """What became of the answers of workers that were killed, over all parts of the test."""

    workers: int = 0
    answers: int = 0
    dropped: int = 0
    repeated: int = 0
    slowest: float = 0.0


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """Reported when all parts are over."""
    killed = Killed()
    yield killed
    report(
        31,
        f"worker killed {killed.workers} x after its answers, requests unread, while nobody listened: "
        f"{killed.dropped} of {killed.answers:,} answers dropped, {killed.repeated} calls run twice; "
        f"0 hangs, a new worker had done what was unread within {killed.slowest:.2f} s",
        backend="process",
    )


# In parts, for on a busy machine all of it takes longer than a test may take.
@pytest.mark.timeout(600 if IS_FULL else 60)
@pytest.mark.parametrize("part", range(5 if IS_FULL else 1))
def test_answers_that_had_arrived_are_not_dropped(
    open_pool: OpenPool, killed: Killed, tmp_path: Path, part: int
) -> None:
    """Those of a worker that dies right after them, with requests unread, while nobody listens."""
    file = tmp_path / f"runs{part}"
    answers = 0
    with open_pool() as pool:
        for round_ in range(ROUNDS):
            names = [f"{round_}.{number}" for number in range(300 if round_ % 2 else 1)]
            with Gate(tmp_path / f"gate{round_}") as gate:
                done, unread = answered_and_killed(pool, gate, str(file), names)
            began = time.monotonic()
            answers += len(done)
            killed.workers += 1
            killed.dropped += sum(future.exception(PATIENCE) is not None for future in done)
            for future in unread:
                future.result(PATIENCE)
            _, delay = pool.submit(_looks.pid_and_delay).result(PATIENCE)
            killed.slowest = max(killed.slowest, time.monotonic() - began - delay)

    ran = Counter(file.read_text().split())
    killed.answers += answers
    killed.repeated += sum(ran.values()) - len(ran)
    assert len(ran) == answers + 2 * ROUNDS
    assert (killed.dropped, killed.repeated) == (0, 0)
    assert not IS_FULL or killed.slowest <= 1.0


def answered_and_killed(
    pool: LoopPool, gate: Gate, file: str, names: list[str]
) -> tuple[list[Future[object]], list[Future[None]]]:
    """Have calls answered by a worker that is gone before anybody listens.

    Returns:
        Those, and what it has been sent and has not read.
    """
    much = bytes(100_000)  # so much is sent at once, whatever waits for an answer
    with held_up(pool):
        done = [pool.submit(_jobs.note, file, name) for name in names]
        last = pool.submit(_jobs.answer_and_die, gate.path, much)
        victim = gate.hear_pid()
        unread = [
            pool.submit(_jobs.note_much, file, f"{names[0]}.{len(data)}.unread", data) for data in (b"", much)
        ]
        gate.open()
        wait_for_end(victim)
    assert isinstance(last.exception(PATIENCE), WorkerLost)
    return done, unread
