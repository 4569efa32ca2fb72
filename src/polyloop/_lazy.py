"""A pool that is opened by its first call, in a thread of its own: nobody who submits waits for that.

What is handed in meanwhile waits in the backlog. It does not know the pool itself, only its supervisor.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ._descriptors import check_descriptors
from ._errors import StartupError
from ._steps import drive
from ._threads import daemon_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._supervisor import Supervisor

__all__ = ["open_on_first_call"]


def open_on_first_call(supervisor: Supervisor, renew: Callable[[], object]) -> None:
    """From now on the first call opens the pool.

    Args:
        supervisor: The pool's.
        renew: Called when the pool could not be opened, so that a later call tries again with another
            supervisor; those that came until then are told.
    """
    supervisor.dispatch.open_with(functools.partial(_begin, supervisor, renew))


def _begin(supervisor: Supervisor, renew: Callable[[], object]) -> None:
    name = f"{supervisor.name}-open"
    thread = daemon_thread(_open, name, supervisor, renew)
    try:
        start_thread(thread)
    except RuntimeError as error:
        raise StartupError(f"{supervisor.name} could not be opened: {error}") from error


def _open(supervisor: Supervisor, renew: Callable[[], object]) -> None:
    try:
        check_descriptors(supervisor.loops)
        drive(supervisor.opening())
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is for those who wait
        renew()
        if not supervisor.dispatch.is_shut:
            # Somebody may have looked it up before that, and comes late.
            refuse = functools.partial(StartupError, f"{supervisor.name} could not be opened: {error}")
            supervisor.dispatch.shut(refuse)
        for call in supervisor.dispatch.withdraw_all():
            refusal = StartupError(f"{call.title} was not started: {error}")
            refusal.__cause__ = error
            call.sink.settle_error(refusal)
        supervisor.dispatch.deadlines.close()
    finally:
        supervisor.opened_by_call.settle_value(None)
