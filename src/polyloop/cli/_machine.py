"""What this Python and this machine offer, found out without changing anything.

Facts only; what to make of them is `_doctor`'s.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from .._cpus import is_gil_enabled
from ._ray_choice import ray_choice

__all__ = [
    "Choice",
    "backends",
    "event_loops",
    "extension_modules",
    "gil",
    "has_wal_reset_bug",
    "is_free_threaded",
    "python",
]

UVLOOP_FREE_THREADED = (0, 23)
INTERPRETERS_SINCE = (3, 14)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that one can choose.

    Attributes:
        name: As it is written in code.
        is_usable: Whether it works here and now.
        remark: Why not, or what it is.
    """

    name: str
    is_usable: bool
    remark: str


def python() -> str:
    """As in ``CPython 3.13.1, free-threaded build``."""
    kind = ", free-threaded build" if is_free_threaded() else ""
    return f"{platform.python_implementation()} {platform.python_version()}{kind}"


def gil() -> str:
    """Whether threads take turns, and what made them if it is not the build."""
    if not is_gil_enabled():
        return "off: threads run in parallel"
    if not is_free_threaded():
        return "on: threads take turns, as in every build that is not free-threaded"
    options = sys._xoptions  # pyright: ignore[reportPrivateUsage]  # documented, for all its name
    if options.get("gil") == "1" or os.environ.get("PYTHON_GIL") == "1":
        return "switched back on, by PYTHON_GIL=1 or -X gil=1"
    suspects = ", ".join(extension_modules()) or "none that is loaded now"
    return f"switched back on, by an extension module that needs it; suspects: {suspects}"


def extension_modules() -> list[str]:
    """Packages with C code that are loaded and do not come with Python."""
    found = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if (getattr(module, "__file__", None) or "").endswith((".so", ".pyd"))
    }
    return sorted(found - sys.stdlib_module_names)


def backends() -> list[Choice]:
    """The kinds of place that loops can live in."""
    has_interpreters = sys.version_info >= INTERPRETERS_SINCE and os.name == "posix"
    interpreter = "each loop in a sub-interpreter of this process, with a GIL of its own"
    if not has_interpreters:
        interpreter = "needs CPython 3.14 on a POSIX system"
    return [
        Choice("thread", True, "each loop in a thread of this process"),
        Choice("process", os.name == "posix", "each loop in a process of its own, with a GIL of its own"),
        Choice("interpreter", has_interpreters, interpreter),
        Choice("ray", *ray_choice()),
    ]


def event_loops() -> list[Choice]:
    """The kinds of event loop that can be the `loop_factory`."""
    return [Choice("asyncio", True, "the default"), _uvloop()]


def _uvloop() -> Choice:
    try:
        installed = version("uvloop")
    except PackageNotFoundError:
        return Choice("uvloop", False, "not installed; pip install 'polyloop[uvloop]'")
    if is_free_threaded() and _numbers(installed) < UVLOOP_FREE_THREADED:
        remark = f"{installed} loses wake-ups on free-threaded builds, so it is refused; 0.23 does not"
        return Choice("uvloop", False, remark)
    return Choice("uvloop", True, f"{installed}; loop_factory=uvloop.new_event_loop")


def has_wal_reset_bug(sqlite: tuple[int, ...]) -> bool:
    """Whether this version of SQLite can corrupt a database in WAL mode that several connections write to."""
    if (3, 44, 6) <= sqlite < (3, 45) or (3, 50, 7) <= sqlite < (3, 51):
        return False  # mended there as well
    return (3, 7, 0) <= sqlite < (3, 51, 3)


def is_free_threaded() -> bool:
    """Whether this Python was built to run without the GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
