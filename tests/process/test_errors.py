"""What cannot cross, and what tasks raise: it ends in that task's future, and everything else goes on.

Item 8 of the scorecard, and item 2 with workers in processes.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import Future, LoopPool
from polyloop._errors import RemoteError, RemoteTraceback
from tests._gate import PATIENCE
from tests.process import _failures, _jobs, _misfits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.process._gates import Gate

SECONDS = 10.0
"""How soon an error must be there: far more than it takes. The scorecard wants 0.5."""


@pytest.fixture
def bystanders(pool: LoopPool, gate: Gate) -> Iterator[None]:
    """Something that runs on both workers meanwhile, and is in order in the end."""
    pids = pool.broadcast(_jobs.pid).result(PATIENCE)
    futures = [pool.options(worker=index).submit(_jobs.stay, gate.path, index) for index in range(2)]
    for _ in futures:
        gate.hear()
    yield
    gate.open()
    assert [future.result(PATIENCE) for future in futures] == [0, 1]
    assert pool.broadcast(_jobs.pid).result(PATIENCE) == pids, "a worker was replaced"


def error_of(future: Future[Any]) -> BaseException:
    """What a future raises, which must be there soon."""
    began = time.monotonic()
    error = future.exception(PATIENCE)
    assert time.monotonic() - began < SECONDS
    assert error is not None
    return error


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("make", _misfits.UNSENDABLE, ids=lambda make: make.__name__)
def test_an_argument_that_cannot_be_sent_is_refused(pool: LoopPool, make: Any) -> None:
    """The submitter is told at once which argument of which function it is, and what to do."""
    with pytest.raises(
        TypeError, match=r"argument 1 of echo\(\) cannot be sent to another process: .*; pass"
    ):
        pool.call(_jobs.echo, make())
    with pytest.raises(TypeError, match=r"the argument value= of echo\(\) cannot be sent"):
        pool.call(_jobs.echo, value=make())

    [error] = list(pool.map(_jobs.echo, [make()], errors="return"))
    assert isinstance(error, TypeError)


@pytest.mark.usefixtures("bystanders")
def test_an_argument_that_cannot_be_made_again_is_the_calls_own_error(pool: LoopPool) -> None:
    """It raises where it is unpacked, and the error says so."""
    error = error_of(pool.submit(_jobs.echo, _misfits.Sealed("x")))

    assert isinstance(error, LookupError)
    assert "unpacked in the worker's process" in "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, _failures.Frozen])
def test_an_argument_may_raise_anything_when_it_is_made_again(
    pool: LoopPool, kind: type[BaseException]
) -> None:
    """That ends neither the worker nor its loop."""
    error = error_of(pool.submit(_jobs.echo, _misfits.Raising(kind)))

    assert kind.__name__ in "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("make", _misfits.UNSENDABLE, ids=lambda make: make.__name__)
def test_a_result_that_cannot_be_sent_is_the_calls_error(pool: LoopPool, make: Any) -> None:
    """The error names the task and the kind of the result."""
    error = error_of(pool.submit(_jobs.call_it, make))

    assert isinstance(error, TypeError)
    assert "the task call_it() has returned" in str(error)
    assert "return what can be pickled" in str(error)


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt, _failures.Frozen])
def test_a_result_that_cannot_be_made_again_is_told(pool: LoopPool, kind: type[BaseException]) -> None:
    """It ends neither the pool's process nor the thread that carries results."""
    error = error_of(pool.submit(_jobs.make_raising, kind))

    assert isinstance(error, RemoteError)
    assert "make_raising() has returned something that cannot be made again" in str(error)
    assert isinstance(error.__cause__, kind)


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("make", _failures.ERRORS, ids=lambda make: make.__name__)
def test_every_error_arrives(pool: LoopPool, make: Any) -> None:
    """As it was, or where its class does not allow that by a RemoteError that tells what it was."""
    error = error_of(pool.submit(_failures.raise_made, make))

    text = "".join(traceback.format_exception(error))
    if make in _failures.SENDABLE_ERRORS:
        assert type(error) is type(make())
        assert repr(error) == repr(make())
    else:
        assert isinstance(error, RemoteError)
        assert type(make()).__name__ in error.type_name
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in raise_made" in text


@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("make", _failures.EVIL_ERRORS, ids=lambda make: make.__name__)
def test_an_error_that_breaks_what_looks_at_it_arrives(pool: LoopPool, make: Any) -> None:
    """Whatever its class does when it is asked for its text, its notes or its pickle."""
    error = error_of(pool.submit(_failures.raise_made, make))

    assert isinstance(error, RemoteError)


@pytest.mark.usefixtures("bystanders")
def test_what_led_to_an_error_is_told(pool: LoopPool) -> None:
    """The remote traceback, the causes and the notes come along."""
    error = error_of(pool.submit(_failures.fail_for_a_reason))

    text = "".join(traceback.format_exception(error))
    assert type(error) is LookupError
    assert error.__notes__ == ["a note"]
    assert "the reason" in text
    assert "the direct cause" in text
    assert "in fail_for_a_reason" in text


@pytest.mark.usefixtures("bystanders")
def test_what_is_too_large_is_refused(pool: LoopPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is larger than a frame may be is refused where it is made; the message says what to do."""
    monkeypatch.setattr("polyloop._packing.MOST_BYTES", 1 << 20)

    with pytest.raises(ValueError, match=r"echo\(\) has 2,.* bytes.*send it in parts"):
        pool.call(_jobs.echo, bytes(2 << 20))


def test_much_crosses(pool: LoopPool) -> None:
    """10 MB go there and back, and 100 MB come back, while others get through."""
    much = pool.submit(_jobs.echo, bytes(10_000_000))
    more = pool.submit(_jobs.make_bytes, 100_000_000)
    little = [pool.submit(_jobs.double, n) for n in range(100)]

    assert [future.result(PATIENCE) for future in little] == [2 * n for n in range(100)]
    assert much.result(PATIENCE) == bytes(10_000_000)
    assert len(more.result(PATIENCE)) == 100_000_000


@pytest.mark.usefixtures("bystanders")
def test_a_result_that_is_too_large_is_the_calls_error(pool: LoopPool) -> None:
    """Nothing of it crosses, and the error says how large it was."""
    error = error_of(pool.submit(_misfits.make_too_much))

    assert isinstance(error, ValueError)
    assert "send it in parts" in str(error)
