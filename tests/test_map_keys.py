"""Maps with keys: same key, same worker, and so many of one key at a time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest

import polyloop
from polyloop._options import slot_of
from tests._calls import double
from tests._gate import PATIENCE, Gate
from tests._keyed_calls import Pair, second, where_of, where_pair, work
from tests._open_pool import wait_until_idle
from tests._shared import Notes

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

    from polyloop import LoopPool
    from tests._open_pool import OpenPool

nests = pytest.mark.backends("thread", why="a call elsewhere cannot call the pool that it was submitted to")


async def _stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def _awaited(stream: polyloop.MapStream[Any, Any]) -> list[Any]:
    return await stream


async def _iterated(stream: polyloop.MapStream[Any, Any]) -> list[Any]:
    return [result async for result in stream]


CONSUMERS: dict[str, Callable[[polyloop.MapStream[Any, Any]], list[Any]]] = {
    "for": list,
    "async for": lambda stream: asyncio.run(_iterated(stream)),
    "await": lambda stream: asyncio.run(_awaited(stream)),
}


def _break(stream: polyloop.MapStream[Any, Any]) -> None:
    for _ in stream:
        break


def _leave(stream: polyloop.MapStream[Any, Any]) -> None:
    with stream:
        _break(stream)


async def _aleave(stream: polyloop.MapStream[Any, Any]) -> None:
    async with stream:
        async for _ in stream:
            break


async def _be_cancelled(stream: polyloop.MapStream[Any, Any]) -> None:
    async def consume() -> None:
        async with stream:
            async for _ in stream:
                first.set()

    first = asyncio.Event()
    task = asyncio.create_task(consume())
    await first.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


WAYS_OUT: dict[str, Callable[[polyloop.MapStream[Any, Any]], None]] = {
    "break": _break,
    "with": _leave,
    "async with": lambda stream: asyncio.run(_aleave(stream)),
    "cancel": lambda stream: asyncio.run(_be_cancelled(stream)),
}


class TestKey:
    """Where items with keys run."""

    @pytest.mark.parametrize("is_async_source", [True, False])
    @pytest.mark.parametrize("consumer", CONSUMERS)
    def test_items_with_the_same_key_run_on_the_same_worker(
        self, steady_pool: LoopPool, consumer: str, is_async_source: bool
    ) -> None:
        """Whatever the map and its source are, and in the next map too."""
        items: Iterable[int] | AsyncIterable[int] = range(200)
        if is_async_source:
            items = _stream(range(200))
        indexes = CONSUMERS[consumer](steady_pool.map(where_of, items, key=lambda item: item % 20))

        assert indexes == [slot_of(item % 20, 2) for item in range(200)]
        assert set(indexes) == {0, 1}

    def test_the_key_of_a_starmap_is_one_of_the_whole_item(self, steady_pool: LoopPool) -> None:
        """It is called with the tuple as it came out of the source."""
        items = [("a", 1), ("b", 2), ("a", 3)]
        indexes = list(steady_pool.starmap(where_pair, items, key=itemgetter(0)))

        assert indexes == [slot_of(key, 2) for key, _ in items]

    def test_it_is_called_once_for_each_item_in_the_consumers_thread(self, steady_pool: LoopPool) -> None:
        """As a sync source is pulled there, so it may use what may not be shared between threads."""
        threads: list[threading.Thread] = []

        def key(item: int) -> int:
            threads.append(threading.current_thread())
            return item

        list(steady_pool.map(double, range(50), key=key, per_key=1))

        assert threads == [threading.current_thread()] * 50

    @pytest.mark.parametrize("per_key", [None, 1])
    @pytest.mark.parametrize("ordered", [True, False])
    def test_what_it_raises_is_its_items_error(
        self, steady_pool: LoopPool, ordered: bool, per_key: int | None
    ) -> None:
        """It takes the place of its result; the other items are not lost."""
        items: list[dict[str, int]] = [{"user": 1}, {}, {"user": 3}]
        pairs = list(
            steady_pool.map(
                where_of, items, key=itemgetter("user"), per_key=per_key, ordered=ordered, errors="return"
            ).pairs()
        )

        results = [result for item in items for other, result in pairs if item is other]
        assert [type(result) for result in results] == [int, KeyError, int]

    @pytest.mark.parametrize("per_key", [None, 1])
    def test_a_key_that_cannot_be_hashed_is_its_items_error(
        self, steady_pool: LoopPool, per_key: int | None
    ) -> None:
        """It says which key that was; with errors="raise" it ends the stream."""

        def key(item: int) -> Any:
            return [item] if item == 1 else item

        stream = iter(steady_pool.map(double, range(3), key=key, per_key=per_key))
        assert next(stream) == 0
        with pytest.raises(TypeError, match=r"key=\[1\] must be hashable"):
            next(stream)

    @pytest.mark.parametrize("per_key", [None, 1])
    def test_a_key_that_raises_stop_iteration_ends_nothing(
        self, steady_pool: LoopPool, per_key: int | None
    ) -> None:
        """It is an error and not the end of the stream."""

        def key(item: int) -> int:
            return item if item != 1 else next(iter(()))

        first, wrong, last = steady_pool.map(double, range(3), key=key, per_key=per_key, errors="return")

        assert (first, last) == (0, 4)
        assert isinstance(wrong, RuntimeError)

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"key": "user"}, TypeError, "key must be something to call, not 'user'"),
            ({"key": double}, TypeError, "key must be a plain function"),
            ({"per_key": 1}, ValueError, "per_key=1 needs key="),
            ({"key": len, "per_key": 0}, ValueError, "per_key=0"),
            ({"key": len, "per_key": True}, TypeError, "per_key"),
        ],
        ids=str,
    )
    def test_parameters_that_make_no_sense(
        self, open_pool: OpenPool, options: dict[str, Any], error: type[Exception], match: str
    ) -> None:
        """They are refused by name when the map is made."""
        with pytest.raises(error, match=match):
            _ = open_pool().map(double, [1], **options)


class TestPerKey:
    """How many of one key run at a time."""

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("is_async_source", [True, False])
    @pytest.mark.parametrize("consumer", CONSUMERS)
    def test_one_at_a_time_keeps_the_order_of_a_key(
        self, steady_pool: LoopPool, consumer: str, is_async_source: bool, ordered: bool
    ) -> None:
        """per_key=1: a call begins when the one before it of its key has ended; every item has its result."""
        items = [("abc"[number * number % 3], number) for number in range(300)]
        source: Any = _stream(items) if is_async_source else items
        stream = steady_pool.map(work, source, key=itemgetter(0), per_key=1, window=5, ordered=ordered)
        results = CONSUMERS[consumer](stream)

        numbers = [number for number, _, _ in results]
        assert (numbers if ordered else sorted(numbers)) == list(range(300))
        assert {running for _, running, _ in results} == {1}
        for key in "abc":
            begun = sorted((began, number) for number, _, began in results if items[number][0] == key)
            assert [number for _, number in begun] == sorted(number for _, number in begun)

    def test_so_many_at_a_time(self, steady_pool: LoopPool) -> None:
        """As many as per_key run at once, and no more."""
        gate = Gate()
        running: list[int] = []

        async def consume() -> None:
            async with steady_pool.map(gate.passage, range(10), key=lambda _: "all", per_key=3) as stream:
                waiting = asyncio.ensure_future(anext(aiter(stream)))
                await asyncio.to_thread(gate.wait_started, 3)
                await steady_pool.broadcast(double, 1)
                running.append(steady_pool.statistics().in_flight)
                gate.open()
                await waiting

        asyncio.run(consume())

        assert running == [3]

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("is_async_source", [True, False])
    def test_a_key_at_its_cap_does_not_use_up_the_window(
        self, steady_pool: LoopPool, is_async_source: bool, ordered: bool
    ) -> None:
        """While one key is stuck and more of it are set aside than half of a window, others go on."""
        gate = Gate()
        others = Gate()

        async def stuck_or_not(item: Pair) -> int:
            await (gate if item[0] == "stuck" else others).passage()
            return item[1]

        items = [("stuck", number) for number in range(4)] + [(str(number), number) for number in range(4, 7)]
        source: Any = _stream(items) if is_async_source else items

        async def consume() -> list[int]:
            stream = steady_pool.map(
                stuck_or_not, source, key=itemgetter(0), per_key=1, window=4, ordered=ordered
            )
            results = asyncio.ensure_future(_iterated(stream))
            await asyncio.to_thread(others.wait_started, 3)  # they have their places beside the stuck one
            others.open()
            gate.open()
            return await results

        results = asyncio.run(consume())

        assert sorted(results) == list(range(7))

    @pytest.mark.parametrize("is_async_source", [True, False])
    def test_what_is_set_aside_is_bounded(self, steady_pool: LoopPool, is_async_source: bool) -> None:
        """Of an endless source with one key, a window is set aside, and nothing more is pulled (P10)."""
        gate = Gate()
        pulled: list[int] = []

        def endless() -> Iterator[int]:
            for number in itertools.count():
                pulled.append(number)
                yield number

        async def consume() -> None:
            source: Any = _stream(endless()) if is_async_source else endless()
            async with steady_pool.map(gate.passage, source, key=lambda _: 1, per_key=1, window=5) as stream:
                iterator = aiter(stream)
                waiting = asyncio.ensure_future(anext(iterator))
                await asyncio.to_thread(gate.wait_started)
                gate.open()
                assert await waiting == 0
                for expected in range(1, 50):
                    assert await anext(iterator) == expected
                    ahead.append(len(pulled) - expected)

        ahead: list[int] = []
        asyncio.run(consume())

        assert max(ahead) <= 10

    def test_two_maps_have_lanes_of_their_own(self, steady_pool: LoopPool) -> None:
        """The cap is one of a map, and not of the pool."""
        gate = Gate()

        async def consume() -> None:
            streams = [steady_pool.map(gate.passage, [1], key=lambda _: "same", per_key=1) for _ in range(2)]
            results = asyncio.gather(*(_awaited(stream) for stream in streams))
            await asyncio.to_thread(gate.wait_started, 2)
            gate.open()
            await results

        asyncio.run(consume())

        assert gate.entered == 2


class TestLeaving:
    """The ways to leave a map some of whose items are set aside."""

    def test_stop_finishes_what_was_set_aside(self, steady_pool: LoopPool) -> None:
        """After stop() nothing more is pulled, and all that was pulled is delivered."""
        pulled: list[int] = []

        def source() -> Iterator[Pair]:
            for number in itertools.count():
                pulled.append(number)
                yield "one key", number

        results: list[int] = []
        stream = steady_pool.map(second, source(), key=itemgetter(0), per_key=1, window=20)
        for result in stream:
            results.append(result)
            if len(results) == 3:
                stream.stop()

        assert len(pulled) > 3
        assert results == pulled

    @pytest.mark.parametrize("ordered", [True, False])
    @pytest.mark.parametrize("way", WAYS_OUT)
    def test_what_was_set_aside_never_starts(self, steady_pool: LoopPool, way: str, ordered: bool) -> None:
        """Leaving early cancels what runs and begins nothing more."""
        gate = Gate()

        async def first_or_wait(number: int) -> int:
            await gate.passage()
            if number > 0:
                await asyncio.Event().wait()
            return number

        gate.open()
        stream = steady_pool.map(
            first_or_wait, itertools.count(), key=lambda _: 1, per_key=2, window=5, ordered=ordered
        )
        WAYS_OUT[way](stream)
        if way != "break":
            assert steady_pool.statistics().in_flight == 0
        wait_until_idle(steady_pool)

        assert gate.entered <= 3

    def test_the_first_error_ends_the_stream(self, steady_pool: LoopPool) -> None:
        """errors="raise": what is before it is delivered, and nothing of its key begins behind it."""
        begun: Notes[int] = Notes()

        async def fail_on_two(item: Pair) -> int:
            begun.append(item[1])
            if item[1] == 2:
                raise LookupError("two")
            return item[1]

        items = (("one key", number) for number in itertools.count())
        stream = iter(steady_pool.map(fail_on_two, items, key=itemgetter(0), per_key=1, window=10))
        results = [next(stream), next(stream)]
        with pytest.raises(LookupError, match="two"):
            next(stream)

        assert results == [0, 1]
        assert begun == [0, 1, 2]

    def test_errors_can_take_the_place_of_results(self, steady_pool: LoopPool) -> None:
        """errors="return": a call that fails makes room for the next of its key as any other."""

        async def fail_on_odd(item: Pair) -> int:
            if item[1] % 2:
                raise LookupError(item[1])
            return item[1]

        items = [("ab"[number % 3 == 0], number) for number in range(50)]
        results = list(steady_pool.map(fail_on_odd, items, key=itemgetter(0), per_key=1, errors="return"))

        assert [result for result in results if isinstance(result, int)] == list(range(0, 50, 2))
        assert sum(isinstance(result, LookupError) for result in results) == 25

    def test_closing_the_pool_in_the_middle(self, open_pool: OpenPool) -> None:
        """With errors="return" every item that was pulled comes out, those set aside as PoolClosed (P1)."""
        gate = Gate()
        pool = open_pool(1)
        pool.open()

        def close() -> None:
            gate.wait_started()
            pool.close(drain=0)

        closer = threading.Thread(target=close)
        closer.start()
        results = list(pool.map(gate.passage, range(5), key=lambda _: 1, per_key=1, errors="return"))
        closer.join(PATIENCE)

        assert not closer.is_alive()
        assert isinstance(results[0], polyloop.TaskCancelled)
        assert [type(result) for result in results[1:]] == [polyloop.PoolClosed] * 4

    @nests
    def test_a_task_can_map_with_keys_over_its_own_pool(self, open_pool: OpenPool) -> None:
        """At the limit, with one loop: no deadlock."""

        async def parent(pool: polyloop.LoopPool) -> int:
            return sum(await pool.map(double, range(100), key=lambda item: item % 3, per_key=1))

        with open_pool(1, limit=1) as pool:
            assert pool.call(parent, pool) == 9900

    def test_a_deadline_passes_while_its_item_is_set_aside(self, open_pool: OpenPool) -> None:
        """It counts from the pulling: the item has DeadlineExceeded in its place, and holds up nothing."""
        gate = Gate()

        async def consume() -> list[Any]:
            view = pool.options(timeout=0.05)
            stream = view.map(gate.passage, range(3), key=lambda _: 1, per_key=1, errors="return")
            return await _awaited(stream)

        with open_pool(1, timeout_grace=0.05) as pool:
            results = asyncio.run(consume())

        assert [type(result) for result in results] == [polyloop.DeadlineExceeded] * 3

    def test_a_key_and_a_worker_fixed_by_options_exclude_each_other(self, open_pool: OpenPool) -> None:
        """Each says where a call runs, so a map that has both is refused when it is made."""
        with pytest.raises(ValueError, match="leave out the key or worker"):
            _ = open_pool(2).options(worker=1).map(double, [1], key=lambda item: item)
