"""What is logged in processes and interpreters reaches the handlers of the pool's process."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from polyloop import LoopPool, StartupError, WorkerLost, _log_handling
from polyloop._log_handling import LogInlet, LogListener
from tests import _carried
from tests import _logging_jobs as jobs
from tests._gate import PATIENCE
from tests._processes import run_python
from tests._stage import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.backends("process", "interpreter", why="threads log where they are")


class Ear(logging.Handler):
    """Keeps what is handled; inside ``with`` it is the only handler of the logger that workers use."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: list[str] = []
        self._heard = threading.Semaphore(0)
        self.react: Callable[[logging.LogRecord], object] = lambda _: None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.react(record)
        self.threads.append(threading.current_thread().name)
        self.records.append(record)
        self._heard.release()

    def wait_for_next(self) -> None:
        """Wait until a record has been handled that this has not waited for yet."""
        assert self._heard.acquire(timeout=PATIENCE), "a record did not arrive"

    def wait_for(self, closed: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, wait in each handling until the pool has no workers, and its caller's loop turns."""

        def react(_: object) -> None:
            until(closed)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(PATIENCE)

        self.react = react

    @property
    def texts(self) -> list[str]:
        """What they say."""
        return [record.getMessage() for record in self.records]

    def __enter__(self) -> Self:
        jobs.log.addHandler(self)
        jobs.log.propagate = False
        jobs.log.setLevel(logging.INFO)
        return self

    def __exit__(self, *exc_info: object) -> None:
        jobs.log.removeHandler(self)
        jobs.log.propagate = True
        jobs.log.setLevel(logging.NOTSET)


@pytest.fixture
def ear() -> Iterator[Ear]:
    """What the workers' records come to."""
    with Ear() as ear:
        yield ear


def open_one(backend: Any, **options: Any) -> LoopPool:
    """A pool of one worker whose records come here."""
    return LoopPool(1, backend=backend, forward_logging=True, grace=1.0, **options)


def test_a_record_arrives_as_it_was_made(ear: Ear, backend: Any) -> None:
    """Message, level, place, process, thread, task and time, and what somebody has put on it."""
    before = time.time()
    with open_one(backend) as pool:
        process, process_name, thread, task = pool.options(name="the task").call(jobs.say_who)

    [record] = ear.records
    assert (record.getMessage(), record.levelname, record.name) == ("here", "WARNING", jobs.NAME)
    assert (record.funcName, record.filename) == ("say_who", "_logging_jobs.py")
    assert (record.process, record.processName, record.threadName) == (process, process_name, thread)
    assert (record.processName, task) == ("polyloop-0", "the task")
    assert sys.version_info < (3, 12) or vars(record)["taskName"] == task
    assert before <= record.created <= time.time()
    assert "say_who" in str(record.stack_info)
    assert [vars(record)[name] for name in ("order", "odd", "pair")] == [7, "an odd thing", (1, 2)]
    assert ear.threads == ["polyloop-logs"]


def test_a_traceback_arrives_as_text(ear: Ear, backend: Any) -> None:
    """Formatted there, and shown once by a formatter here."""
    with open_one(backend) as pool:
        pool.call(jobs.say_failure)

    text = logging.Formatter().format(ear.records[0])
    assert text.startswith("it failed\nTraceback")
    assert text.endswith("LookupError: as told")
    assert text.count("Traceback") == 1


def test_what_cannot_be_pickled_or_formatted_does_no_harm(
    ear: Ear, backend: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Arguments arrive as what they say; a slip in a format is told on stderr, as by every handler."""
    with open_one(backend) as pool:
        assert pool.call(jobs.say_odd_things) == "went on"

    assert ear.texts == ["with an odd thing", "an odd thing", "after that"]
    assert "--- Logging error ---" in capfd.readouterr().err


def test_records_of_a_worker_arrive_in_order(ear: Ear, backend: Any) -> None:
    """And all of them have been handled when the pool is closed."""
    with open_one(backend) as pool:
        pool.call(jobs.say_in_order, 500)

    assert ear.texts == [str(number) for number in range(500)]


def test_records_of_threads_arrive(ear: Ear, backend: Any) -> None:
    """What a plain function logs in a thread beside the loop has that thread's name."""
    with open_one(backend) as pool, pool.executor() as executor:
        thread = executor.submit(jobs.say_beside, "beside").result(PATIENCE)

    assert [(record.getMessage(), record.threadName) for record in ear.records] == [("beside", thread)]


@pytest.mark.parametrize("job", [jobs.say, jobs.say_beside])
def test_a_record_comes_before_the_result(
    ear: Ear, backend: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a call has logged has arrived when it is settled."""
    order: list[str] = []
    take = LogInlet.take

    def note_and_take(inlet: LogInlet, frame: Any) -> None:
        order.append("record")
        take(inlet, frame)

    monkeypatch.setattr(LogInlet, "take", note_and_take)
    with open_one(backend) as pool, pool.executor() as executor:
        for _ in range(20):
            settled = threading.Event()
            future = executor.submit(job, "text")

            def note(_: object, settled: threading.Event = settled) -> None:
                order.append("result")
                settled.set()

            future.add_done_callback(note)
            until(settled)

    assert order == ["record", "result"] * 20
    assert len(ear.records) == 20


def test_the_lifespan_may_log_to_its_end(ear: Ear, backend: Any) -> None:
    """What it logs when it is left arrives before the pool is closed."""
    with open_one(backend, lifespan=jobs.lifespan):
        pass

    assert ear.texts == ["beginning", "end"]


def test_what_is_logged_after_the_workers_goodbye_goes_to_stderr(
    ear: Ear, backend: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody reads the line any more."""
    with open_one(backend, loop_factory=jobs.LateLoop):
        pass

    assert ear.texts == []
    assert "too late\n" in capfd.readouterr().err


def test_the_librarys_own_records_arrive_once(expected_logs: list[logging.LogRecord], backend: Any) -> None:
    """As those of anybody else."""
    with open_one(backend, lifespan=jobs.bad_end):
        pass

    [record] = expected_logs
    assert record.getMessage() == "the lifespan of polyloop-0 raised while it was left"
    assert (record.processName, "LookupError: no end" in str(record.exc_text)) == ("polyloop-0", True)


@pytest.mark.usefixtures("expected_logs")
def test_the_last_words_of_a_worker_arrive(ear: Ear) -> None:
    """What a call has logged before its process died in the next step is here."""
    with open_one("process") as pool:
        for number in range(3):
            with pytest.raises(WorkerLost):
                pool.call(jobs.say_and_die, f"last word {number}")

    assert ear.texts == [f"last word {number}" for number in range(3)]


def test_a_forked_child_of_a_worker_has_no_part_in_it(ear: Ear, capfd: pytest.CaptureFixture[str]) -> None:
    """It does not write to the line, which is not its own; what it says goes to stderr."""
    with open_one("process") as pool:
        assert pool.call(jobs.say_in_child) == 0
        assert pool.call(jobs.nothing, 1) == 1

    assert ear.texts == ["by the worker"]
    assert "by the child" in capfd.readouterr().err


# -- which records -------------------------------------------------------------------------


def test_a_worker_makes_the_records_that_are_wanted_here(ear: Ear, backend: Any) -> None:
    """The levels of the loggers here hold there too, from the start, and there is no other handler."""
    quiet = logging.getLogger("tests.quiet")
    quiet.setLevel(logging.ERROR)
    try:
        with open_one(backend) as pool:
            assert pool.call(jobs.levels) == (False, False, 1)
            pool.call(jobs.say, "debugging", logging.DEBUG)
    finally:
        quiet.setLevel(logging.NOTSET)

    assert ear.texts == []


def test_what_is_disabled_here_is_disabled_there(ear: Ear, backend: Any) -> None:
    """By ``logging.disable``."""
    logging.disable(logging.INFO)
    try:
        with open_one(backend) as pool:
            pool.call(jobs.say, "information")
            pool.call(jobs.say, "a warning", logging.WARNING)
    finally:
        logging.disable(logging.NOTSET)

    assert ear.texts == ["a warning"]


def test_a_level_that_is_raised_later_holds_for_what_arrives(ear: Ear, backend: Any) -> None:
    """The worker goes on making the records, and the logger here takes no notice of them."""
    with open_one(backend) as pool:
        jobs.log.setLevel(logging.ERROR)
        pool.call(jobs.say, "information")
        pool.call(jobs.say, "an error", logging.ERROR)

    assert ear.texts == ["an error"]


def test_without_being_asked_for_nothing_is_forwarded(ear: Ear, backend: Any) -> None:
    """It is opt in: nothing arrives, and there is no thread for it."""
    with LoopPool(1, backend=backend) as pool:
        pool.call(jobs.say, "unheard", logging.INFO)
        assert "polyloop-logs" not in [thread.name for thread in threading.enumerate()]

    assert ear.texts == []


def test_threads_log_here_anyway(ear: Ear) -> None:
    """There it is accepted, and changes nothing."""
    with open_one("thread") as pool:
        pool.call(jobs.say, "once")

    assert ear.texts == ["once"]
    assert ear.threads == ["polyloop-0"]


def test_a_record_may_bring_what_the_caller_had_in_its_context(ear: Ear, backend: Any) -> None:
    """A record factory there puts on it what calls take along, and that of this process does not undo it."""
    with open_one(backend, carry=[_carried.user]) as pool:
        token = _carried.user.set("ada")
        try:
            pool.call(jobs.say_with_user)
        finally:
            _carried.user.reset(token)

    assert [vars(record)["user"] for record in ear.records] == ["ada"]


def test_a_level_is_not_taken_for_a_yes() -> None:
    """Which records are forwarded is up to the levels of the loggers here."""
    level: Any = "INFO"

    with pytest.raises(TypeError, match="forward_logging must be True or False, not 'INFO'"):
        LoopPool(1, forward_logging=level)


SCRIPT = """
import logging
from polyloop import LoopPool

logging.basicConfig(level="INFO", format="%(processName)s: %(message)s")

async def work():
    logging.info("at work")

if __name__ == "__main__":
    with LoopPool(1, backend="process", forward_logging=True) as pool:
        pool.call(work)
"""


def test_what_a_program_sets_up_when_it_is_imported_does_not_tell_it_twice(tmp_path: Path) -> None:
    """A worker imports the program, and would write to the same terminal."""
    script = tmp_path / "program.py"
    script.write_text(SCRIPT)

    ended = run_python(script)

    assert (ended.status, ended.errors) == (0, "polyloop-0: at work\n")


# -- handlers that take their time ---------------------------------------------------------


def test_a_handler_that_blocks_holds_up_no_result(ear: Ear, backend: Any) -> None:
    """They are handled in a thread of their own."""
    gate = threading.Event()
    ear.react = lambda _: until(gate)

    with open_one(backend) as pool:
        for number in range(10):
            pool.call(jobs.say, str(number))
        assert ear.records == []
        gate.set()

    assert len(ear.records) == 10


def test_a_handler_may_call_the_pool_and_log(ear: Ear, backend: Any) -> None:
    """It waits for a result where nobody waits for it."""
    inner = logging.getLogger(jobs.NAME + ".inner")
    answers: list[int] = []

    def react(record: logging.LogRecord) -> None:
        if record.name == jobs.NAME:
            answers.append(pool.call(jobs.nothing, 42))
            inner.info("answered")

    ear.react = react
    with open_one(backend) as pool:
        pool.call(jobs.say, "a question")
        ear.wait_for_next()
        ear.wait_for_next()

    assert answers == [42]
    assert ear.texts == ["answered", "a question"]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when all workers of a pool are gone."""
    closed = threading.Event()
    close = LogListener.close

    def close_and_say(listener: LogListener) -> Any:
        rest = close(listener)
        closed.set()
        return rest

    monkeypatch.setattr(LogListener, "close", close_and_say)
    return closed


def test_a_handler_may_wait_for_the_loop_that_closes_the_pool(
    ear: Ear, backend: Any, closed: threading.Event
) -> None:
    """aclose() leaves the loop free until what the worker has said in the end is handled."""

    async def main() -> None:
        ear.wait_for(closed, asyncio.get_running_loop())
        async with open_one(backend, lifespan=jobs.lifespan):
            pass
        assert ear.texts == ["beginning", "end"]

    asyncio.run(main())


def test_a_handler_may_wait_for_the_loop_that_opens_the_pool(
    ear: Ear, backend: Any, closed: threading.Event
) -> None:
    """What a worker says that does not come up is handled before the error is raised."""

    async def main() -> None:
        ear.wait_for(closed, asyncio.get_running_loop())
        with pytest.raises(StartupError, match="no start"):
            await open_one(backend, lifespan=jobs.BadBeginning).aopen()
        assert ear.texts == ["about to fail"]

    asyncio.run(main())


def test_a_handler_that_never_returns_does_not_keep_the_pool_open(ear: Ear, backend: Any) -> None:
    """Closing waits a moment for what was logged, and no longer."""
    gate = threading.Event()
    ear.react = lambda _: until(gate)

    with open_one(backend) as pool:
        pool.call(jobs.say, "text")
        pool.close(grace=0)

    assert ear.records == []
    gate.set()


def test_a_pool_that_was_never_opened_is_closed_at_once(backend: Any) -> None:
    """Nothing was logged, and nobody waits for it."""
    open_one(backend).close()

    assert "polyloop-logs" not in [thread.name for thread in threading.enumerate()]


def test_a_handler_may_close_the_pool(ear: Ear, backend: Any) -> None:
    """It does not wait for itself."""
    ear.react = lambda _: pool.close()

    with open_one(backend) as pool:
        pool.call(jobs.say, "the end")
        ear.wait_for_next()

    assert ear.texts == ["the end"]


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_a_handler_that_raises_loses_its_record_only(
    ear: Ear, backend: Any, error: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    """What it raises is told on stderr; the next record is handled."""

    def react(record: logging.LogRecord) -> None:
        if record.getMessage() == "bad":
            raise error("by the handler")

    ear.react = react
    with open_one(backend) as pool:
        pool.call(jobs.say, "bad")
        pool.call(jobs.say, "good")

    assert ear.texts == ["good"]
    assert f"{error.__name__}: by the handler" in capfd.readouterr().err


# -- floods --------------------------------------------------------------------------------


def test_a_flood_is_bounded_and_what_is_dropped_is_counted_once(
    ear: Ear, backend: Any, expected_logs: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results come all the time, what waits is bounded, and one word tells how many records there are not."""
    monkeypatch.setattr(_log_handling, "MOST_WAITING_BYTES", 20_000)
    gate = threading.Event()
    ear.react = lambda _: until(gate)

    with open_one(backend) as pool:
        pool.call(jobs.say_in_order, 1000)
        assert pool.call(jobs.nothing, 1) == 1
        gate.set()

    [said] = expected_logs
    assert said.getMessage().endswith(
        "of polyloop-0 were dropped: they came faster than they could be handled"
    )
    dropped = int(said.getMessage().split()[0])
    assert ear.texts == [str(number) for number in range(1000 - dropped)]
    assert 0 < len(ear.texts) < 40


@pytest.mark.usefixtures("expected_logs")
def test_threads_that_log_much_keep_no_call_from_beginning(ear: Ear, backend: Any) -> None:
    """Calls begin and end while other threads of the worker fill the line with records."""
    with open_one(backend) as pool, pool.executor() as executor:
        talkers = [executor.submit(jobs.say_much_beside, 2000) for _ in range(2)]
        while not all(talker.done() for talker in talkers):
            assert list(pool.map(jobs.nothing, range(200))) == list(range(200))
        assert [talker.result() for talker in talkers] == [None, None]

    assert ear.texts
