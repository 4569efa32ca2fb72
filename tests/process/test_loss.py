"""What the loss of a process costs: what had started on it, and nothing else."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, PoolBroken, WorkerLost
from tests._gate import PATIENCE
from tests.process import _jobs, _lifespans, _looks
from tests.process._gates import Gate

if TYPE_CHECKING:
    import logging
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("expected_logs")


def open_pool(loops: int = 1, **options: Any) -> LoopPool:
    """A pool of processes."""
    return LoopPool(loops, backend="process", **options)


def lines_of(file: Path) -> Counter[str]:
    """What calls have written down, and how often."""
    return Counter(file.read_text().split())


def test_what_had_started_is_told(gate: Gate) -> None:
    """Its error has the worker, the signal, and that it may have run."""
    with open_pool(2) as pool:
        lost = pool.options(worker=1).submit(_jobs.stay, gate.path)
        os.kill(gate.hear_pid(), signal.SIGKILL)

        error = lost.exception(PATIENCE)

        assert isinstance(error, WorkerLost)
        assert "SIGKILL" in str(error)
        assert "the task stay() was running on polyloop-1" in str(error)
        assert (error.worker, error.may_have_run) == (1, True)


def test_an_exit_status_is_told() -> None:
    """A task that ends its process by os._exit() loses it like any other."""
    with open_pool() as pool:
        error = pool.submit(_jobs.die, 3).exception(PATIENCE)

        assert isinstance(error, WorkerLost)
        assert "exit status 3" in str(error)
        assert pool.call(_looks.where)[:2] == (0, 1)


def test_only_what_had_started_is_lost(gate: Gate, tmp_path: Path) -> None:
    """What was sent there and had not started moves to another worker, and nothing runs twice."""
    file = tmp_path / "runs"
    with open_pool(2, limit=100) as pool, Gate(tmp_path / "other") as other:
        started = [
            pool.options(worker=0).submit(_jobs.note_and_stay, gate.path, str(file), f"s{n}")
            for n in range(5)
        ]
        victim = {gate.hear_pid() for _ in started}
        # From here on the first worker starts nothing more, so that what is sent to it stays unstarted.
        blocking = pool.options(worker=0).submit(_jobs.block, other.path)
        victim.add(other.hear_pid())
        bystander = pool.options(worker=1).submit(_jobs.note_and_stay, gate.path, str(file), "bystander")
        gate.hear()
        waiting = [pool.submit(_jobs.note, str(file), n) for n in range(60)]
        pinned = [pool.options(worker=0).submit(_jobs.note, str(file), f"p{n}") for n in range(20)]
        assert len(victim) == 1

        os.kill(victim.pop(), signal.SIGKILL)

        assert isinstance(blocking.exception(PATIENCE), WorkerLost)
        for future in started:
            assert isinstance(future.exception(PATIENCE), WorkerLost)
        assert [future.result(PATIENCE) for future in waiting] == list(range(60))
        assert [future.result(PATIENCE) for future in pinned] == [f"p{n}" for n in range(20)]
        gate.open()
        assert bystander.result(PATIENCE) == "bystander"
        assert pool.broadcast(_looks.where).result(PATIENCE)[0][:2] == (0, 1)

    runs = lines_of(file)
    assert set(runs.values()) == {1}
    assert len(runs) == 5 + 1 + 60 + 20


def test_pinned_and_keyed_calls_wait_for_the_replacement(gate: Gate, tmp_path: Path) -> None:
    """They run where they belong, on the next generation, in their order."""
    file = tmp_path / "runs"
    with open_pool(2) as pool:
        keyed = pool.options(key="k")
        index, generation = keyed.call(_looks.where)[:2]
        assert generation == 0
        blocking = keyed.submit(_jobs.block, gate.path)
        victim = gate.hear_pid()
        waiting = [keyed.submit(_jobs.note, str(file), n) for n in range(10)]
        last = keyed.submit(_looks.where)

        os.kill(victim, signal.SIGKILL)

        assert isinstance(blocking.exception(PATIENCE), WorkerLost)
        assert [future.result(PATIENCE) for future in waiting] == list(range(10))
        assert last.result(PATIENCE)[:2] == (index, 1)
        assert file.read_text().split() == [str(n) for n in range(10)]


def test_resubmits_runs_what_was_lost_again(gate: Gate, tmp_path: Path) -> None:
    """As often as it says, and no call beside it."""
    file = tmp_path / "runs"
    with open_pool(2) as pool:
        again = pool.options(resubmits=1, worker=0).submit(_jobs.note_and_stay, gate.path, str(file), "again")
        beside = pool.options(worker=0).submit(_jobs.note_and_stay, gate.path, str(file), "beside")
        [victim] = {gate.hear_pid() for _ in range(2)}

        os.kill(victim, signal.SIGKILL)
        assert isinstance(beside.exception(PATIENCE), WorkerLost)
        assert gate.hear_pid() != victim
        gate.open()

        assert again.result(PATIENCE) == "again"
        assert lines_of(file) == {"again": 2, "beside": 1}
        assert (
            pool.options(resubmits=1).submit(_jobs.die_once, str(tmp_path / "once")).result(PATIENCE)
            == "again"
        )


def test_what_is_cancelled_is_not_run_again(gate: Gate, tmp_path: Path) -> None:
    """A call that was asked to stop when its worker was lost is lost with it, though it may be repeated."""
    file = tmp_path / "runs"
    with open_pool() as pool:
        future = pool.options(resubmits=5).submit(_jobs.note_and_block, gate.path, str(file), "once")
        victim = gate.hear_pid()
        assert future.cancel()
        os.kill(victim, signal.SIGKILL)

        assert isinstance(future.exception(PATIENCE), WorkerLost)
        pool.call(_jobs.pid)
        assert lines_of(file) == {"once": 1}


def test_a_pool_whose_workers_keep_dying_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacements that die before they finish a call are not made for ever; what waits is told."""
    monkeypatch.setattr("polyloop._patience.MAX_FRUITLESS", 3)
    monkeypatch.setattr("polyloop._patience.FIRST_DELAY", 0.001)
    with open_pool(lifespan=_lifespans.Dying(5, generation=1)) as pool:
        lost = pool.submit(_jobs.die, 3)
        waiting = [pool.options(worker=0).submit(_jobs.pid) for _ in range(10)]

        errors = [future.exception(PATIENCE) for future in waiting]

        assert isinstance(lost.exception(PATIENCE), WorkerLost)
        assert {type(error) for error in errors} <= {PoolBroken, WorkerLost}
        assert isinstance(errors[-1], PoolBroken)
        with pytest.raises(PoolBroken):
            pool.call(_jobs.pid)


def test_a_pool_is_closed_while_a_replacement_waits(
    monkeypatch: pytest.MonkeyPatch, expected_logs: list[logging.LogRecord]
) -> None:
    """One that has not begun to come up never does, nobody waits for it, and nobody complains of it."""
    monkeypatch.setattr("polyloop._patience.FIRST_DELAY", 2 * PATIENCE)
    with open_pool() as pool:
        pool.submit(_jobs.die, 3).exception(PATIENCE)
        waiting = pool.submit(_jobs.pid)

        pool.close(drain=0)

    assert waiting.cancelled()
    assert [record.getMessage() for record in expected_logs] == ["polyloop-0 was lost"]


def test_a_loss_ends_a_broadcast(gate: Gate) -> None:
    """The broadcast tells of the worker that was lost, when the others have ended."""
    with open_pool(2) as pool:
        future = pool.broadcast(_jobs.stay, gate.path)
        victim, _ = gate.hear_pid(), gate.hear_pid()
        os.kill(victim, signal.SIGKILL)
        gate.open()

        error = future.exception(PATIENCE)

        assert isinstance(error, BaseExceptionGroup)
        assert [type(each) for each in error.exceptions] == [WorkerLost]


def test_a_map_goes_on_over_a_loss(tmp_path: Path) -> None:
    """With resubmits= no item is missing, and with errors="return" what was lost is told in its place."""
    with open_pool(2) as pool:
        results = list(
            pool.options(resubmits=3).starmap(_jobs.die_at, [(n, 25, str(tmp_path / "a")) for n in range(50)])
        )
        assert results == list(range(50))

        told = list(
            pool.starmap(_jobs.die_at, [(n, 25, str(tmp_path / "b")) for n in range(50)], errors="return")
        )
        assert isinstance(told[25], WorkerLost)
        assert all(result == n or isinstance(result, WorkerLost) for n, result in enumerate(told))


def test_the_loss_of_a_worker_that_has_nothing_to_do_costs_nothing() -> None:
    """It is replaced, and what comes next finds the replacement."""
    with open_pool(2) as pool:
        pids = pool.broadcast(_jobs.pid).result(PATIENCE)
        os.kill(pids[0], signal.SIGKILL)

        assert pool.options(worker=0).call(_looks.where)[:2] == (0, 1)
        assert pool.options(worker=1).call(_jobs.pid) == pids[1]


def test_statistics_outlive_workers() -> None:
    """What a lost worker had done stays counted."""
    with open_pool() as pool:
        list(pool.map(_jobs.double, range(10)))
        pool.submit(_jobs.die, 3).exception(PATIENCE)
        list(pool.map(_jobs.double, range(10)))

        assert pool.statistics().ended == 20
        assert pool.statistics().in_flight == 0
        assert pool.statistics().workers[0].generation == 1
