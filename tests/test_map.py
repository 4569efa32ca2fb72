"""Maps: lazy, bounded, in order or not, from any source, for consumers that block and that await."""

# ruff: noqa: PLR1702, PT012 - leaving blocks within blocks is what much of this is about
# ruff: noqa: ASYNC110 - some of what is waited for, nothing tells

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from tests._calls import add, clean_up_behind, double, fail_on_three, forever, zero_at_once
from tests._gate import PATIENCE, Gate
from tests._shared import Flag, Level, Notes, Tally

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Iterator

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

nests = pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")


class Source:
    """Counts what was pulled from it, and in which thread; endless if it has no length."""

    def __init__(self, length: int | None = None) -> None:
        self.pulled = 0
        self.threads: set[threading.Thread] = set()
        self.is_closed = False
        self.closed = threading.Event()
        self._length = length

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            if number == self._length:
                return
            self.pulled += 1
            self.threads.add(threading.current_thread())
            yield number

    async def stream(self) -> AsyncIterator[int]:
        """The same as an async generator, which says when it was closed."""
        try:
            for number in self:
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            self.closed.set()


async def _take(stream: polyloop.MapStream[Any, Any], most: int = 10**9) -> list[Any]:
    results = []
    async for result in stream:
        results.append(result)
        if len(results) == most:
            break
    return results


class TestResults:
    """What comes out, in every combination of source, consumer and order."""

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("is_async_source", [True, False])
    @pytest.mark.parametrize("consumer", ["for", "async for", "await"])
    def test_every_item_has_its_result(
        self, steady_pool: LoopPool, consumer: str, is_async_source: bool, ordered: bool
    ) -> None:
        """All results arrive once each, in the order of the items if that was asked for."""
        source = Source(1000)
        stream = steady_pool.map(double, source.stream() if is_async_source else source, ordered=ordered)
        if consumer == "for":
            results = list(stream)
        elif consumer == "async for":
            results = asyncio.run(_take(stream))
        else:
            results = asyncio.run(_awaited(stream))

        if not ordered:
            results.sort()
        assert results == [2 * number for number in range(1000)]
        assert source.pulled == 1000

    def test_an_empty_source(self, steady_pool: LoopPool) -> None:
        """No items, no results, no waiting."""
        assert list(steady_pool.map(double, [])) == []
        assert asyncio.run(_awaited(steady_pool.map(double, []))) == []
        assert list(steady_pool.map(double, Source(0).stream())) == []

    def test_pairs(self, steady_pool: LoopPool) -> None:
        """pairs() delivers each result with its item."""
        in_order = list(steady_pool.map(double, range(5)).pairs())
        in_any_order = dict(steady_pool.map(double, range(100), ordered=False).pairs())

        assert in_order == [(0, 0), (1, 2), (2, 4), (3, 6), (4, 8)]
        assert in_any_order == {number: 2 * number for number in range(100)}

    def test_starmap_unpacks_its_items(self, steady_pool: LoopPool) -> None:
        """Each item is a tuple of arguments."""
        assert list(steady_pool.starmap(add, [(1, 2), (3, 4)])) == [3, 7]
        assert list(steady_pool.starmap(add, zip(range(3), range(3), strict=True)).pairs()) == [
            ((0, 0), 0),
            ((1, 1), 2),
            ((2, 2), 4),
        ]

    def test_a_starmap_item_that_cannot_be_unpacked_is_an_error_of_its_own(
        self, steady_pool: LoopPool
    ) -> None:
        """It takes the place of its result; the items before and after it are not lost."""
        items: list[Any] = [(1, 2), 5, (3, 4)]
        first, wrong, last = steady_pool.starmap(add, items, errors="return")

        assert (first, last) == (3, 7)
        assert isinstance(wrong, TypeError)

    @nests
    def test_a_task_can_map_over_its_own_pool(self, open_pool: OpenPool) -> None:
        """A nested map works at the limit, with one loop: no deadlock."""

        async def parent(pool: polyloop.LoopPool) -> int:
            return sum(await pool.map(double, range(100)))

        with open_pool(1, limit=1) as pool:
            assert pool.call(parent, pool) == 9900

    def test_two_maps_share_a_pool(self, steady_pool: LoopPool) -> None:
        """Maps that are consumed in turn do not disturb each other."""
        streams = [iter(steady_pool.map(double, itertools.count(), window=10)) for _ in range(2)]
        results = [next(stream) for _ in range(100) for stream in streams]

        assert results == [2 * number for number in range(100) for _ in range(2)]

    def test_a_sync_source_is_pulled_in_the_consumers_thread(self, steady_pool: LoopPool) -> None:
        """A source that may not be shared between threads is safe."""
        source = Source(100)
        list(steady_pool.map(double, source))

        assert source.threads == {threading.current_thread()}

    def test_for_over_an_async_source_stays_in_the_thread(self, steady_pool: LoopPool) -> None:
        """It is pulled on a private loop of the iterating thread, which is gone afterwards."""
        source = Source(100)
        list(steady_pool.map(double, source.stream()))

        assert source.threads == {threading.current_thread()}
        assert source.closed.is_set()


class TestWindow:
    """How much is under way."""

    def test_nothing_is_pulled_before_a_result_is_asked_for(self, steady_pool: LoopPool) -> None:
        """Making a map, entering it and asking for its iterator pulls nothing."""
        source = Source()
        with steady_pool.map(double, source) as stream:
            iterator = iter(stream)
            before = source.pulled
            assert next(iterator) == 0

        assert before == 0

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("is_async_source", [True, False])
    def test_it_bounds_what_is_pulled_and_not_delivered(
        self, steady_pool: LoopPool, is_async_source: bool, ordered: bool
    ) -> None:
        """Of an endless source never more than the window is ahead of the consumer (F7)."""
        source = Source()
        ahead = 0

        async def consume() -> None:
            nonlocal ahead
            delivered = 0
            items = source.stream() if is_async_source else source
            async with steady_pool.map(double, items, window=7, ordered=ordered) as stream:
                async for _ in stream:
                    delivered += 1
                    await asyncio.sleep(0)
                    # The pump of an async source has one item in its hand until it sees that
                    # there is room.
                    ahead = max(ahead, source.pulled - delivered)
                    if delivered == 500:
                        break

        asyncio.run(consume())

        assert 1 <= ahead <= 7

    def test_in_order_a_stuck_item_stops_the_source(self, steady_pool: LoopPool) -> None:
        """With the first item stuck, results do not pile up behind it without bound (F7)."""
        gate = Gate()
        source = Source()

        async def first_is_stuck(number: int) -> int:
            if number == 0:
                await gate.passage()
            return number

        async def consume() -> None:
            async with steady_pool.map(first_is_stuck, source, window=50) as stream:
                iterator = aiter(stream)
                waiting = asyncio.ensure_future(anext(iterator))
                while steady_pool.statistics().ended < ended + 49:  # the rest of the window has passed it
                    await asyncio.sleep(0)
                pulled.append(source.pulled)
                gate.open()
                assert await waiting == 0
                assert await anext(iterator) == 1

        pulled: list[int] = []
        ended = steady_pool.statistics().ended
        asyncio.run(consume())

        assert pulled == [50]

    def test_unordered_a_stuck_item_holds_nobody_up(self, steady_pool: LoopPool) -> None:
        """Results overtake an item that takes long, however many there are."""
        gate = Gate()

        async def first_is_stuck(number: int) -> int:
            if number == 0:
                await gate.passage()
            return number

        results = []
        with steady_pool.map(first_is_stuck, range(2000), window=50, ordered=False) as stream:
            for result in stream:
                results.append(result)
                if len(results) == 1999:
                    gate.open()

        assert results[-1] == 0
        assert sorted(results) == list(range(2000))

    def test_the_default_window_is_bounded_by_the_limits(self, open_pool: OpenPool) -> None:
        """It is no more than all workers together may have in flight."""
        source = Source()
        gate = Gate()

        async def consume() -> None:
            async with pool.map(gate.passage, source) as stream:
                waiting = asyncio.ensure_future(anext(aiter(stream)))
                await asyncio.to_thread(gate.wait_started, 6)
                pulled.append(source.pulled)
                gate.open()
                await waiting

        pulled: list[int] = []
        with open_pool(2, limit=3) as pool:
            asyncio.run(consume())

        assert pulled == [6]

    def test_a_slow_source_is_not_waited_for(self, steady_pool: LoopPool) -> None:
        """Each item is on its way before the next one is pulled, when that takes its time."""
        gate = Gate()

        def source() -> Iterator[int]:
            yield 1
            gate.wait_started()  # the first item runs while the source still works on the second
            yield 2

        async def pass_on(number: int) -> int:
            await gate.passage()
            return number

        gate.open()
        slow = itertools.chain.from_iterable((_after(0.002, item),) for item in source())
        assert list(steady_pool.map(pass_on, slow)) == [1, 2]


class TestErrors:
    """An item's error, the source's error, wrong use."""

    @pytest.mark.parametrize("consumer", ["for", "async for", "await"])
    def test_the_first_error_ends_the_stream(self, steady_pool: LoopPool, consumer: str) -> None:
        """errors="raise": results before it are delivered, the rest is cancelled, and the error is raised."""
        source = Source()
        results: list[int] = []

        async def consume(stream: polyloop.MapStream[int, int]) -> None:
            if consumer == "await":
                await stream
            async for result in stream:
                results.append(result)  # noqa: PERF401 - extend() would lose what came before the error

        with pytest.raises(LookupError, match="three"):
            if consumer == "for":
                results.extend(_stored(results, steady_pool.map(fail_on_three, source, window=10)))
            else:
                asyncio.run(consume(steady_pool.map(fail_on_three, source, window=10)))
        in_flight = steady_pool.statistics().in_flight

        assert results == ([] if consumer == "await" else [0, 1, 2])
        assert in_flight == 0

    def test_the_rest_is_cancelled_and_awaited(self, steady_pool: LoopPool) -> None:
        """When the error reaches the consumer, what else ran has been cancelled and has ended."""
        running = Gate()
        all_run = Flag()
        ended: Notes[int] = Notes()

        async def fail_or_run(number: int) -> None:
            if number == 0:
                await all_run.wait()
                raise LookupError("zero")
            try:
                await running.passage()
            finally:
                await asyncio.sleep(0)
                ended.append(number)

        def watch() -> None:
            running.wait_started(3)
            all_run.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        with pytest.raises(LookupError, match="zero"):
            list(steady_pool.map(fail_or_run, range(4)))
        watcher.join(PATIENCE)

        assert sorted(ended) == [1, 2, 3]

    @pytest.mark.parametrize("ordered", [True, False])
    def test_errors_can_take_the_place_of_results(self, steady_pool: LoopPool, ordered: bool) -> None:
        """errors="return": an error is delivered like a result, and the stream goes on."""
        pairs = dict(steady_pool.map(fail_on_three, range(100), errors="return", ordered=ordered).pairs())

        assert isinstance(pairs.pop(3), LookupError)
        assert pairs == {number: number for number in range(100) if number != 3}

    def test_errors_that_nobody_takes_are_logged(
        self, steady_pool: LoopPool, expected_logs: list[logging.LogRecord]
    ) -> None:
        """What else had failed when the stream ended with an error does not go unseen (P11)."""
        is_last = Flag()

        async def fail_last(number: int) -> None:
            if number == 0:
                await is_last.wait()
            raise LookupError(number)

        def watch() -> None:
            while steady_pool.statistics().ended < ended + 2:
                threading.Event().wait(0.001)
            is_last.set()

        ended = steady_pool.statistics().ended
        watcher = threading.Thread(target=watch)
        watcher.start()
        with pytest.raises(LookupError, match="0"):
            list(steady_pool.map(fail_last, range(3)))
        watcher.join(PATIENCE)

        assert [record.levelname for record in expected_logs] == ["ERROR"]
        assert "2 more of its items had failed" in expected_logs[0].getMessage()

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
    def test_strange_errors_are_errors_of_their_item(
        self, steady_pool: LoopPool, error: type[BaseException]
    ) -> None:
        """A task that raises what ends programs or iterations ends neither (C1, C3)."""

        async def strange(number: int) -> int:
            if number == 1:
                raise error
            return number

        first, strange_one, last = steady_pool.map(strange, range(3), errors="return")

        assert (first, last) == (0, 2)
        assert isinstance(strange_one, RuntimeError if error is StopIteration else error)

    @pytest.mark.parametrize("is_async_source", [True, False])
    def test_a_source_that_raises(self, steady_pool: LoopPool, is_async_source: bool) -> None:
        """Its error is raised after the results of everything that it had yielded."""

        def broken() -> Iterator[int]:
            yield from range(5)
            raise OSError("the source broke")

        async def stream_broken() -> AsyncIterator[int]:
            for number in broken():
                yield number

        results: list[int] = []
        stream = steady_pool.map(double, stream_broken() if is_async_source else broken())
        with pytest.raises(OSError, match="the source broke"):
            results.extend(_stored(results, stream))

        assert results == [0, 2, 4, 6, 8]

    def test_a_task_that_was_cancelled(self, steady_pool: LoopPool) -> None:
        """An item whose task somebody else cancelled is an error: TaskCancelled, with the item's name."""

        async def cancel_oneself(number: int) -> int:
            current = asyncio.current_task()
            assert current is not None
            if number == 1:
                current.cancel()
            await asyncio.sleep(0)
            return number

        zero, one, two = steady_pool.map(cancel_oneself, range(3), errors="return")

        assert (zero, two) == (0, 2)
        assert isinstance(one, polyloop.TaskCancelled)
        assert "the item 1" in str(one)

    def test_a_pool_that_is_not_open(self, open_pool: OpenPool) -> None:
        """It refuses when the first result is asked for, as submit() does."""
        pool = open_pool()

        with pytest.raises(polyloop.PoolClosed):
            list(pool.map(double, [1]))

    @nests
    def test_for_on_one_of_the_pools_own_loops_is_refused(self, open_pool: OpenPool) -> None:
        """It would block the loop; `async for` over the same stream is what to do (P9)."""

        async def iterate(pool: polyloop.LoopPool) -> list[int]:
            stream = pool.map(double, range(3))
            with pytest.raises(polyloop.BlockingCall):
                iter(stream)
            return [result async for result in stream]

        with open_pool(1) as pool:
            assert pool.call(iterate, pool) == [0, 2, 4]

    @nests
    def test_with_on_one_of_the_pools_own_loops_is_refused(self, open_pool: OpenPool) -> None:
        """Leaving the block would wait there for what that loop runs (P9)."""

        async def enter(pool: polyloop.LoopPool) -> None:
            with pytest.raises(polyloop.BlockingCall), pool.map(forever, range(3)) as stream:
                async for _ in stream:
                    pass

        with open_pool(1) as pool:
            pool.submit(enter, pool).result(PATIENCE)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"window": 0}, ValueError),
            ({"window": -1}, ValueError),
            ({"window": True}, TypeError),
            ({"window": 1.5}, TypeError),
            ({"errors": "ignore"}, ValueError),
        ],
        ids=str,
    )
    def test_parameters_that_make_no_sense(
        self, open_pool: OpenPool, options: dict[str, Any], error: type[Exception]
    ) -> None:
        """They are refused by name when the map is made."""
        with pytest.raises(error, match=next(iter(options))):
            _ = open_pool().map(double, [1], **options)

    @pytest.mark.parametrize("verb", ["map", "starmap"])
    def test_items_that_cannot_be_iterated(self, open_pool: OpenPool, verb: str) -> None:
        """They are refused when the map is made, with what they are."""
        with pytest.raises(TypeError, match=rf"{verb}\(\) takes an iterable.*not int"):
            getattr(open_pool(), verb)(double, 5)

    def test_a_stream_is_consumed_once(self, steady_pool: LoopPool) -> None:
        """Iterating or awaiting it again is an error, never an empty result."""
        stream = steady_pool.map(double, range(3))
        list(stream)
        with pytest.raises(RuntimeError, match="iterated already"):
            iter(stream)
        with pytest.raises(RuntimeError, match="iterated already"):
            _ = stream.pairs()
        with pytest.raises(RuntimeError, match="iterated already"):
            asyncio.run(_awaited(stream))

    def test_a_loop_is_not_blocked_by_an_async_source(self, steady_pool: LoopPool) -> None:
        """`for` over one where a loop runs already is refused, and the map can still be iterated."""

        async def consume() -> list[int]:
            stream = steady_pool.map(double, Source(2).stream())
            with pytest.raises(RuntimeError, match="async for"):
                iter(stream)
            return [result async for result in stream]

        assert asyncio.run(consume()) == [0, 2]


class TestLeaving:
    """The ways to leave a map before its end."""

    def test_break_requests_the_end(self, open_pool: OpenPool) -> None:
        """After a bare break nothing more is pulled, what runs is cancelled, and close() awaits it."""
        source = Source()
        with open_pool(1) as pool:
            for _ in pool.map(zero_at_once, source, window=10):
                break
            pulled = source.pulled

        assert source.pulled == pulled <= 10
        assert pool.statistics().in_flight == 0

    def test_an_async_break_requests_the_end(self, open_pool: OpenPool) -> None:
        """The same on a loop; an async source is closed there."""
        source = Source()

        async def consume() -> None:
            async for _ in pool.map(zero_at_once, source.stream(), window=10):
                break
            while not source.closed.is_set():
                await asyncio.sleep(0)

        with open_pool(1) as pool:
            asyncio.run(consume())

        assert source.pulled <= 11

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize("ordered", [False, True])
    def test_leaving_the_block_awaits_what_was_cancelled(
        self, steady_pool: LoopPool, is_async: bool, ordered: bool
    ) -> None:
        """After the block of a `with` everything has ended, on all loops."""
        started, level = Tally(), Level()

        async def run_or_return(number: int) -> int:
            started.add()
            with level:
                try:
                    if number > 0:
                        await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
            return number

        async def consume() -> None:
            async with steady_pool.map(
                run_or_return, itertools.count(), window=20, ordered=ordered
            ) as stream:
                async for _ in stream:
                    break

        if is_async:
            asyncio.run(consume())
        else:
            with steady_pool.map(run_or_return, itertools.count(), window=20, ordered=ordered) as stream:
                for _ in stream:
                    break
        in_flight = steady_pool.statistics().in_flight

        assert started.count() > 0
        assert level.now() == 0
        assert in_flight == 0

    def test_leaving_the_block_does_not_interrupt_clean_up(self, open_pool: OpenPool) -> None:
        """What the break has cancelled already is not cancelled a second time, in its clean-up."""
        gate = Gate()
        cleaned_up: Notes[int] = Notes()

        async def run_and_clean_up(number: int) -> int:
            if number < 3:  # the last one returns, when all others have started
                async with gate:
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await gate.passage()
                        cleaned_up.append(number)
            return number

        async def open_later() -> None:
            await pool.run(double, 0)  # it reaches the loop after whatever leaving the block sends there
            gate.open()

        async def consume() -> None:
            async with pool.map(run_and_clean_up, range(4), ordered=False) as stream:
                async for _ in stream:
                    break
                await asyncio.to_thread(gate.wait_started, 3)
                opening = asyncio.create_task(open_later())
            await opening

        with open_pool(1) as pool:
            asyncio.run(consume())

        assert sorted(cleaned_up) == [0, 1, 2]

    @pytest.mark.parametrize("ordered", [False, True])
    def test_leaving_the_block_with_results_untaken_leaves_the_loop_free(
        self, open_pool: OpenPool, ordered: bool
    ) -> None:
        """While leaving waits for a clean-up, the consumer's loop runs, which that may depend on."""
        gate = Gate()

        async def run_and_clean_up(number: int) -> int:
            if number == 2:
                return await clean_up_behind(gate)
            return number

        async def open_later() -> None:
            gate.open()

        async def consume() -> None:
            async with pool.map(run_and_clean_up, range(3), ordered=ordered) as stream:
                async for _ in stream:
                    break
                while pool.statistics().ended < 2:  # the second result is there, and nobody takes it
                    await asyncio.sleep(0)
                opening = asyncio.create_task(open_later())
            await opening

        with open_pool(1) as pool:
            asyncio.run(consume())

            assert pool.statistics().in_flight == 0

    @pytest.mark.parametrize("is_async", [False, True])
    def test_an_exception_in_the_block_goes_through(self, steady_pool: LoopPool, is_async: bool) -> None:
        """The consumer's own error is what comes out, when everything has been cancelled."""

        async def consume() -> None:
            async with steady_pool.map(zero_at_once, itertools.count(), window=5) as stream:
                async for _ in stream:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            if is_async:
                asyncio.run(consume())
            else:
                with steady_pool.map(zero_at_once, itertools.count(), window=5) as stream:
                    for _ in stream:
                        raise ZeroDivisionError

        assert steady_pool.statistics().in_flight == 0

    @pytest.mark.parametrize("kind", ["async for", "async with", "await"])
    def test_cancelling_the_consumer_cancels_the_items(self, steady_pool: LoopPool, kind: str) -> None:
        """A consumer that is cancelled while it waits takes what is under way with it, at once."""
        gate = Gate()

        async def run_until_cancelled(_: int) -> None:
            await gate.passage()

        async def consume() -> None:
            stream = steady_pool.map(run_until_cancelled, range(5))
            if kind == "async with":
                async with stream:
                    await _take(stream)
            elif kind == "await":
                await stream
            else:
                await _take(stream)

        async def main() -> None:
            task = asyncio.create_task(consume())
            await asyncio.to_thread(gate.wait_started, 5)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            async with asyncio.timeout(PATIENCE):
                while steady_pool.statistics().cancelled < cancelled + 5:
                    await asyncio.sleep(0)
            del task

        cancelled = steady_pool.statistics().cancelled
        asyncio.run(main())

    def test_an_async_source_under_for_is_closed_on_leaving(self, open_pool: OpenPool) -> None:
        """After break or an error, the source on the private loop has been closed."""
        broken_off, failed = Source(), Source()
        with open_pool(1) as pool:
            for _ in pool.map(double, broken_off.stream()):
                break
            with pytest.raises(LookupError):
                list(pool.map(fail_on_three, failed.stream()))

            assert broken_off.closed.is_set()
            assert failed.closed.is_set()

    def test_an_async_source_is_closed_on_leaving_the_block(self, steady_pool: LoopPool) -> None:
        """`async with` closes the source before it goes on."""
        source = Source()

        async def consume() -> None:
            async with steady_pool.map(double, source.stream()) as stream:
                async for _ in stream:
                    break
            assert source.closed.is_set()

        asyncio.run(consume())

    def test_stop_ends_the_source_and_keeps_the_results(self, steady_pool: LoopPool) -> None:
        """After stop() nothing more is pulled, and what was pulled is delivered."""
        source = Source()
        results = []
        stream = steady_pool.map(double, source, window=20)
        for result in stream:
            results.append(result)
            if len(results) == 10:
                stream.stop()

        assert results == [2 * number for number in range(source.pulled)]

    @pytest.mark.parametrize("consumer", ["async for", "for"])
    def test_stop_ends_an_async_source(self, steady_pool: LoopPool, consumer: str) -> None:
        """stop() closes an async source, and what it had yielded is delivered."""
        source = Source()
        results: list[int] = []

        async def consume() -> None:
            stream = steady_pool.map(double, source.stream(), window=20)
            async for result in stream:
                results.append(result)
                if len(results) == 10:
                    stream.stop()

        if consumer == "async for":
            asyncio.run(consume())
        else:
            stream = steady_pool.map(double, source.stream(), window=20)
            for result in stream:
                results.append(result)
                if len(results) == 10:
                    stream.stop()

        assert 10 <= len(results) <= 30
        assert results == [2 * number for number in range(len(results))]
        assert source.closed.is_set()

    def test_a_stream_that_is_never_iterated(self, steady_pool: LoopPool) -> None:
        """It pulls nothing, closes nothing, and can be left or dropped."""
        source = Source()
        with steady_pool.map(double, source):
            pass
        _ = steady_pool.map(double, source.stream())
        del _
        gc.collect()

        assert source.pulled == 0

    def test_closing_the_pool_under_a_consumer(self, open_pool: OpenPool) -> None:
        """A consumer that waits when the pool is closed gets an error, and does not hang (P1)."""
        gate = Gate()
        pool = open_pool(1)
        pool.open()

        def close() -> None:
            gate.wait_started(3)
            pool.close(drain=0)

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises((polyloop.TaskCancelled, polyloop.PoolClosed)):
            list(pool.map(gate.passage, itertools.count(), window=3))
        closer.join(PATIENCE)

        assert not closer.is_alive()


async def _awaited(stream: polyloop.MapStream[Any, Any]) -> list[Any]:
    return await stream


def _stored(results: list[int], stream: polyloop.MapStream[Any, int]) -> list[int]:
    """Append result by result, so that those before an error are kept."""
    for result in stream:
        results.append(result)  # noqa: PERF402 - extend() would lose what came before an error
    return []


def _after(seconds: float, item: int) -> int:
    threading.Event().wait(seconds)
    return item


class TestFairness:
    """A stream with plenty of results leaves the consumer's loop its turn."""

    def test_timers_run_between_results(self, steady_pool: LoopPool) -> None:
        """A consumer that never has to wait for a result does not keep its loop from everything else."""

        async def consume() -> int:
            taken = 0
            async with steady_pool.map(double, Source(), window=500) as stream:
                # It ends the endless source: without a turn of the loop this would never end.
                asyncio.get_running_loop().call_later(0.05, stream.stop)
                async for _ in stream:
                    taken += 1
                    # Slower than the worker, so that the next result is always there.
                    threading.Event().wait(0.0005)
            return taken

        assert asyncio.run(consume()) > 0
