"""Calls as bytes: functions arrive by their names or by value, as they are when they are handed in."""

from __future__ import annotations

import asyncio
import functools
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest

from polyloop import _packing
from tests._ends import Ends, over

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module that both ends can import."""
    module = types.ModuleType("a_module_of_the_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def define(module: types.ModuleType, code: str) -> None:
    """Run code in a module, as if it were its own."""
    exec(code, module.__dict__)


class Box:
    """Something whose methods are called elsewhere."""

    def __init__(self, value: int) -> None:
        self.value = value

    def method(self, more: int) -> int:
        """A bound one."""
        return self.value + more

    def __call__(self, more: int) -> int:
        """The object itself."""
        return self.value * more

    @staticmethod
    def static(more: int) -> int:
        """One that is a plain function with a dot in its name."""
        return 2 * more

    @classmethod
    def of_class(cls, more: int) -> str:
        """One of the class."""
        return cls.__name__ * more


class TestFunctions:
    """By name or by value."""

    def test_a_function_of_a_module_is_the_very_same_each_time(self) -> None:
        """By its name it is found at the other end, the first time and from memory."""
        ends = Ends()

        received = [ends.send(asyncio.sleep, 1, result=2), ends.send(asyncio.sleep, 3)]

        assert received == [
            (asyncio.sleep, (1,), {"result": 2}, None),
            (asyncio.sleep, (3,), {}, None),
        ]

    def test_the_name_of_a_task_comes_along(self) -> None:
        """With arguments and without."""
        ends = Ends()

        for args in ((), (1,)):
            packed = ends.packer.pack_call(asyncio.sleep, args, {}, "a name")
            assert ends.receive(packed) == (asyncio.sleep, args, {}, "a name")

    def test_a_closure_is_sent_as_it_is_at_each_call(self) -> None:
        """It is never remembered: what it refers to may be another thing with the next call."""
        ends = Ends()
        value = 1

        def closure() -> int:
            return value

        first, *_ = ends.send(closure)
        value = 2
        second, *_ = ends.send(closure)

        assert (first(), second()) == (1, 2)

    def test_a_lambda_is_sent_as_it_is_at_each_call(self) -> None:
        """One that refers to something that changes, as closures do."""
        ends = Ends()
        values = [1]
        function = lambda: list(values)  # noqa: E731 - a lambda is the subject

        assert ends.result(function) == [1]
        values.append(2)
        assert ends.result(function) == [1, 2]

    @pytest.mark.parametrize(
        ("function", "result"),
        [
            (Box(3).method, 5),
            (Box(3), 6),
            (Box.static, 4),
            (Box.of_class, "BoxBox"),
            (functools.partial(Box(3).method), 5),
            (functools.partial(divmod, 7), (3, 1)),
        ],
        ids=["bound method", "instance", "static method", "class method", "partial", "partial of a builtin"],
    )
    def test_what_else_can_be_called(self, function: Callable[..., Any], result: object) -> None:
        """It is called at the other end with what it is bound to."""
        ends = Ends()

        assert ends.result(function, 2) == result
        assert ends.result(function, 2) == result

    def test_what_a_call_is_bound_to_is_sent_each_time(self) -> None:
        """A method is as its object is when it is handed in."""
        ends = Ends()
        box = Box(1)
        method = box.method

        first = ends.result(method, 1)
        box.value = 10

        assert (first, ends.result(method, 1), ends.result(box, 1)) == (2, 11, 10)

    def test_a_local_class_crosses_and_stays_the_same_class(self) -> None:
        """What comes back of it is an instance of the class that was sent."""

        class Local:
            value = 5

        def made() -> Local:
            return Local()

        assert over(Ends().result(made)).value == 5
        assert isinstance(over(Ends().result(made)), Local)

    def test_a_decorated_function_goes_by_its_name(self, module: types.ModuleType) -> None:
        """The name means what the module has under it, which is what the decorator returned."""
        define(
            module,
            "import functools\n"
            "def twice(fn):\n"
            "    @functools.wraps(fn)\n"
            "    def wrapper(n): return 2 * fn(n)\n"
            "    return wrapper\n"
            "@twice\n"
            "def f(n): return n + 1\n",
        )
        ends = Ends()

        for _ in range(2):
            assert ends.send(module.f)[0] is module.f
            assert (
                ends.result(vars(module.f)["__wrapped__"], 1) == 2
            )  # what it wraps has its name, but is not it


class TestReplaced:
    """Names that mean something else after a while."""

    def test_a_function_that_is_replaced_at_the_other_end(self, module: types.ModuleType) -> None:
        """The name means what it means there when the call arrives, as without any memory."""
        define(module, "def f(): return 1")
        ends = Ends()
        call = ends.packer.pack_call(module.f, (), {}, None)
        first, *_ = ends.receive(call)
        again, *_ = ends.receive(call)

        define(module, "def f(): return 2")
        replaced, *_ = ends.receive(call)

        assert (first(), again(), replaced()) == (1, 1, 2)

    def test_a_function_that_is_replaced_here(self, module: types.ModuleType) -> None:
        """What is handed in after that is the new one, and it is that which arrives."""
        define(module, "def f(): return 1")
        ends = Ends()
        assert ends.result(module.f) == 1

        define(module, "def f(): return 2")

        assert ends.result(module.f) == 2

    def test_a_replacement_that_has_no_name_of_its_own(
        self, module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As of a test that patches a module: it is sent by value."""
        define(module, "def f(): return 1")
        ends = Ends()
        ends.send(module.f)

        monkeypatch.setattr(module, "f", lambda: 3)

        assert ends.result(module.f) == 3

    def test_a_method_that_is_replaced(self, module: types.ModuleType) -> None:
        """A name with a dot in it is looked up each time."""
        define(module, "class Box:\n    @staticmethod\n    def f(): return 1\n")
        ends = Ends()
        call = ends.packer.pack_call(module.Box.f, (), {}, None)
        assert ends.receive(call)[0]() == 1

        define(module, "class Box:\n    @staticmethod\n    def f(): return 2\n")

        assert ends.receive(call)[0]() == 2

    def test_few_functions_are_remembered(
        self, module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A program that makes functions all the time does not fill the memory of either end."""
        monkeypatch.setattr(_packing, "MOST_FUNCTIONS", 4)
        ends = Ends()

        for number in range(20):
            define(module, f"def f{number}(): return {number}")
            assert ends.result(getattr(module, f"f{number}")) == number
            assert len(ends.packer._bare) <= 4
            assert len(ends.unpacker._functions) <= 4


class TestMain:
    """Functions of the main module."""

    @pytest.fixture
    def main(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        """A main module, for a while."""
        main = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", main)
        define(main, "limit = 1\ndef f(): return limit\n")
        return main

    def test_by_name_where_it_can_be_imported(self, main: types.ModuleType) -> None:
        """It is the function of that name there."""
        assert Ends().send(main.f)[0] is main.f

    def test_by_value_where_it_cannot(self, main: types.ModuleType) -> None:
        """A notebook's function is as it is at each call, with the globals that it uses."""
        ends = Ends(is_by_value=True)

        first, *_ = ends.send(main.f)
        main.limit = 2  # type: ignore[attr-defined]  # it was defined in a string
        second, *_ = ends.send(main.f)

        assert first is not main.f
        assert (first(), second()) == (1, 2)

    def test_arguments_too(self, main: types.ModuleType) -> None:
        """A function or an instance of a class of the main module, as an argument."""
        define(main, "class C:\n    def __init__(self): self.n = 7\n    def get(self): return self.n\n")
        ends = Ends(is_by_value=True)
        _, (function, instance), _, _ = ends.send(asyncio.gather, main.f, main.C())
        del main.f, main.C

        assert (function(), instance.get()) == (1, 7)
