"""Processes that get so many calls and no more: none is lost, none runs twice, and each leaves in order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import Future, LoopPool, TaskCancelled, TaskGroup, WorkerLost
from tests._gate import PATIENCE
from tests._scorecard import report
from tests.process import _jobs, _lifespans, _looks
from tests.process._watch import wait_for_end

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from tests.process._gates import Gate


def open_pool(loops: int, quota: int, **options: Any) -> LoopPool:
    """A pool of processes that are replaced."""
    return LoopPool(loops, backend="process", max_tasks_per_worker=quota, **options)


def lives(pool: LoopPool) -> list[int]:
    """How many workers each place has had before."""
    return [worker.generation for worker in pool.statistics().workers]


def test_each_process_gets_so_many_calls_at_most() -> None:
    """A map is cut to that; each place goes on with new processes, and the figures of all are kept."""
    with open_pool(2, 5) as pool:
        pids = Counter(pool.options(name="pid").map(_jobs.pid, range(23)))
        figures = pool.statistics()

    assert sum(pids.values()) == 23
    assert max(pids.values()) == 5
    assert len(pids) >= 5
    assert (figures.ended, figures.named, figures.failed) == (23, {"pid": 23}, 0)


def test_one_call_for_each_process_is_one_process_for_each_call() -> None:
    """As with multiprocessing's maxtasksperchild=1."""
    with open_pool(1, 1, limit=1) as pool:
        pids = list(pool.map(_jobs.pid, range(4)))

    assert len(set(pids)) == 4


def test_a_process_leaves_as_when_its_pool_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop-locals are closed, its lifespan is left, and then it is gone."""
    file = tmp_path / "clients"
    monkeypatch.setenv("POLYLOOP_TEST_CLIENTS", str(file))
    with open_pool(1, 2, lifespan=_lifespans.Noting(str(tmp_path / "lives"))) as pool:
        pid = pool.call(_jobs.pid)
        assert pool.call(_jobs.ask_client) == "client 0"
        wait_for_end(pid)
        assert pool.call(_looks.where)[:2] == (0, 1)

        assert file.read_text().split("\n") == ["open 0", "close 0", ""]
        assert "leave 0" in (tmp_path / "lives").read_text().splitlines()


def test_what_runs_on_a_leaving_process_goes_on(gate: Gate) -> None:
    """The replacement serves meanwhile, and the leaving process ends when its last task has."""
    with open_pool(1, 1) as pool:
        staying = pool.submit(_jobs.stay, gate.path, "stayed")
        pid = gate.hear_pid()
        others = [pool.call(_jobs.pid) for _ in range(2)]
        gate.open()

        assert staying.result(PATIENCE) == "stayed"
        wait_for_end(pid)
        assert len({pid, *others}) == 3


def test_a_task_group_spans_processes_that_are_replaced() -> None:
    """All its children end, whichever process they are in."""

    async def main() -> list[int]:
        async with pool.task_group() as group:
            assert isinstance(group, TaskGroup)
            tasks = [group.create_task(_jobs.double, number) for number in range(12)]
        return [task.result() for task in tasks]

    with open_pool(2, 3) as pool:
        assert asyncio.run(main()) == [2 * number for number in range(12)]


def test_items_of_a_key_never_meet(tmp_path: Path) -> None:
    """Across the change of processes too, and they keep their order."""
    file = tmp_path / "steps"
    items = [(f"key {number % 3}", number) for number in range(30)]
    with open_pool(2, 5) as pool:
        results = list(
            pool.starmap(
                _jobs.step_by_step,
                [(str(file), key, number) for key, number in items],
                key=lambda item: item[1],
                per_key=1,
            )
        )

    assert results == [number for _, number in items]
    for key in ("key 0", "key 1", "key 2"):
        steps = [line.split("|")[1:] for line in file.read_text().splitlines() if line.startswith(f"{key}|")]
        numbers = [number for name, number in items if name == key]
        assert steps == [[word, str(number)] for number in numbers for word in ("begin", "end")]


def test_keyed_calls_wait_for_the_process_before(gate: Gate) -> None:
    """None runs in the next one while one runs in that, though others do."""
    with open_pool(1, 1) as pool:
        keyed = pool.options(key="a")
        first = keyed.submit(_jobs.stay, gate.path)
        gate.hear_pid()
        second = keyed.submit(_looks.where)
        between = pool.call(_looks.where)
        was_done = second.done()
        gate.open()

        assert first.exception(PATIENCE) is None
        assert between[:2] == (0, 1)
        assert not was_done
        assert second.result(PATIENCE)[:2] == (0, 2)


def test_a_leaving_process_that_is_killed_loses_what_runs_there_only(
    gate: Gate, expected_logs: list[logging.LogRecord]
) -> None:
    """Its replacement is there already, and there is no second one."""
    with open_pool(1, 1) as pool:
        staying = pool.submit(_jobs.stay, gate.path)
        pid = gate.hear_pid()
        gate_free = pool.call(_looks.where)
        os.kill(pid, signal.SIGKILL)

        assert isinstance(staying.exception(PATIENCE), WorkerLost)
        assert gate_free[:2] == (0, 1)
        assert pool.call(_looks.where)[:2] == (0, 2)
    assert len(expected_logs) == 1


def test_a_process_that_does_not_leave_is_killed(gate: Gate, expected_logs: list[logging.LogRecord]) -> None:
    """When the grace is over: its lifespan blocks the loop."""
    with open_pool(1, 1, grace=0.1, lifespan=_lifespans.StuckAtEnd(gate.path)) as pool:
        pid = pool.call(_jobs.pid)

        assert gate.hear_pid() == pid
        wait_for_end(pid)
        gate.open()
        assert pool.call(_looks.where)[:2] == (0, 1)
    assert "does not answer" in expected_logs[0].getMessage()


def test_closing_at_once_ends_leaving_processes_too(gate: Gate, tmp_path: Path) -> None:
    """What runs there is cancelled and cleans up."""
    file = tmp_path / "cleaned"
    with open_pool(1, 1) as pool:
        future = pool.submit(_jobs.clean_up, gate.path, str(file), "once")
        pid = gate.hear_pid()
        assert pool.call(_looks.where)[:2] == (0, 1)

        pool.close(drain=0)

        assert future.cancelled()
        wait_for_end(pid)
        assert file.read_text() == "once\n"


def test_a_pool_that_its_first_call_opens_replaces_too() -> None:
    """Also when the first calls are more than its workers may get."""
    pool = LoopPool(2, backend="process", max_tasks_per_worker=2, lazy=True)
    try:
        pids = Counter(future.result(PATIENCE) for future in [pool.submit(_jobs.pid) for _ in range(7)])
        assert max(pids.values()) == 2
    finally:
        pool.close()


def test_a_child_that_is_forked_meanwhile_holds_nothing(gate: Gate) -> None:
    """A leaving process sees the end of its pool though a child of the pool's process lives on."""
    pool = open_pool(1, 1)
    pool.open()
    staying = pool.submit(_jobs.stay, gate.path)
    try:
        gate.hear_pid()
        assert pool.call(_looks.where)[:2] == (0, 1)
        links = [member.link for member in pool._supervisor.crew.everybody]
        before = [link._carrier._near.fileno() for link in links]  # type: ignore[attr-defined]  # of processes
        child = os.fork()
        if child == 0:
            closed = all(link._carrier._near.fileno() == -1 for link in links)  # type: ignore[attr-defined]  # ditto
            os._exit(0 if closed else 1)
        _, status = os.waitpid(child, 0)

        assert len(before) >= 2
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        gate.open()
        assert staying.exception(PATIENCE) is None
        pool.close()


@pytest.mark.timeout(1800 if os.environ.get("POLYLOOP_NIGHTLY") else 120)
def test_nothing_is_lost_or_doubled(tmp_path: Path, expected_logs: list[logging.LogRecord]) -> None:
    """Whatever is cancelled and whoever is killed, each call has one outcome, and ran once at most."""
    calls = 20_000 if os.environ.get("POLYLOOP_NIGHTLY") else 400
    chance = random.Random(1)
    file = tmp_path / "ran"
    futures: list[Future[object]] = []
    with open_pool(2, 50, limit=20) as pool:
        views = [pool, pool, *(pool.options(key=key) for key in range(7))]
        for number in range(calls):
            futures.append(chance.choice(views).submit(_jobs.note, str(file), number))
            if chance.random() < 0.1:
                futures[chance.randrange(max(0, number - 100), number + 1)].cancel()
            if number % 200 == 150:
                futures[number - 60].wait(PATIENCE)
                kill_one(pool, chance)
        outcomes = Counter(outcome_of(future) for future in futures)
        ran = lines_of(file)

    assert sum(outcomes.values()) == calls
    assert set(outcomes) <= {"value", "TaskCancelled", "WorkerLost"}
    assert max(ran.values()) == 1
    for number, future in enumerate(futures):
        assert outcome_of(future) != "value" or (future.result() == number and ran[str(number)] == 1)
    report(
        3,
        f"{calls} calls to 2 processes of 50 calls each, cancelled and killed at random: {dict(outcomes)}, "
        f"{sum(lives(pool))} processes replaced, {len(expected_logs)} of them killed; 0 lost, 0 doubled",
    )


def kill_one(pool: LoopPool, chance: random.Random) -> None:
    """Kill one of the processes that there are, whatever it is at."""
    there = [member for member in pool._supervisor.crew.everybody if not member.gone.done()]
    link: Any = chance.choice(there).link
    link._place.kill()


def outcome_of(future: Future[object]) -> str:
    """What has become of a call."""
    error = future.exception(PATIENCE) if not future.cancelled() else TaskCancelled()
    return "value" if error is None else type(error).__name__


def lines_of(file: Path) -> Counter[str]:
    """What calls have written down, and how often."""
    return Counter(file.read_text().split())
