"""What backends have in common whose workers are reached by frames: how calls and their setup are packed."""

from __future__ import annotations

import os
import sys
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._frame_link import FrameLink
from ._packing import Packer, pack
from ._place import greeting

if TYPE_CHECKING:
    import asyncio
    import contextlib
    from collections.abc import Callable

    from ._codec import Entry
    from ._link import Link, Reports
    from ._local import Worker
    from ._messages import Call
    from ._packing import Packed
    from ._place import Place

__all__ = ["FrameBackend", "main_module"]


class FrameBackend:
    """Makes workers that share no memory with their pool: see `Backend`.

    Args:
        name: See `Backend`.
        loop_factory: Makes each worker's loop, there; None is asyncio's own.
        lifespan: Entered and left on each worker's loop, there.
        make_place: Makes the place of a worker.
        prepare: What a worker needs before anything can be unpacked there, given its name.
        stall_limit: Seconds that a loop may not answer until its place is ended; None is for ever.

    Raises:
        RuntimeError: Not on this system.
    """

    def __init__(
        self,
        name: str,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        *,
        make_place: Callable[[Worker], Place],
        prepare: Callable[[str], object],
        stall_limit: float | None = None,
    ) -> None:
        if not hasattr(os, "fork"):
            raise RuntimeError(
                f"backend={name!r} needs a POSIX system, and this is {sys.platform}; use threads"
            )
        self.name = name
        self._make_place = make_place
        self._prepare = prepare
        self._loop_factory = loop_factory
        self._lifespan = lifespan
        self._stall_limit = stall_limit
        self._packer = Packer(f"another {name}", is_by_value=not _main_can_be_imported())

    def pack(self, call: Call) -> None:
        """See `Backend`."""
        if call.packed is None:
            name = None if call.options is None else call.options.name
            call.packed = self._packer.pack_call(call.fn, call.args, call.kwargs, name)
            # What is packed is not needed any more, and may be large.
            call.args, call.kwargs = (), {}

    def make_link(self, worker: Worker, reports: Reports, delay: float) -> Link:
        """See `Backend`.

        Raises:
            TypeError: The loop factory or the lifespan cannot be sent there.
        """
        preparation = self._prepare(worker.name)
        who = (worker.index, worker.generation, worker.name, worker.loops)
        needs: list[Packed] = []
        for what, thing in (("loop_factory", self._loop_factory), ("lifespan", self._lifespan)):
            try:
                needs.append(self._packer.pack(thing))
            except Exception as error:
                raise TypeError(
                    f"{what}= cannot be sent to another {self.name}: {error}; make it a function of a module"
                ) from error
        setup: list[Entry] = [(0, *packed) for packed in (pack((preparation, who)), *needs)]
        return FrameLink(
            worker,
            reports,
            self._make_place(worker),
            setup,
            greeting(),
            delay=delay,
            stall_limit=self._stall_limit,
        )

    def close(self) -> None:
        """See `Backend`."""


def main_module(name: str) -> dict[str, Any]:
    """How a worker gets at this program's main module, for multiprocessing's ``spawn.prepare``.

    Args:
        name: The worker's name.

    Raises:
        RuntimeError: That module is being imported by a worker: it opens a pool without asking whether it is
            the program.
    """
    preparation = spawn.get_preparation_data(name)
    preparation.pop("authkey", None)  # for processes that multiprocessing starts
    if not _main_can_be_imported():
        preparation.pop("init_main_from_path", None)
    return preparation


def _main_can_be_imported() -> bool:
    """Whether workers can import the main module: not that of a notebook, say, or of ``python -c``."""
    # What multiprocessing's spawn looks at. It is not asked, for it raises where the main module is being
    # imported in a worker, and to make a pool there is no harm: only to open it is.
    main = sys.modules["__main__"]
    if getattr(main.__spec__, "name", None) is not None:
        return True
    # A program that is piped into the interpreter says that its file is "<stdin>".
    return Path(getattr(main, "__file__", None) or "<none>").exists()
