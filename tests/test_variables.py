"""Which context variables a pool's user means: each is found, or refused when the pool is made."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import pytest

from polyloop import LoopPool
from polyloop._variables import find_variable, find_variables
from tests import _carried

NAME = "tests._carried:user"


def test_a_variable_is_found_by_its_name() -> None:
    """A name is that of a module, and what it has in there."""
    found = find_variable(NAME)

    assert (found.name, found.itself) == (NAME, _carried.user)


def test_a_name_may_lead_into_a_class() -> None:
    """What is behind the colon may have dots."""
    assert find_variable("tests._carried:Holder.inner").itself is _carried.Holder.inner


def test_a_variable_itself_is_found_in_the_module_that_made_it() -> None:
    """Where others have imported it does not count: a worker need not import those."""
    assert [variable.name for variable in find_variables([_carried.user])] == [NAME]


def test_what_is_named_twice_travels_once() -> None:
    """By its name and itself it is the same one."""
    assert len(find_variables([_carried.user, NAME, _carried.settings])) == 2


def test_the_main_module_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has imported may be behind its ``if __name__``; only what nobody else has is found there."""
    alone: ContextVar[int] = ContextVar("alone")
    main = ModuleType("__main__")
    vars(main).update(user=_carried.user, alone=alone)
    others = {name: module for name, module in sys.modules.items() if name != "__main__"}
    monkeypatch.setattr(sys, "modules", {"__main__": main, **others})

    assert [variable.name for variable in find_variables([_carried.user, alone])] == [NAME, "__main__:alone"]


def test_what_makes_its_attributes_is_not_asked_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are looked into, not asked, for that may import anything; what is none is passed over."""

    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    monkeypatch.setitem(sys.modules, "a_lazy_one", Lazy("a_lazy_one"))
    odd: Any = object()
    monkeypatch.setitem(sys.modules, "an_odd_one", odd)

    with pytest.raises(ValueError, match="no module has under any name"):
        find_variables([ContextVar("lost")])


@pytest.mark.parametrize(
    ("carry", "error", "says"),
    [
        (["no_such_module:user"], ValueError, "'no_such_module' cannot be imported: ModuleNotFoundError"),
        (["tests._carried:nobody"], ValueError, "'tests._carried' has no 'nobody'"),
        (["tests._carried.user"], ValueError, "as in 'module:attribute', and 'tests._carried.user' is not"),
        ([":user"], ValueError, "':user' is not one"),
        (["tests._carried:"], ValueError, "'tests._carried:' is not one"),
        (["tests._carried:no_variable"], TypeError, "which is no context variable but 'a string'"),
        ([ContextVar("local")], ValueError, "<ContextVar name='local'.*at the level of a module"),
        ([42], TypeError, "takes names, as in 'module:attribute', and context variables, not 42"),
        ("tests._carried:user", TypeError, r"takes a list .* carry=\['tests._carried:user'\]"),
        (_carried.user, TypeError, r"takes a list .* carry=\[user\]"),
    ],
)
@pytest.mark.backends("thread", "process", why="to the others it is what processes are")
def test_what_cannot_be_found_is_refused_when_the_pool_is_made(
    carry: Any, error: type[Exception], says: str, backend: Any
) -> None:
    """The error says what of it is wrong, on threads too, where nothing is done with it."""
    with pytest.raises(error, match=says):
        LoopPool(1, backend=backend, carry=carry)


def test_threads_have_the_whole_context_anyway() -> None:
    """There carry= changes nothing, and the values are the very objects."""
    value = {"a": object()}
    token = _carried.settings.set(value)
    try:
        with LoopPool(1, carry=[_carried.user]) as pool:
            assert pool.call(_carried.look)[1] is value
    finally:
        _carried.settings.reset(token)
