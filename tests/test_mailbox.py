"""The one way into a loop from outside it, on real loops."""

from __future__ import annotations

import asyncio
import gc
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from polyloop import _mailbox
from polyloop._local import replies
from polyloop._mailbox import Mailbox, MailboxClosed
from polyloop._waker import make_waker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyloop._local import Letter

# libuv makes a pipe for signals once in a process, which would look like a leak of the first test.
uvloop.new_event_loop().close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run yet."""
    loop = request.param()
    yield loop
    loop.close()


class Inbox:
    """A mailbox that keeps what it handled, and stops its loop after so many items."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expected: int) -> None:
        self.loop = loop
        self.handled: list[Any] = []
        self.passes = 0
        self._expected = expected
        self.mailbox = Mailbox[Any](loop, self._handle)

    def _handle(self, item: Any) -> None:
        self.handled.append(item)
        if len(self.handled) == self._expected:
            self.loop.stop()

    def run(self) -> None:
        """Run the loop until everything expected is there."""
        try:
            self.loop.run_forever()
        finally:
            self.mailbox.let_go()


def in_threads(count: int, job: Callable[[int], object]) -> list[threading.Thread]:
    """Start so many threads that do the job at the same time."""
    barrier = threading.Barrier(count)

    def run(index: int) -> None:
        barrier.wait()
        job(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    return threads


def count_wakes(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each time that any mailbox wakes its loop from another thread."""
    wakes: list[None] = []

    class CountingWaker:
        def __init__(self, *arguments: Any) -> None:
            self._waker = make_waker(*arguments)
            self.close = self._waker.close

        def wake(self) -> None:
            wakes.append(None)
            self._waker.wake()

    monkeypatch.setattr(_mailbox, "make_waker", CountingWaker)
    return wakes


def test_everything_arrives_in_order_from_each_thread(loop: asyncio.AbstractEventLoop) -> None:
    """Many threads put at the same time: every item is handled once, and each thread's in its order."""
    inbox = Inbox(loop, expected=8 * 500)

    def put(thread: int) -> None:
        for number in range(500):
            inbox.mailbox.put((thread, number))

    threads = in_threads(8, put)
    inbox.run()
    for thread in threads:
        thread.join()

    for index in range(8):
        assert [number for thread, number in inbox.handled if thread == index] == list(range(500))


def test_a_batch_costs_one_wake_up(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many items are put before the loop gets to them, it is woken once."""
    wakes = count_wakes(monkeypatch)
    # No time passes: a pass that takes long stops before all is handled, and wakes the loop for the rest.
    monkeypatch.setattr(_mailbox, "perf_counter", lambda: 0.0)
    inbox = Inbox(loop, expected=_mailbox.PASS_ITEMS)

    for number in range(100):
        inbox.mailbox.put(number)
    inbox.mailbox.put_all(range(100, _mailbox.PASS_ITEMS))
    inbox.run()

    assert inbox.handled == list(range(_mailbox.PASS_ITEMS))
    assert len(wakes) == 1


def test_a_flood_lets_timers_have_their_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Between two passes the loop does other things: a callback is not kept waiting for the whole backlog."""
    inbox = Inbox(loop, expected=100 * _mailbox.PASS_ITEMS)
    inbox.mailbox.put_all(range(100 * _mailbox.PASS_ITEMS))
    handled_before: list[int] = []

    def tick() -> None:
        handled_before.append(len(inbox.handled))
        loop.call_soon(tick)

    loop.call_soon(tick)
    inbox.run()

    steps = [after - before for before, after in pairwise(handled_before)]
    assert max(steps) <= 2 * _mailbox.PASS_ITEMS


def test_a_slow_handler_ends_the_pass(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass that has taken its time stops, also with few items handled, and goes on in the next turn."""
    now = 0.0
    monkeypatch.setattr(_mailbox, "perf_counter", lambda: now)
    handled: list[int | str] = []

    def handle(item: int) -> None:
        nonlocal now
        now += _mailbox.PASS_SECONDS * 0.6
        handled.append(item)
        if item == 0:
            loop.call_soon(handled.append, "timer")
        elif item == 99:
            loop.stop()

    mailbox = Mailbox[int](loop, handle)
    mailbox.put_all(range(100))
    loop.run_forever()
    mailbox.let_go()

    # The clock is looked at now and then.
    assert handled.index("timer") <= 16
    assert [item for item in handled if item != "timer"] == list(range(100))


def test_lag_is_how_late_the_loop_answered(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest time between waking a loop and its answer is kept."""
    now = 0.0
    monkeypatch.setattr(_mailbox, "perf_counter", lambda: now)
    inbox = Inbox(loop, expected=2)

    inbox.mailbox.put(1)
    now = 0.25
    loop.call_soon(loop.stop)
    loop.run_forever()
    inbox.mailbox.put(2)
    now = 0.3
    inbox.run()

    assert inbox.handled == [1, 2]
    assert inbox.mailbox.lag == 0.25


def test_a_put_on_the_own_loop_needs_no_wake_up(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A callback that puts into its own loop's mailbox has the item handled later, without a system call.

    Not in the main thread: there it may be a signal handler that puts, while the loop sleeps.
    """
    wakes = count_wakes(monkeypatch)
    inbox = Inbox(loop, expected=1)
    seen: list[bool] = []

    def put() -> None:
        inbox.mailbox.put(1)
        seen.append(bool(inbox.handled))

    loop.call_soon(put)
    for thread in in_threads(1, lambda _: inbox.run()):
        thread.join()

    assert inbox.handled == [1]
    assert seen == [False], "handled in the middle of the callback"
    assert wakes == []


def test_a_handler_that_puts_into_another_loop_wakes_it(loop: asyncio.AbstractEventLoop) -> None:
    """Items that one loop's pass puts into another loop's mailbox arrive there."""
    with asyncio.Runner() as runner:
        there = Inbox(runner.get_loop(), expected=3)
        here = Mailbox[int](loop, there.mailbox.put)
        here.put_all([1, 2, 3])
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.run_until_complete(asyncio.sleep(0))
        there.run()
        here.let_go()

    assert there.handled == [1, 2, 3]


def test_a_closed_mailbox_refuses_and_returns_what_it_had(loop: asyncio.AbstractEventLoop) -> None:
    """What was put before close() is returned by it, in order; what comes after raises."""
    inbox = Inbox(loop, expected=0)
    inbox.mailbox.put_all([1, 2, 3])

    left = inbox.mailbox.close()

    assert left == [1, 2, 3]
    assert inbox.mailbox.close() == []
    with pytest.raises(MailboxClosed):
        inbox.mailbox.put(4)
    with pytest.raises(MailboxClosed) as caught:
        inbox.mailbox.put_all([5, 6])
    assert caught.value.args == ([5, 6],)
    inbox.mailbox.let_go()


def test_a_put_after_the_loop_was_closed_is_kept_for_close(loop: asyncio.AbstractEventLoop) -> None:
    """A loop that is closed cannot be woken; its mailbox keeps the item until it is closed itself."""
    inbox = Inbox(loop, expected=0)
    inbox.mailbox.let_go()
    loop.close()

    inbox.mailbox.put(1)
    inbox.mailbox.put(2)

    assert inbox.mailbox.close() == [1, 2]


def test_retracting_takes_an_item_out_once(loop: asyncio.AbstractEventLoop) -> None:
    """An item that the loop has not taken yet is taken back, and not handled."""
    inbox = Inbox(loop, expected=2)
    inbox.mailbox.put_all([1, 2, 3])

    answers = [inbox.mailbox.retract(item) for item in (2, 2, 4)]
    inbox.run()

    assert answers == [True, False, False]
    assert inbox.handled == [1, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_wake_up_is_not_taken_for_sent(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """After Ctrl-C in the middle of a put the next put wakes the loop, and both items are handled."""
    inbox = Inbox(loop, expected=2)

    def interrupt() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(inbox.mailbox._waker, "wake", interrupt, raising=True)
        with pytest.raises(error):
            inbox.mailbox.put(1)
    inbox.mailbox.put(2)
    inbox.run()

    assert inbox.handled == [1, 2]


def test_a_handler_that_raises_loses_nothing(loop: asyncio.AbstractEventLoop) -> None:
    """Handlers must not raise; when one does, the items behind are still handled."""
    handled: list[int] = []
    reported: list[object] = []

    def handle(item: int) -> None:
        if item == 1:
            raise LookupError
        handled.append(item)
        loop.stop()

    loop.set_exception_handler(lambda _, context: reported.append(context.get("exception")))
    mailbox = Mailbox[int](loop, handle)
    mailbox.put_all([1, 2])
    loop.run_forever()
    mailbox.let_go()

    assert handled == [2]
    assert [type(error) for error in reported] == [LookupError]


# -- the mailbox for replies --------------------------------------------------------------------


class Postcard:
    """A letter that says when it arrived."""

    def __init__(self, arrived: asyncio.Future[None]) -> None:
        self._arrived = arrived

    def arrive(self, _mailbox: Mailbox[Letter], /) -> None:
        """See `Letter`."""
        self._arrived.set_result(None)


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_the_end_of_a_run_gives_back_what_replies_need(new_loop: Any) -> None:
    """asyncio.run() closes a loop's mailbox for replies: the leak check finds no descriptor left."""
    kept: list[Mailbox[Letter]] = []

    async def correspond() -> None:
        loop = asyncio.get_running_loop()
        kept.append(replies(loop))
        assert replies(loop) is kept[-1]
        arrived = loop.create_future()
        thread = threading.Thread(target=kept[-1].put, args=(Postcard(arrived),))
        thread.start()
        await arrived
        thread.join()

    for _ in range(3):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(correspond())

    assert len(set(map(id, kept))) == 3


def test_loops_that_take_turns_keep_their_mailboxes() -> None:
    """Two loops of one thread that run alternately get one mailbox each, and go on getting it."""
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def mailbox() -> Mailbox[Letter]:
        return replies(asyncio.get_running_loop())

    found = [loop.run_until_complete(mailbox()) for loop in (first, second, first, second)]

    assert found[0] is found[2]
    assert found[1] is found[3]
    assert found[0] is not found[1]
    for loop in (first, second):
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    del found
    gc.collect()
