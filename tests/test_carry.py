"""Context variables that the user has named, on their way to processes and interpreters."""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import Future, LoopPool, StartupError
from polyloop._carry import ContextPacker, ContextUnpacker
from polyloop._codec import MOST_BYTES
from polyloop._messages import Call
from polyloop._variables import find_variables
from tests import _carried
from tests._gate import PATIENCE
from tests._open_pool import BACKENDS
from tests._processes import run_python
from tests._stage import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES: list[str | ContextVar[Any]] = ["tests._carried:user", _carried.settings]
ADA = ("ada", {"dark": True})


@pytest.fixture(scope="module", params=[name for name in BACKENDS if name != "thread"])
def pool(request: pytest.FixtureRequest) -> Iterator[LoopPool]:
    """Two workers of each kind that share no memory; calls take the two variables along."""
    with LoopPool(2, backend=request.param, carry=NAMES, grace=1.0) as pool:
        # What is made when it is first needed is made before the first test looks at what there is.
        assert pool.options(timeout=20.0).call(_carried.look) == ("nobody", None)
        yield pool


def as_ada(function: Callable[[], Any]) -> Any:
    """Call it where both variables are set."""

    def set_and_call() -> Any:
        _carried.user.set("ada")
        _carried.settings.set({"dark": True})
        return function()

    return Context().run(set_and_call)


def as_user(value: object, function: Callable[..., Any], *args: object) -> Any:
    """Call it where the user is that."""

    def set_and_call() -> Any:
        _carried.user.set(value)
        return function(*args)

    return copy_context().run(set_and_call)


def test_every_way_to_await_takes_them_along(pool: LoopPool) -> None:
    """run, submit, maps, a broadcast, a group, a view and a plain function see what the caller sees."""

    async def main() -> list[Any]:
        async with pool.task_group() as group:
            child = group.create_task(_carried.look)
        return [
            child.result(),
            await pool.run(_carried.look),
            await pool.submit(_carried.look),
            *await pool.map(_carried.look, [1, 2]),
            *await pool.map(_carried.look, [1, 1], key=int, per_key=1),
            *await pool.starmap(_carried.look, [(1, 2)]),
            *await pool.broadcast(_carried.look),
            await pool.options(key="k", timeout=PATIENCE, name="named").run(_carried.look),
            await pool.run_sync(_carried.look_beside),
        ]

    assert as_ada(lambda: asyncio.run(main())) == [ADA] * 12


def test_every_way_to_wait_takes_them_along(pool: LoopPool) -> None:
    """call, submit, maps, a broadcast, a view and an executor do so where no loop runs."""

    def main() -> list[Any]:
        with pool.executor() as executor:
            return [
                pool.call(_carried.look),
                pool.submit(_carried.look).result(PATIENCE),
                *pool.map(_carried.look, range(3)),
                *pool.broadcast(_carried.look).result(PATIENCE),
                pool.options(worker=1).call(_carried.look),
                executor.submit(_carried.look).result(PATIENCE),
                executor.submit(_carried.look_beside).result(PATIENCE),
            ]

    assert as_ada(main) == [ADA] * 10


def test_the_items_of_a_map_are_of_whoever_iterates_it(pool: LoopPool) -> None:
    """As on threads: not of whoever called map, and each as it is when the item is handed in."""
    stream = as_user("who maps", pool.map, _carried.look, range(2))

    assert as_user("who iterates", list, stream) == [("who iterates", None)] * 2


def test_nothing_else_comes_along(pool: LoopPool) -> None:
    """A variable that nobody has named is in the worker what it is there."""

    def main() -> str:
        _carried.left_behind.set("something")
        return pool.call(_carried.look_at_left_behind)

    assert copy_context().run(main) == "nothing"


def test_nothing_comes_back(pool: LoopPool) -> None:
    """What a call sets, neither its caller sees nor the next call."""

    def main() -> list[Any]:
        seen = [pool.options(worker=0).call(_carried.look) for _ in range(3)]
        assert _carried.user.get() == "ada"
        return seen

    assert as_ada(main) == [ADA] * 3


def test_what_is_not_set_arrives_as_not_set(pool: LoopPool) -> None:
    """There, too, the default holds then, or get() raises, also after another call had a value."""
    assert as_ada(lambda: pool.options(worker=0).call(_carried.look)) == ADA

    assert pool.options(worker=0).call(_carried.look) == ("nobody", None)
    assert as_user(None, pool.options(worker=0).call, _carried.look) == (None, None)


def test_a_value_is_that_of_the_time_of_the_call(pool: LoopPool) -> None:
    """Who changes an object after a call was handed in, or between two, changes nothing of the earlier."""
    settings: dict[str, Any] = {"n": 0}

    def main() -> list[Any]:
        _carried.settings.set(settings)
        futures: list[Future[Any]] = []
        for number in range(5):
            settings["n"] = number
            futures.append(pool.submit(_carried.look))
        settings["n"] = 100
        return [future.result(PATIENCE) for future in futures]

    assert copy_context().run(main) == [("nobody", {"n": number}) for number in range(5)]


def test_equal_values_are_not_taken_for_each_other(pool: LoopPool) -> None:
    """1, 1.0 and True are equal: each arrives as what it is."""
    values: list[Any] = [1, 1.0, True, "1", b"1", None]

    seen = [as_user(value, pool.options(worker=0).call, _carried.look_at_kind) for value in values]

    assert seen == [(type(value).__name__, value) for value in values]


def test_a_value_may_look_around_where_it_is_pickled_and_made(pool: LoopPool) -> None:
    """It is pickled in the caller's context, and what its making sets, the task sees, and nobody else."""

    def main() -> list[str]:
        _carried.user.set(_carried.Following())
        seen = []
        for name in ("one", "two"):
            _carried.left_behind.set(name)
            seen.append(pool.options(worker=0).call(_carried.look_at_left_behind))
        return seen

    assert copy_context().run(main) == ["as one", "as two"]
    assert pool.options(worker=0).call(_carried.look_at_left_behind) == "nothing"


def test_what_cannot_be_pickled_is_refused_where_it_is_handed_in(pool: LoopPool) -> None:
    """The error names the variable, and a map loses that item only."""

    def main() -> list[Any]:
        _carried.settings.set({"lock": threading.Lock()})
        with pytest.raises(TypeError, match=r"variable 'tests\._carried:settings'.*the call of look.*pickle"):
            _ = pool.submit(_carried.look)
        return list(pool.map(_carried.look, [1, 2], errors="return"))

    assert [type(error) for error in as_ada(lambda: copy_context().run(main))] == [TypeError, TypeError]
    assert as_ada(lambda: pool.call(_carried.look)) == ADA


def test_what_cannot_be_made_again_is_the_error_of_its_call(pool: LoopPool) -> None:
    """It says where it came from, and the worker goes on."""
    with pytest.raises(LookupError, match="will not be made again") as caught:
        as_user(_carried.Stubborn(), pool.call, _carried.look)

    assert "tests._carried:user, tests._carried:settings" in "".join(caught.value.__notes__)
    assert pool.broadcast(_carried.look).result(PATIENCE) == [("nobody", None)] * 2


def test_what_a_class_has_is_taken_along() -> None:
    """A name may lead into a class."""

    def main(pool: LoopPool) -> int:
        _carried.Holder.inner.set(7)
        return pool.call(_carried.look_inside)

    with LoopPool(1, backend="process", carry=["tests._carried:Holder.inner"]) as pool:
        assert copy_context().run(main, pool) == 7


@pytest.mark.usefixtures("expected_logs")
def test_they_go_with_a_call_that_is_sent_again(tmp_path: Path) -> None:
    """The second worker gets what the caller had when the call was handed in."""
    with LoopPool(1, backend="process", carry=NAMES) as pool:
        submit = pool.options(resubmits=1).submit
        future = as_user("ada", submit, _carried.look_or_die, str(tmp_path / "died"))

        assert future.result(PATIENCE) == "ada"


@pytest.mark.usefixtures("expected_logs")
def test_they_go_with_what_waits_for_the_replacement(tmp_path: Path) -> None:
    """A keyed call that was handed in while its worker was replaced has what its caller had then."""
    with LoopPool(1, backend="process", carry=NAMES) as pool:
        doomed = pool.submit(_carried.look_or_die, str(tmp_path / "died"))
        assert doomed.exception(PATIENCE) is not None
        keyed = as_user("ada", pool.options(key="k").submit, _carried.look)

        assert keyed.result(PATIENCE)[0] == "ada"


MAIN = """
from contextvars import ContextVar
from polyloop import LoopPool

user = ContextVar("user", default="nobody")

async def look():
    return user.get()

if __name__ == "__main__":
    {more}
    with LoopPool(1, backend="process", carry=[user{also}]) as pool:
        user.set("ada")
        print(pool.call(look))
"""


def test_a_variable_may_be_of_the_programs_main_module(tmp_path: Path) -> None:
    """A worker imports that too, under another name."""
    script = tmp_path / "program.py"
    script.write_text(MAIN.format(more="", also=""))

    assert run_python(script).output == "ada\n"


def test_a_variable_that_only_the_program_has_is_a_startup_error(tmp_path: Path) -> None:
    """What is made behind ``if __name__ == "__main__"`` no worker has; the error names it."""
    script = tmp_path / "program.py"
    script.write_text(MAIN.format(more="hidden = ContextVar('hidden')", also=", hidden"))

    ended = run_python(script)

    assert ended.status == 1
    assert f"{StartupError.__name__}: " in ended.errors
    assert "'__main__:hidden', and '__main__' has no 'hidden'" in ended.errors


def test_a_main_module_that_no_worker_can_import_is_refused() -> None:
    """As that of ``python -c`` or a notebook: the error says to use another module."""
    ended = run_python(MAIN.format(more="", also=""))

    assert ended.status == 1
    assert "'__main__:user', and another process cannot import" in ended.errors
    assert "in a module of its own" in ended.errors


# -- packing, by itself --------------------------------------------------------------------


@pytest.fixture
def packer() -> ContextPacker:
    """Packs the two variables."""
    return ContextPacker(find_variables(NAMES), "another process", is_by_value=False)


def call() -> Call:
    """A call of whoever calls this."""
    home: Any = None
    return Call(home, nothing, (), {}, copy_context())


def test_what_stays_the_same_is_packed_once(packer: ContextPacker) -> None:
    """Of constants by type the bytes are the very same; of what may have changed they are not."""

    def main(value: object) -> bool:
        _carried.user.set(value)
        first, second = (packer.add_to(call(), (0, (b"rest",), 4)) for _ in range(2))
        assert first[1][1:] == second[1][1:] == (b"rest",)
        return first[1][0] is second[1][0]

    constants: list[object] = ["ada", 10**6, None]
    others: list[object] = [["ada"], ("ada", []), {}]
    assert [Context().run(main, value) for value in constants] == [True] * 3
    assert [Context().run(main, value) for value in others] == [False] * 3


def test_what_stays_the_same_is_unpacked_once(monkeypatch: pytest.MonkeyPatch, packer: ContextPacker) -> None:
    """Each call has a context of its own nevertheless, and so has what may be changed."""
    unpacker = ContextUnpacker(find_variables(NAMES))
    unpacked: list[bytes] = []
    set_values = unpacker._set

    def spy(data: bytes) -> Any:
        unpacked.append(data)
        return set_values(data)

    monkeypatch.setattr(unpacker, "_set", spy)

    def main(value: Any) -> int:
        _carried.user.set(value)
        unpacked.clear()
        for _ in range(3):
            _, parts, _ = packer.add_to(call(), (0, (b"rest",), 4))
            context, rest = unpacker.take_from(memoryview(b"".join(parts)))
            assert (context.get(_carried.user), bytes(rest)) == (value, b"rest")
            context.run(_carried.user.set, "another")
        return len(unpacked)

    assert [Context().run(main, "ada"), Context().run(main, ["ada"])] == [1, 3]


def test_a_value_is_pickled_in_the_context_of_its_call(packer: ContextPacker) -> None:
    """Wherever that is done, what it looks up is what the call has."""

    def make() -> Call:
        _carried.user.set(_carried.Following())
        _carried.left_behind.set("the call's")
        return call()

    _, (packed, *_), _ = packer.add_to(Context().run(make), (0, (), 0))

    context, _ = ContextUnpacker(find_variables(NAMES)).take_from(memoryview(packed))
    assert context[_carried.left_behind] == "as the call's"


def test_together_they_must_fit_into_one_message(packer: ContextPacker) -> None:
    """A call that fits in by itself, and does not with its variables, is refused."""
    with pytest.raises(
        ValueError, match=r"the call of nothing\(\) has 536,870,9.* with its context variables"
    ):
        as_user("ada", lambda: packer.add_to(call(), (0, (), MOST_BYTES)))
