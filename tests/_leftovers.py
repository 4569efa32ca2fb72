"""What a whole run of tests may leave behind: no process that nobody waits for, and no temporary file.

`tests._leaks` looks at this process after each test; this looks, once, for what has got out of its sight.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import _leaks
from tests._scorecard import report

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["no_leftovers"]

# In the environment of everything that tests start; the value is the run's own.
MARK = "POLYLOOP_TEST_RUN"


@pytest.fixture(scope="session", autouse=True)
def no_leftovers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run if a process outlives it, or a file is left in the folder of temporary files.

    It also puts into the scorecard how many tests have ended with nothing left.
    """
    tmp_path_factory.getbasetemp()  # made while temporary files are where they always are: it stays
    with tempfile.TemporaryDirectory(prefix="pl-") as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o711)  # PostgreSQL refuses to run as root, and has to get to its folder in here
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)  # so that it is looked up anew
        patch.setenv(MARK, folder)
        yield
        files = sorted(entry.name for entry in Path(folder).iterdir())
        processes = _outliving(folder)
    where = ", ".join(Path(argument).name for argument in pytestconfig.args)
    for backend in sorted({backend for backend, _ in _leaks.verdicts}):
        clean, failed = _leaks.verdicts[backend, True], _leaks.verdicts[backend, False]
        figure = (
            f"{clean:,} of {clean + failed:,} tests ({where}) left no thread, descriptor or child process"
        )
        report(20, figure, backend=backend)
    report(20, f"{len(processes)} processes and {len(files)} temporary files after all ({where})", backend="")
    assert not processes
    assert not files


def _outliving(run: str) -> list[str]:
    """The processes of this run that are still there, once what is just ending has had the time to end."""
    deadline = time.monotonic() + _leaks.PATIENCE
    while (found := _of_run(f"{MARK}={run}".encode())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _of_run(mark: bytes) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and entry.name != str(os.getpid()):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended since, or is somebody else's
    return found
