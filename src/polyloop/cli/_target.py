"""From ``MODULE:FUNCTION`` to the coroutine function.

Names only, never code and never a path: what is typed here is imported and looked up, not evaluated.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import ModuleType

__all__ = ["load_target"]

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


Target: TypeAlias = "Callable[..., Awaitable[Any]]"


def load_target(target: str, app_dir: Path) -> Target:
    """Import the module and find the coroutine function in it.

    Args:
        target: As in ``package.module:function``; the function may be ``Class.method``.
        app_dir: Put at the end of ``sys.path``, so that no file in it hides an installed module.

    Raises:
        WrongUsage: There is no such thing, or it is not a coroutine function.
    """
    if not TARGET.fullmatch(target):
        raise WrongUsage(f"{target!r} does not name a function; write MODULE:FUNCTION, as in crawl:fetch")
    if not app_dir.is_dir():
        raise WrongUsage(f"--app-dir {str(app_dir)!r} is not a directory")
    folder = str(app_dir.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    module_name, _, path = target.partition(":")
    module = _imported(module_name, folder)
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            origin = getattr(module, "__file__", None) or "built in"
            raise WrongUsage(f"the module {module_name} ({origin}) has no {path}") from None
    _check(found, target)
    return cast("Target", found)


def _imported(name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise WrongUsage(
                f"there is no module {name} in {folder} or among the installed packages; "
                "--app-dir names the directory to look in"
            ) from None
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:
        # Whatever the user's module raises: it is told, and nothing has been begun.
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: BaseException) -> WrongUsage:
    # The innermost place in the user's code. A syntax error has none there, and says itself where it is.
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file not in {__file__, importlib.__file__} and not file.startswith("<frozen"):
            place = f" ({file}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return WrongUsage(f"the module {name} could not be imported: {type(error).__name__}: {error}{place}")


def _check(found: Any, target: str) -> None:
    call = type(found).__call__ if callable(found) else None
    if inspect.isclass(found):
        kind = "a class"
    elif inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(call):
        return
    elif inspect.isasyncgenfunction(found) or inspect.isasyncgenfunction(call):
        kind = "an async generator function, and has many results"
    elif callable(found):
        kind = "a plain function, which would block the loop"
    else:
        kind = f"of type {type(found).__name__}"
    raise WrongUsage(f"{target} is {kind}; polyloop map needs a coroutine function, as `async def` makes one")
