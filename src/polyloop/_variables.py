"""The context variables that a pool's calls take along to where no memory is shared, by their names.

A ``ContextVar`` cannot be pickled. So each side finds its own under the name that it has in a module. This
is only the finding: what becomes of the values is the business of `polyloop._carry`.
"""

from __future__ import annotations

import functools
import importlib
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Variable", "find_variable", "find_variables"]

# Of the program itself, here and in a worker that has imported it.
_MAIN = ("__main__", "__mp_main__")


@dataclass(frozen=True, slots=True)
class Variable:
    """A context variable, and where each side finds it.

    Attributes:
        name: That, as in ``"app.context:user"``.
        itself: The one of this side.
    """

    name: str
    itself: ContextVar[Any]

    @property
    def is_of_main(self) -> bool:
        """Whether it is found in the program's main module."""
        return self.name.partition(":")[0] in _MAIN


def find_variables(carry: Iterable[str | ContextVar[Any]]) -> tuple[Variable, ...]:
    """The variables that a user has named, each of them once.

    Args:
        carry: Their names, or themselves.

    Raises:
        TypeError: That is something else.
        ValueError: There is none of that name.
    """
    if isinstance(carry, str | ContextVar):
        raise TypeError(f"carry= takes a list of context variables, as in carry=[{_shown(carry)}]")
    found: dict[ContextVar[Any], Variable] = {}
    for one in carry:
        variable = Variable(_name_of(one), one) if isinstance(one, ContextVar) else find_variable(one)
        found.setdefault(variable.itself, variable)
    return tuple(found.values())


def find_variable(name: str) -> Variable:
    """The variable of that name, whose module is imported if need be.

    Raises:
        TypeError: It is no context variable, or `name` is no string.
        ValueError: There is nothing of that name.
    """
    if not isinstance(cast("object", name), str):
        raise TypeError(f"carry= takes names, as in 'module:attribute', and context variables, not {name!r}")
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise ValueError(f"carry= takes names as in 'module:attribute', and {name!r} is not one")
    try:
        place = importlib.import_module(module)
    except Exception as error:
        raise ValueError(
            f"carry= names {name!r}, and {module!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        itself: object = functools.reduce(getattr, attribute.split("."), cast("Any", place))
    except AttributeError as error:
        raise ValueError(f"carry= names {name!r}, and {module!r} has no {attribute!r}") from error
    if not isinstance(itself, ContextVar):
        raise TypeError(f"carry= names {name!r}, which is no context variable but {itself!r:.200}")
    return Variable(name, cast("Any", itself))


def _name_of(itself: ContextVar[Any]) -> str:
    """The name of a variable.

    Modules are listed in the order in which their imports have ended. So the first one that has it is the one
    that made it, and the others have it from there. But for the main module: what that has imported may be
    behind its ``if __name__ == "__main__"``, so that the others do not find it there.

    Raises:
        ValueError: It has none.
    """
    modules: list[tuple[str, object]] = list(sys.modules.items())
    modules.sort(key=lambda item: item[0] in _MAIN)
    for name, module in modules:
        # There may be anything. And not getattr(): a module may make what it is asked for.
        names = vars(module) if isinstance(module, ModuleType) else {}
        for attribute, value in list(names.items()):
            if value is itself:
                return f"{name}:{attribute}"
    raise ValueError(
        f"carry= has {itself!r}, which no module has under any name, so that workers cannot find theirs; "
        "make it at the level of a module"
    )


def _shown(one: object) -> str:
    return repr(one) if isinstance(one, str) else cast("ContextVar[Any]", one).name
