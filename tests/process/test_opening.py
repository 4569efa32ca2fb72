"""Bringing workers up in processes, and what may come of it."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import LoopPool, PoolClosed, StartupError
from tests._gate import PATIENCE
from tests.process import _lifespans, _looks

if TYPE_CHECKING:
    from tests.process._gates import Gate


def open_one(**options: Any) -> LoopPool:
    """A pool of one process."""
    return LoopPool(1, backend="process", **options)


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt])
def test_a_lifespan_that_raises_is_a_startup_error(error: type[BaseException]) -> None:
    """The opener hears what it was, and where."""
    with pytest.raises(StartupError, match=f"{error.__name__}: no start") as caught:
        open_one(lifespan=_lifespans.Failing(error)).open()

    assert isinstance(caught.value.__cause__, error)
    assert "_lifespans.py" in str(caught.value.__cause__.__cause__)


def test_a_lifespan_that_ends_the_process_is_a_startup_error() -> None:
    """A worker that is gone before it is up is one that did not come up."""
    with pytest.raises(StartupError, match="exit status 5"):
        open_one(lifespan=_lifespans.Dying(5)).open()


@pytest.mark.parametrize("what", ["loop_factory", "lifespan"])
def test_what_cannot_be_sent_is_a_startup_error(what: str) -> None:
    """A loop_factory or lifespan that cannot be pickled is told by its name."""
    lock = threading.Lock()

    def unsendable() -> Any:
        return lock

    options: dict[str, Any] = {what: unsendable}
    with pytest.raises(StartupError, match=f"{what}= cannot be sent to another process"):
        open_one(**options).open()


@pytest.mark.parametrize(
    ("program", "words"), [("/nowhere/python", "No such file"), ("/bin/true", "exit status 0")]
)
def test_a_process_that_cannot_start_is_a_startup_error(
    program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is no interpreter, or one that says nothing."""
    monkeypatch.setattr("multiprocessing.spawn._python_exe", program.encode())

    with pytest.raises(StartupError, match=words):
        open_one().open()


def test_another_library_at_the_other_end_is_a_startup_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends must be the same polyloop on the same Python; the message names both."""
    monkeypatch.setattr("polyloop._frame_backend.greeting", lambda: "another one")

    with pytest.raises(StartupError, match=r"'another one'.*the same Python and the same polyloop"):
        open_one().open()


def test_a_pool_can_be_closed_while_it_opens(gate: Gate) -> None:
    """Whoever opens it is told, though a worker is stuck in its lifespan for ever."""
    pool = open_one(lifespan=_lifespans.Stuck(gate.path))
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            pool.open()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            errors.append(error)

    opener = threading.Thread(target=open_it)
    opener.start()
    gate.hear()
    pool.close(grace=0.1)
    opener.join(PATIENCE)

    assert not opener.is_alive()
    assert [type(error) for error in errors] == [PoolClosed]


def test_an_opening_that_is_cancelled_ends_the_processes(gate: Gate) -> None:
    """aopen() that is cancelled raises when the workers are gone, though they are stuck."""

    async def main() -> None:
        pool = open_one(lifespan=_lifespans.Stuck(gate.path))
        opening = asyncio.create_task(pool.aopen())
        await asyncio.to_thread(gate.hear)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    asyncio.run(main())


def test_workers_come_up_side_by_side(gate: Gate) -> None:
    """All processes are started before any is waited for."""
    pool = LoopPool(3, backend="process", lifespan=_lifespans.Meeting(gate.path))
    opener = threading.Thread(target=pool.open)
    opener.start()
    assert len({gate.hear_pid() for _ in range(3)}) == 3
    gate.open()
    opener.join(PATIENCE)

    pool.close()


def test_the_flags_of_the_interpreter_are_the_same(pool: LoopPool) -> None:
    """A worker runs with the options that this process runs with."""
    assert pool.call(_looks.flags) == (sys.flags.optimize, sys.flags.dev_mode, sys.warnoptions)
