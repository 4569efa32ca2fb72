"""Where the steps of a model check are: the bytecodes that can touch what threads share.

These cannot: locals, constants, jumps, loads of attributes that the package stores in constructors only,
and calls of globals without arguments, which are clocks and constructors.
"""

from __future__ import annotations

import dis
import functools
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import polyloop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["PACKAGE", "codes_of", "steps_of"]

PACKAGE = Path(polyloop.__file__).parent

# Bytecodes that touch nothing shared, by the beginning of their names. Any that is not listed is a
# step: one that a new Python brings at worst makes the search longer.
_LOCAL = (
    "BINARY_OP", "BUILD", "CACHE", "CHECK", "CLEANUP", "COMPARE_OP", "CONVERT", "COPY", "DELETE_FAST",
    "END", "EXTENDED", "FORMAT", "GEN", "GET_AWAITABLE", "GET_ITER", "GET_YIELD", "IS_OP",
    "JUMP_BACKWARD", "JUMP_FORWARD", "KW_NAMES", "LIST_APPEND", "LOAD_ASSERT", "LOAD_BUILD",
    "LOAD_CLOSURE", "LOAD_COMMON", "LOAD_CONST", "LOAD_DEREF", "LOAD_FAST", "LOAD_GLOBAL",
    "LOAD_SMALL_INT", "LOAD_SPECIAL", "MAKE", "NOP", "NOT_TAKEN", "POP", "PRECALL", "PUSH", "RERAISE",
    "RESUME", "RETURN", "SEND", "STORE_FAST", "SWAP", "UNARY_NEG", "UNPACK", "YIELD",
)  # fmt: skip
_TRUTH_TESTS = ("TO_BOOL", "UNARY_NOT", "POP_JUMP", "JUMP_IF")
_COMPARISONS = ("COMPARE_OP", "IS_OP", "CONTAINS_OP", *_TRUTH_TESTS)
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR")


def steps_of(code: CodeType, private: frozenset[str]) -> frozenset[int]:
    """Where in `code` the steps begin."""
    steps: set[int] = set()
    before: dis.Instruction | None = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"CACHE", "PRECALL", "PUSH_NULL"}:
            continue
        follows_step = before is not None and before.offset in steps
        if instruction.argval not in private and _is_step(instruction, before, follows_step):
            steps.add(instruction.offset)
        before = instruction
    return frozenset(steps)


def _is_step(instruction: dis.Instruction, before: dis.Instruction | None, follows_step: bool) -> bool:
    name = instruction.opname
    before_name = before.opname if before is not None else ""
    if name.startswith(_TRUTH_TESTS) and "NONE" not in name:
        # Whether a container is empty is looked up; a flag or a comparison is there already.
        return not follows_step and not before_name.startswith(_COMPARISONS)
    if name.startswith(_ATTRIBUTES):
        return instruction.argval in _changing_attributes()
    if name == "CALL" and not instruction.arg:
        return before_name != "LOAD_GLOBAL"
    if name == "BINARY_OP":
        return "[" in instruction.argrepr  # a subscript, since 3.14
    return not name.startswith(_LOCAL)


@functools.cache
def _changing_attributes() -> frozenset[str]:
    """The attributes that some code of the package stores outside a constructor, or names in a string."""
    return frozenset(
        str(instruction.argval)
        for file in PACKAGE.rglob("*.py")
        for code in _functions_of(compile(file.read_text(), str(file), "exec"))
        for instruction in dis.get_instructions(code)
        if instruction.opname in {"STORE_ATTR", "DELETE_ATTR", "LOAD_CONST"}
    )


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
