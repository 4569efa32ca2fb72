"""The error of whoever typed the command, as opposed to an error of their function or of ours."""

from __future__ import annotations

__all__ = ["WrongUsage"]


class WrongUsage(Exception):
    """What was asked for cannot be done; the message is one sentence that says why and what to do.

    The command prints it and exits with status 2.
    """
