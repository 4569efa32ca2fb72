"""What backends have in common whose workers are reached by frames: how calls and their setup are packed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ._carry import ContextPacker
from ._frame_link import FrameLink
from ._log_levels import levels_here
from ._packing import Packer, pack
from ._place import greeting

if TYPE_CHECKING:
    import asyncio
    import contextlib
    from collections.abc import Callable, Sequence

    from ._codec import Entry
    from ._future import Future
    from ._link import Link, Reports, Resizable
    from ._local import Worker
    from ._log_handling import LogListener
    from ._messages import Call
    from ._packing import Packed
    from ._place import Place
    from ._variables import Variable

__all__ = ["FrameBackend"]

# One for all calls, for nobody looks at it any more.
_NO_KEYWORDS: dict[str, Any] = {}


class FrameBackend:
    """Makes workers that share no memory with their pool: see `Backend`.

    Args:
        name: See `Backend`.
        loop_factory: Makes each worker's loop, there; None is asyncio's own.
        lifespan: Entered and left on each worker's loop, there.
        make_place: Makes the place of a worker.
        prepare: What a worker needs before anything can be unpacked there, given its name.
        imports_main: Whether workers can import the program's main module.
        stall_limit: Seconds that a loop may not answer until its place is ended; None is for ever.
        carry: The context variables that calls take along.
        logs: Handles what is logged there, if that is wanted.

    Raises:
        ValueError: Workers cannot find a variable.
        RuntimeError: Not on this system.
    """

    _link = FrameLink

    def __init__(
        self,
        name: str,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None,
        lifespan: Callable[[], contextlib.AbstractAsyncContextManager[Any]] | None,
        *,
        make_place: Callable[[Worker], Place],
        prepare: Callable[[str], object],
        imports_main: bool,
        stall_limit: float | None = None,
        carry: Sequence[Variable] = (),
        logs: LogListener | None = None,
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
        self._logs = logs
        where, is_by_value = f"another {name}", not imports_main
        # What is carried with a call is its own: there is nothing to be shared with others.
        self._packer = Packer(where, is_by_value=is_by_value, is_joining=not carry)
        self._carry = [variable.name for variable in carry]
        self._contexts = ContextPacker(carry, where, is_by_value=is_by_value) if carry else None

    def pack(self, call: Call) -> None:
        """See `Backend`."""
        if call.packed is None:
            name = None if call.options is None else call.options.name
            packed = self._packer.pack_call(call.fn, call.args, call.kwargs, name)
            call.packed = packed if self._contexts is None else self._contexts.add_to(call, packed)
            # What is packed is not needed any more, and may be large.
            call.args, call.kwargs = (), _NO_KEYWORDS

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
        levels = None if self._logs is None else levels_here()
        about = pack((preparation, who, self._carry, levels))
        setup: list[Entry] = [(0, *packed) for packed in (about, *needs)]
        return self._link(
            worker,
            reports,
            self._make_place(worker),
            setup,
            greeting(),
            delay=delay,
            stall_limit=self._stall_limit,
            logs=None if self._logs is None else self._logs.inlet(worker.name),
        )

    def opened(self, pool: Resizable, /) -> None:
        """See `Backend`: its size is its user's business."""

    def close(self) -> Future[None] | None:
        """See `Backend`."""
        return None if self._logs is None else self._logs.close()
