"""``polyloop doctor``: what this machine offers, in tables, and what to choose on it."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import polyloop

from .._cpus import default_loops, is_gil_enabled, usable_cpus
from .._descriptors import PER_LOOP, descriptor_limit
from ._machine import backends, event_loops, gil, has_wal_reset_bug, is_free_threaded, python

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._machine import Choice

__all__ = ["advice", "run_doctor"]

# Descriptors that a program has open for other things: its files, logs, libraries. A guess.
OTHER_DESCRIPTORS = 100
FEW_CONNECTIONS = 2000


def run_doctor() -> None:
    """Print it all."""
    # Not narrower where there is no terminal: nothing is to be cut off in a log.
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = 120
    console.print(_facts())
    console.print(_choices("backend", backends()))
    console.print(_choices("event loop", event_loops()))
    console.print("[bold]What to choose here[/]")
    for sentence in advice(default_loops(), descriptor_limit(), event_loops()[1].is_usable):
        console.print(f"* {sentence}", markup=False)


def _facts() -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_row("polyloop", polyloop.__version__)
    table.add_row("Python", python())
    table.add_row("GIL", gil())
    table.add_row("CPUs", _cpus(os.cpu_count(), usable_cpus()))
    limit = descriptor_limit()
    table.add_row("open files", "no limit known" if limit is None else f"at most {limit:,} (ulimit -n)")
    table.add_row("SQLite", _sqlite(sqlite3.sqlite_version_info))
    return table


def _cpus(machine: int | None, usable: int) -> str:
    if machine is None or machine == usable:
        return f"{usable}, all usable"
    return f"{usable} usable of {machine}: the process's affinity or its container's quota allows no more"


def _sqlite(version: tuple[int, ...]) -> str:
    text = ".".join(map(str, version))
    if has_wal_reset_bug(version):
        text += ", which has the WAL-reset bug: it can corrupt a database in WAL mode (mended in 3.51.3)"
    return text


def _choices(kind: str, choices: Sequence[Choice]) -> Table:
    table = Table(kind, "usable", "", box=box.SIMPLE)
    for choice in choices:
        usable = "[green]yes[/]" if choice.is_usable else "[yellow]no[/]"
        table.add_row(choice.name, usable, escape(choice.remark))  # the extras in it are no markup
    return table


def advice(loops: int, descriptors: int | None, has_uvloop: bool) -> list[str]:
    """Sentences for whoever has to choose."""
    counted = "1 loop" if loops == 1 else f"{loops} loops"
    sentences = [f"LoopPool() opens {counted} here, and so does polyloop map; --loops sets another number."]
    sentences.append(_choice_of_backend())
    if is_gil_enabled():
        sentences.append(
            "Loops in threads share one GIL: they help where calls wait, block a loop, or run C code that "
            "lets go of it. Python code that computes is not faster on them; processes and a free-threaded "
            "Python run it in parallel."
        )
    else:
        sentences.append("There is no GIL: the loops run Python code in parallel, each on a CPU of its own.")
    if descriptors is not None:
        connections = max(0, descriptors - OTHER_DESCRIPTORS - PER_LOOP * loops)
        if connections < FEW_CONNECTIONS:
            sentences.append(
                f"Open files allow about {connections:,} connections at a time. "
                "Keep limit times loops below that, or raise it with ulimit -n."
            )
    if has_uvloop:
        sentences.append(
            "uvloop is there: loop_factory=uvloop.new_event_loop may be faster; measure with your own work."
        )
    return sentences


def _choice_of_backend() -> str:
    if not is_gil_enabled():
        return "backend='auto' chooses 'thread' here: there is no GIL, and threads share their memory."
    if is_free_threaded():
        return (
            "backend='auto' chooses 'process' here: this Python could do without the GIL, but it was "
            "switched back on. Without what did that, threads would run in parallel."
        )
    return "backend='auto' chooses 'process' here: there is a GIL, and each process has one of its own."
