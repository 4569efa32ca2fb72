"""Where the steps of a model check are: the bytecodes that can touch what threads share, and what they touch.

These cannot: locals, constants, jumps, loads of attributes that the package stores in constructors only,
looks into constants, calls of globals without arguments, which are clocks and constructors, and calls
into code whose own steps are told apart.
"""

from __future__ import annotations

import dis
import functools
import re
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple

import polyloop

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from types import ModuleType

__all__ = ["ANYTHING", "MODEL", "RETURN", "Steps", "Touch", "codes_of", "is_conflict"]

PACKAGE = Path(polyloop.__file__).parent


class Touch(NamedTuple):
    """What a step may touch: the attribute of this name, of whatever object."""

    name: str
    is_store: bool


ANYTHING = Touch("anything", True)
# What belongs to the model: its locks and other doubles, and what it writes down.
MODEL = Touch("the model's", True)
# What is in containers, whichever.
CONTENTS = Touch("contents", True)
# The same as ANYTHING where it leads back to code whose steps are not told apart; elsewhere no step.
RETURN = Touch("return", True)


def is_conflict(one: Touch, other: Touch) -> bool:
    """Whether it can make a difference which of two steps comes first."""
    if one is ANYTHING or other is ANYTHING:
        return True
    return one.name == other.name and (one.is_store or other.is_store)


# Bytecodes that touch nothing shared, by the beginning of their names. Any that is listed nowhere is a
# step: one that a new Python brings at worst makes the search longer.
_LOCAL = (
    "BINARY_OP", "BUILD", "CACHE", "CHECK", "CLEANUP", "COMPARE_OP", "CONVERT", "COPY", "DELETE_FAST",
    "END", "EXTENDED", "FORMAT", "GEN", "GET_AWAITABLE", "GET_ITER", "GET_YIELD", "IS_OP",
    "JUMP_BACKWARD", "JUMP_FORWARD", "KW_NAMES", "LIST_APPEND", "LOAD_ASSERT", "LOAD_BUILD",
    "LOAD_CLOSURE", "LOAD_COMMON", "LOAD_CONST", "LOAD_DEREF", "LOAD_FAST", "LOAD_GLOBAL",
    "LOAD_SMALL_INT", "LOAD_SPECIAL", "MAKE", "NOP", "NOT_TAKEN", "POP", "PRECALL", "PUSH",
    "RESUME", "SEND", "STORE_FAST", "SWAP", "UNARY_NEG", "UNPACK",
)  # fmt: skip
_OTHERS = (
    (_LOCAL, None),
    (("RETURN", "YIELD"), RETURN),
    # Into and out of locks, and blocks of contextlib.suppress().
    (("BEFORE_WITH", "WITH_EXCEPT_START"), MODEL),
)
_TRUTH_TESTS = ("TO_BOOL", "UNARY_NOT", "POP_JUMP", "JUMP_IF")
_ANSWERS = ("CALL", "COMPARE_OP", "IS_OP", "CONTAINS_OP", *_TRUTH_TESTS)
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")
_LOOKS = ("FOR_ITER", "CONTAINS_OP", "BINARY_SUBSCR", "STORE_SUBSCR", "LIST_EXTEND")
# Of deques, lists and sets. An error of theirs is caught where they are called.
_CONTAINER_METHODS = frozenset({"append", "appendleft", "discard", "extend", "popleft", "remove"})


class Steps:
    """Finds the steps in the code of some modules.

    Args:
        modules: Those whose steps are told apart.
        private: Attributes that only one thread ever uses, though several objects or threads have them.
    """

    def __init__(self, modules: Sequence[ModuleType], private: Collection[str]) -> None:
        self._private = frozenset(private)
        names = _names_of_package()
        own = {code.co_name for module in modules for code in codes_of(module)}
        self._stored = names.stored
        self._own_functions = own & (names.functions - names.stored)
        self._foreign_properties = names.properties - own
        self._constants = {
            name
            for module in modules
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, (frozenset, tuple, str))
        }

    def of(self, code: CodeType) -> dict[int, Touch]:
        """Where in `code` the steps begin, and what they touch."""
        steps: dict[int, Touch] = {}
        before: list[dis.Instruction] = []
        for instruction in dis.get_instructions(code):
            if instruction.opname in {"CACHE", "PRECALL"}:
                continue
            if instruction.opname != "PUSH_NULL" and instruction.argval not in self._private:
                touch = self._touch(instruction, before, steps)
                if touch is not None:
                    steps[instruction.offset] = touch
            before.append(instruction)
        return steps

    def _touch(
        self, instruction: dis.Instruction, before: list[dis.Instruction], steps: dict[int, Touch]
    ) -> Touch | None:
        """What an instruction touches, if it is a step."""
        name = instruction.opname
        last = next((one for one in reversed(before) if one.opname != "PUSH_NULL"), instruction)
        if name == "CALL":
            return self._call(instruction, before)
        if name.startswith(_ATTRIBUTES):
            return self._load(instruction.argval)
        if name.startswith(_TRUTH_TESTS) and "NONE" not in name:
            # Whether a container is empty is looked up; a flag, an answer or a comparison is there already.
            is_there = last.offset in steps or last.opname.startswith(_ANSWERS)
            return None if is_there or last.argval in self._private else CONTENTS
        if name.startswith(_LOOKS) or "[" in instruction.argrepr:  # a subscript, since 3.14
            return None if last.argval in self._constants else CONTENTS
        if name == "STORE_ATTR":
            return Touch(instruction.argval, is_store=True)
        return next((touch for names, touch in _OTHERS if name.startswith(names)), ANYTHING)

    def _load(self, attribute: str) -> Touch | None:
        if attribute in self._foreign_properties:
            return ANYTHING
        return Touch(attribute, is_store=False) if attribute in self._stored else None

    def _call(self, call: dis.Instruction, before: list[dis.Instruction]) -> Touch | None:
        """What a call touches before there is a step in what is called."""
        loads = _loads(call, before)
        if loads is None:
            return ANYTHING
        receiver, callee, argument = loads
        name = callee.argval
        if callee.opname == "LOAD_GLOBAL":
            return None if not call.arg or name == "cast" else ANYTHING
        if name in self._private or (receiver.argval == "self" and name in self._own_functions):
            return None
        if name == "setdefault" and argument.opname == "LOAD_CONST":
            return Touch(argument.argval, is_store=True)
        if callee.opname == "LOAD_CONST" and argument.opname == "LOAD_CONST":  # the end of a `with`
            return MODEL
        return CONTENTS if name in _CONTAINER_METHODS else ANYTHING


def _loads(
    call: dis.Instruction, before: list[dis.Instruction]
) -> tuple[dis.Instruction, dis.Instruction, dis.Instruction] | None:
    """What comes before the load of the function that is called, that load, and what comes after it."""
    depth = call.arg or 0
    for index in range(len(before) - 1, 0, -1):
        callee = before[index]
        if depth == 0 and callee.opname != "PUSH_NULL":
            return before[index - 1], callee, before[index + 1] if call.arg else call
        if depth < 0 or "JUMP" in callee.opname or callee.is_jump_target:
            break
        depth -= _effect(callee)
    return None


def _effect(instruction: dis.Instruction) -> int:
    if instruction.opname == "CALL":
        return -1 - (instruction.arg or 0)  # on 3.11 a part of it is PRECALL's
    return dis.stack_effect(instruction.opcode, instruction.arg, jump=False)


class _Names(NamedTuple):
    """What names mean in the code of the package."""

    stored: frozenset[str]
    functions: frozenset[str]
    properties: frozenset[str]


@functools.cache
def _names_of_package() -> _Names:
    # polyloop.testing has doubles only, whose attributes are their own.
    sources = {file: file.read_text() for file in PACKAGE.rglob("*.py") if file.name != "testing.py"}
    codes = [code for file in sources for code in _functions_of(compile(sources[file], str(file), "exec"))]
    instructions = [instruction for code in codes for instruction in dis.get_instructions(code)]
    functions = frozenset(code.co_name for code in codes)
    # Attributes are also stored under names in strings.
    strings = frozenset(str(one.argval) for one in instructions if one.opname == "LOAD_CONST") - functions
    stored = frozenset(one.argval for one in instructions if one.opname in {"STORE_ATTR", "DELETE_ATTR"})
    properties = re.findall(r"@property\n\s+def (\w+)", "\n".join(sources.values()))
    return _Names(stored | strings, functions, frozenset(properties))


def codes_of(module: ModuleType) -> Iterator[CodeType]:
    """The code of all functions that a module has now, patched ones included."""
    owners = [module, *(value for value in vars(module).values() if isinstance(value, type))]
    for value in [value for owner in owners for value in vars(owner).values()]:
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
            yield from _functions_of(function.__code__)


def _functions_of(code: CodeType) -> Iterator[CodeType]:
    if code.co_name != "__init__":
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _functions_of(constant)
