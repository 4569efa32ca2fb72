"""How another thread interrupts a loop that sleeps in its selector."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from polyloop._waker import EventWaker, PortableWaker, make_waker

if TYPE_CHECKING:
    from collections.abc import Iterator

# libuv makes a pipe for signals once in a process, which would look like a leak of the first test.
uvloop.new_event_loop().close()

WAKERS = [PortableWaker, *([EventWaker] if hasattr(os, "eventfd") else [])]

needs_eventfd = pytest.mark.skipif(not hasattr(os, "eventfd"), reason="eventfd is Linux's")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run yet."""
    loop = request.param()
    yield loop
    loop.close()


@pytest.mark.parametrize("kind", WAKERS)
def test_a_sleeping_loop_is_woken(loop: asyncio.AbstractEventLoop, kind: Any) -> None:
    """A wake-up from another thread has the function called on the loop's thread."""
    answers: list[int] = []

    def answer() -> None:
        answers.append(threading.get_ident())
        loop.stop()

    waker = kind(loop, answer)
    thread = threading.Thread(target=waker.wake)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    waker.close()

    assert answers == [threading.get_ident()]


@pytest.mark.parametrize("kind", WAKERS)
def test_every_wake_up_is_answered_afterwards(loop: asyncio.AbstractEventLoop, kind: Any) -> None:
    """A wake-up in the middle of an answer is answered too."""
    answers: list[int] = []

    def answer() -> None:
        answers.append(len(answers))
        if len(answers) == 3:
            loop.stop()
        else:
            waker.wake()

    waker = kind(loop, answer)
    waker.wake()
    loop.run_forever()
    waker.close()

    assert answers == [0, 1, 2]


@pytest.mark.parametrize("kind", WAKERS)
def test_the_answer_runs_in_an_empty_context(loop: asyncio.AbstractEventLoop, kind: Any) -> None:
    """Neither the context of who made the waker nor that of who woke it is seen, or kept alive."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[str | None] = []

    def answer() -> None:
        seen.append(variable.get(None))
        loop.stop()

    context = contextvars.copy_context()
    context.run(variable.set, "somebody's")
    waker = context.run(kind, loop, answer)
    context.run(waker.wake)
    loop.run_forever()
    waker.close()

    assert seen == [None]


@pytest.mark.parametrize("kind", WAKERS)
def test_a_closed_loop_cannot_be_woken(loop: asyncio.AbstractEventLoop, kind: Any) -> None:
    """Whoever wakes a loop that is closed learns of it."""
    waker = kind(loop, lambda: None)
    waker.close()
    waker.close()
    loop.close()

    with pytest.raises(RuntimeError, match="closed"):
        waker.wake()


@needs_eventfd
def test_many_wake_ups_are_one_answer(loop: asyncio.AbstractEventLoop) -> None:
    """Wake-ups that come before the loop answers are answered together."""
    answers: list[None] = []
    waker = EventWaker(loop, lambda: answers.append(None))

    for _ in range(1000):
        waker.wake()
    loop.run_until_complete(asyncio.sleep(0.0))
    loop.run_until_complete(asyncio.sleep(0.0))
    waker.close()

    assert len(answers) == 1


@needs_eventfd
def test_a_forgotten_waker_closes_its_descriptor(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that was dropped without being shut down takes the waker's descriptor with it."""
    waker = EventWaker(loop, lambda: None)
    number = waker._fd
    loop.remove_reader(number)
    del waker

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


class Readerless(asyncio.SelectorEventLoop):
    """A loop that cannot watch file descriptors, as Windows' default."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]  # for any arguments
        """Not here."""
        raise NotImplementedError


def test_a_loop_that_watches_no_descriptors_is_woken_the_portable_way() -> None:
    """The best waker is chosen by trying, and trying leaves nothing open."""
    bare, able = Readerless(), asyncio.new_event_loop()

    portable, best = make_waker(bare, bare.stop), make_waker(able, able.stop)

    assert isinstance(portable, PortableWaker)
    assert isinstance(best, WAKERS[-1])
    best.close()
    able.close()
    bare.close()


@needs_eventfd
def test_a_waker_without_a_descriptor_leaves_nothing_to_clean_up(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there are no more descriptors making a waker raises that, and nothing more."""

    def eventfd(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "eventfd", eventfd)

    with pytest.raises(OSError, match="Too many open files"):
        make_waker(loop, loop.stop)
