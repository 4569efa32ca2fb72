"""The program's main module, which workers elsewhere import: what is called there may be of it."""

from __future__ import annotations

import sys
from multiprocessing import process, spawn
from pathlib import Path
from typing import Any

__all__ = ["can_be_imported", "import_it", "main_module"]


ADVICE = (
    "the workers of a pool import this program, and it opens a pool when it is imported; let it do that only "
    'when it is run, under  if __name__ == "__main__":'
)


class _Unguarded(RuntimeError):
    """The main module opens a pool while a worker imports it."""


def can_be_imported() -> bool:
    """Whether workers can import it: not that of a notebook, say, or of ``python -c``."""
    # What multiprocessing's spawn looks at. It is not asked, for it raises where the main module is being
    # imported in a worker, and to make a pool there is no harm: only to open it is.
    main = sys.modules["__main__"]
    if getattr(main.__spec__, "name", None) is not None:
        return True
    # A program that is piped into the interpreter says that its file is "<stdin>".
    return Path(getattr(main, "__file__", None) or "<none>").exists()


def main_module(name: str) -> dict[str, Any]:
    """How a worker gets at it: for `import_it`.

    Args:
        name: The worker's name.

    Raises:
        RuntimeError: It is being imported by a worker, just now.
    """
    if getattr(process.current_process(), "_inheriting", False):
        raise _Unguarded(ADVICE)
    preparation = spawn.get_preparation_data(name)
    preparation.pop("authkey", None)  # for processes that multiprocessing starts
    if not can_be_imported():
        preparation.pop("init_main_from_path", None)
    return preparation


def import_it(preparation: dict[str, Any]) -> None:
    """Import it under another name, as multiprocessing does.

    Raises:
        RuntimeError: It opens a pool.
    """
    current = process.current_process()
    # By this multiprocessing knows a main module that starts processes while it is imported, as we do.
    current._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(preparation)
    except Exception as error:
        if _is_of_this(error):
            raise RuntimeError(ADVICE) from None  # with how it came about it fills a screen
        raise
    finally:
        del current._inheriting  # type: ignore[attr-defined]


def _is_of_this(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, _Unguarded):
        error = error.__cause__ or error.__context__
    return error is not None
