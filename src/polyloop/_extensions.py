"""Extension modules that CPython does not load in a sub-interpreter: which, and how to say it.

Only modules that say that they can live in several interpreters with a GIL each are loaded there
(``Py_MOD_PER_INTERPRETER_GIL_SUPPORTED``, PEP 684). What imports another one gets an ImportError.
"""

from __future__ import annotations

import re
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Extension", "explain", "loaded_extensions"]

Extension: TypeAlias = tuple[str, str]
"""The name of an extension module and its file."""

# CPython's words: it has no class of errors for this.
_REFUSAL = re.compile(r"module (\S+) does not support loading in subinterpreters")


def loaded_extensions() -> list[Extension]:
    """Those that this interpreter has loaded."""
    return [
        (name, spec.loader.path)
        for name, module in list(sys.modules.items())
        if isinstance(spec := getattr(module, "__spec__", None), ModuleSpec)
        and isinstance(spec.loader, ExtensionFileLoader)
    ]


def explain(error: BaseException, extensions: Iterable[Extension]) -> BaseException:
    """An error that says more, if `error` is about a module that this sub-interpreter does not load.

    Args:
        error: What importing something has raised.
        extensions: Those that the program has loaded, in its main interpreter.
    """
    name = _refused(error)
    if name is None:
        return error
    others = [other for other in _refused_of(extensions) if other != name]
    program = f" (of what the program has loaded, so are: {', '.join(others)})" if others else ""
    explained = ImportError(
        f"the extension module {name} is not made for sub-interpreters{program}, and what was to run needs "
        "it; use backend='process' or 'thread', or import it only in what does not run on the pool",
        name=name,
    )
    explained.__cause__ = error
    return explained


def _refused(error: BaseException | None) -> str | None:
    """The module whose refusal `error` comes from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ImportError) and (found := _REFUSAL.search(str(error))):
            return found[1]
        error = error.__cause__ or error.__context__
    return None


def _refused_of(extensions: Iterable[Extension]) -> list[str]:
    """Those that are refused. They are not imported: nothing of them runs that had not run before."""
    refused: list[str] = []
    for name, path in extensions:
        loader = ExtensionFileLoader(name, path)
        try:
            loader.create_module(ModuleSpec(name, loader, origin=path))
        except ImportError as error:
            if _refused(error) is not None:
                refused.append(name)
    return sorted(refused)
