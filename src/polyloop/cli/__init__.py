"""The command line of polyloop: ``polyloop map``, ``polyloop demo``, ``polyloop doctor``.

It is built on the library's public API, and nothing in the library knows it. This module is all that is
imported when the libraries it is written with are missing, so it imports nothing but the standard library.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ._streams import fill_closed_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

WRONG_USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind ``polyloop``; None takes it from ``sys.argv``.

    Returns:
        The exit status.
    """
    fill_closed_streams()
    try:
        # Late, so that a missing library is told in a sentence.
        from ._app import run  # noqa: PLC0415

        return run(sys.argv[1:] if arguments is None else list(arguments))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"typer", "rich"}:
            raise
        print(
            f"polyloop: the command line needs {missing}, which is not installed; "
            "install it with: pip install 'polyloop[cli]'",
            file=sys.stderr,
        )
        return WRONG_USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
