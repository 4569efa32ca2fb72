"""Starting and ending the process that serves the demo's pages."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["pages_server"]

PATIENCE = 5.0
"""Seconds that the server has to end."""


@contextmanager
def pages_server() -> Generator[str]:
    """A web server on loopback in a process of its own, for as long as the block lasts; gives its address.

    Raises:
        WrongUsage: It did not come up.
    """
    # By path and with -P: neither the current directory nor this one is searched for modules.
    command = [sys.executable, "-P", str(Path(__file__).with_name("_pages.py"))]
    with subprocess.Popen(  # noqa: S603 - our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise WrongUsage("the demo's web server did not start; what it said is above")
            yield address
        finally:
            process.stdin.close()  # which tells it to end
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
