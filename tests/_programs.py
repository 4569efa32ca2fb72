"""Runs a Python file as the program it is: in a process of its own, with warnings as errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LIMIT", "run_program"]

LIMIT = 60.0
"""How long a program may run, in seconds."""


def run_program(script: Path, *, folder: Path, limit: float = LIMIT) -> None:
    """Run `script` in `folder`, and fail the test with its output if it fails or takes too long.

    Nothing that the program started outlives it.
    """
    command = [sys.executable, "-W", "error", "-X", "faulthandler", str(script)]
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, so that it can be ended as a whole
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
            verdict = f"ended with status {process.returncode}"
        except subprocess.TimeoutExpired:
            output = _abort(process)
            verdict = f"still ran after {limit:g} s"
        finally:
            _kill_group(process.pid)
    if process.returncode != 0:
        pytest.fail(f"{script.name} {verdict}; its output:\n{output}", pytrace=False)


def _abort(process: subprocess.Popen[str]) -> str:
    # faulthandler answers this signal with the stacks of all threads.
    process.send_signal(signal.SIGABRT)
    try:
        output, _ = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        # Either it is stuck beyond help or a child of it holds the pipe open.
        _kill_group(process.pid)
        output, _ = process.communicate()
    return output


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # as it should be: everything has ended by itself
